package tcp

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// starved is a listener on a machine that is out of file descriptors for a while.
type starved struct {
	net.Listener

	left atomic.Int32 // failures to come
}

func (s *starved) Accept() (net.Conn, error) {
	if s.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func starve(t *testing.T, failures int32) *starved {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &starved{Listener: ln}
	s.left.Store(failures)
	return s
}

func listenOn(ln net.Listener, cfg transports.ListenConfig) transports.Listener {
	return transports.ListenStream(ln, transports.StreamListener{ListenConfig: cfg, Scheme: Scheme, Addr: Scheme + "://" + ln.Addr().String()})
}

func TestListenerOutlivesAMachineOutOfFileDescriptors(t *testing.T) {
	const failures = 3
	s := starve(t, failures)
	var told atomic.Int32
	l := listenOn(s, transports.ListenConfig{Rejected: func(string, error) { told.Add(1) }})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	far, err := dialer{}.Dial(ctx, &url.URL{Scheme: Scheme, Host: s.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if n := told.Load(); n != failures {
		t.Errorf("told of %d failures, expected %d", n, failures)
	}
	for _, c := range []io.Closer{near, far, l} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStarvedListenerIsClosedAtOnce(t *testing.T) {
	l := listenOn(starve(t, 1<<20), transports.ListenConfig{})
	began := time.Now()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second/2 {
		t.Errorf("closing took %v", took)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("a closed listener accepted")
	}
}

func TestLinksOutliveTheirListener(t *testing.T) {
	for range 300 { // what could close them is a race
		ln, err := transports.Listen(t.Context(), "tcp://127.0.0.1:0", transports.ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan transports.Link, 1)
		go func() {
			defer close(accepted)
			if near, err := ln.Accept(); err == nil {
				_ = ln.Close()
				accepted <- near
			}
		}()
		far, err := transports.Dial(t.Context(), ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		near, ok := <-accepted
		if !ok {
			t.Fatal("nothing was accepted")
		}
		if err := far.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypePing, 0, 1, nil)}); err != nil {
			t.Fatal(err)
		}
		f, err := near.ReadFrame()
		if err != nil {
			t.Fatalf("a link that was accepted before its listener closed: %v", err)
		}
		f.Release()
		_, _ = near.Close(), far.Close()
	}
}
