package session_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// together writes an answer by several goroutines at once, two of which end it while the others are at it.
func together(c *session.Incoming) error {
	const writers = 3
	var all sync.WaitGroup
	var wrote atomic.Int32
	wrong := make(chan error, 2)
	for range writers {
		all.Go(func() {
			for part := make([]byte, 8); ; {
				if _, err := c.Write(part); err != nil {
					return
				}
				if wrote.Add(1) == 10 {
					for range 2 {
						all.Go(func() {
							if err := c.End(); err != nil && c.Context().Err() == nil {
								wrong <- err
							}
						})
					}
				}
			}
		})
	}
	all.Wait()
	close(wrong)
	return <-wrong
}

// whole reads an answer to its end.
func whole(c *session.Call) (n int, err error) {
	f, err := c.Head(context.Background())
	if err != nil {
		return 0, err
	}
	f.Release()
	for {
		f, err := c.Next(context.Background(), patience)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		took := len(f.Body())
		f.Release()
		c.Consumed(took)
		n += took
	}
}

var _ = Describe("A call that several goroutines answer", func() {
	for _, name := range []string{"inmemory", "tcp"} {
		It("has its frames in order, and nothing after its end, over "+name, func() {
			g, s := pair(links[name], func(c *session.Incoming) {
				defer GinkgoRecover()
				if c.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
					Expect(together(c)).To(Succeed())
				}
			})
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					defer GinkgoRecover()
					for range 2000 {
						c := start(g, "", patience)
						n, err := whole(c)
						c.Close()
						Expect(err).NotTo(HaveOccurred(), "gateway %v, service %v", g.Err(), s.Err())
						Expect(n).To(BeNumerically(">=", 10))
					}
				})
			}
			callers.Wait()
			Expect(g.Err()).NotTo(HaveOccurred())
			Expect(s.Err()).NotTo(HaveOccurred())
		})
	}

	It("has its head before its data, whoever is first", func() {
		g, s := pair(links["tcp"], func(c *session.Incoming) {
			var all sync.WaitGroup
			all.Go(func() {
				for c.End() != nil && c.Context().Err() == nil { // there is no head yet
					runtime.Gosched()
				}
			})
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			all.Wait()
		})
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				defer GinkgoRecover()
				for range 400 {
					c := start(g, "", patience)
					_, err := whole(c)
					c.Close()
					Expect(err).NotTo(HaveOccurred(), "gateway %v, service %v", g.Err(), s.Err())
				}
			})
		}
		callers.Wait()
	})
})

// Credit and the end are told by a signal that wakes one goroutine; there may be more.
func TestEndWakesAllWhoWaitForCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		const writers = 4
		var returned atomic.Int32
		end, release := make(chan struct{}), make(chan struct{})
		g, s, err := connect(glink, slink, session.GatewayConfig{}, session.ServiceConfig{Serve: func(c *session.Incoming) {
			if err := c.Head(&spec.Response{Status: 200, ContentLength: -1}); err != nil {
				t.Error(err)
			}
			for range writers {
				go func() {
					if _, err := c.Write(make([]byte, 1<<20)); err == nil {
						t.Error("a megabyte was written to a caller that reads nothing")
					}
					returned.Add(1)
				}()
			}
			<-end
			if err := c.End(); err != nil {
				t.Error(err)
			}
			<-release // the call's context ends with the handler, and wakes all
		}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := tryStart(g, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := returned.Load(); n != 0 {
			t.Errorf("%d writers have returned, expected that all wait for credit", n)
		}
		close(end)
		synctest.Wait()
		if n := returned.Load(); n != writers {
			t.Errorf("%d of %d writers have returned after the end", n, writers)
		}
		close(release)
		c.Close()
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
	})
}

func TestEndWakesAllWhoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		const readers = 4
		var returned atomic.Int32
		release := make(chan struct{})
		g, s, err := connect(glink, slink, session.GatewayConfig{}, session.ServiceConfig{Serve: func(c *session.Incoming) {
			for range readers {
				go func() {
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
						t.Errorf("read: %v, expected the end", err)
					}
					returned.Add(1)
				}()
			}
			<-release // the call's context ends with the handler, and wakes all
			respond(c, 200, "")
		}})
		if err != nil {
			t.Fatal(err)
		}
		f, meta := request("", -1)
		c, err := g.Start(f, meta, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := returned.Load(); n != 0 {
			t.Errorf("%d readers have returned, expected that all wait", n)
		}
		if err := c.Send(transports.NewFrame(0), 0, true); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := returned.Load(); n != readers {
			t.Errorf("%d of %d readers have returned after the end", n, readers)
		}
		close(release)
		if _, err := whole(c); err != nil {
			t.Error(err)
		}
		c.Close()
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
	})
}
