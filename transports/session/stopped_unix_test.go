//go:build unix

package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// childEnv makes the test binary a service: it names the gateway to dial.
const childEnv = "STELLA_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if gateway := os.Getenv(childEnv); gateway != "" {
		if err := serveUntilTheEnd(gateway); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveUntilTheEnd(gateway string) error {
	link, err := transports.Dial(context.Background(), gateway)
	if err != nil {
		return err
	}
	h := hello()
	h.Lease = stoppedLease
	s, err := session.Open(context.Background(), link, session.ServiceConfig{
		Hello: h, Manifest: []byte("m"), Serve: func(c *session.Incoming) { <-c.Context().Done() },
	})
	if err != nil {
		return err
	}
	<-s.Done()
	return nil
}

// The figures of a gateway whose service is stopped.
const (
	stoppedLease   = 100_000
	stoppedPending = 24 << 20        // bytes that wait to be written, at most: the kernel takes next to none
	stoppedCalls   = 10_000          // that wait for their answer, at least
	stoppedTimeout = 4 * time.Second // theirs
	stoppedSlack   = 3 * time.Second // of a machine that is busy
	perCall        = 2 << 10         // bytes of memory that a call takes beside its frame
	inWriting      = 2 << 20         // the batch that is being written, and its buffers
)

// A peer that stops reading, as a process does that is sent SIGSTOP, costs no more memory than the limits say, fails the
// calls that wait for it at their own deadline and new ones at once, and does not keep its session beyond the write limit.
func TestStoppedPeer(t *testing.T) {
	t.Parallel() // it waits most of the time
	ln, err := transports.Listen(t.Context(), "tcp://127.0.0.1:0", transports.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+ln.Addr())
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	link, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	g, err := session.Accept(t.Context(), link, session.GatewayConfig{
		Welcome: spec.Welcome{Node: "test"}, Limits: session.Limits{Pending: stoppedPending},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close(spec.CodeShutdown, "") }()
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_ = heap()
	stopped, before := time.Now(), heap()

	// Callers start calls until no more are taken on.
	body := string(make([]byte, 1700)) // a frame of 2 KiB
	var pending, late atomic.Int64
	var wg sync.WaitGroup
	caller := func() (refused error) {
		began := time.Now()
		c, err := tryStart(g, body, stoppedTimeout)
		if err != nil {
			if took := time.Since(began); took > stoppedSlack {
				t.Errorf("a call was refused after %v", took)
			}
			return err
		}
		pending.Add(1)
		wg.Go(func() {
			_, err := c.Head(context.Background())
			c.Close()
			if took := time.Since(began); !haveCode(spec.CodeDeadline)(err) || took > stoppedTimeout+stoppedSlack {
				late.Add(1)
				t.Logf("a call ended after %v with %v", took, err)
			}
		})
		return nil
	}
	refusals := make(chan error, 64)
	var callers sync.WaitGroup
	for range cap(refusals) {
		callers.Go(func() {
			for {
				if err := caller(); err != nil {
					refusals <- err
					return
				}
			}
		})
	}
	for range cap(refusals) {
		if err := <-refusals; !errors.Is(err, session.ErrRefused) || g.Err() != nil {
			t.Fatalf("refused with %v, the session's end is %v", err, g.Err())
		}
	}
	n := pending.Load()
	if n < stoppedCalls {
		t.Errorf("only %d calls are pending", n)
	}
	most := stoppedPending + n*perCall + inWriting
	_ = heap() // pools let go of what they have at the second look
	if grown := heap() - before; grown > most {
		t.Errorf("%d calls are pending, and the heap has grown by %d bytes, expected at most %d", n, grown, most)
	} else {
		t.Logf("%d calls pending, heap grown by %d of at most %d bytes", n, grown, most)
	}
	select {
	case <-g.Done():
	case <-time.After(spec.WriteStall + 5*time.Second):
		t.Fatal("the session is still alive")
	}
	if took := time.Since(stopped); took > spec.WriteStall+spec.WriteStall/10+stoppedSlack {
		t.Errorf("the session was dead %v after its peer had stopped, expected %v", took, spec.WriteStall)
	}
	callers.Wait()
	wg.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d calls did not end at their deadline", n)
	}
	if _, err := tryStart(g, "", stoppedTimeout); !errors.Is(err, session.ErrRefused) {
		t.Errorf("a call on a dead session: %v", err)
	}
	if n := g.InFlight(); n != 0 {
		t.Errorf("%d slots are taken on a dead session", n)
	}
}
