package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// pattern is what bodies have at every offset that is a multiple of its length, which is a prime.
var pattern = func() []byte {
	b := make([]byte, 524_287)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

// fill writes the body from offset on into b.
func fill(b []byte, offset int) {
	for len(b) > 0 {
		n := copy(b, pattern[offset%len(pattern):])
		b, offset = b[n:], offset+n
	}
}

// check says whether b is the body from offset on.
func check(b []byte, offset int) error {
	for len(b) > 0 {
		want := pattern[offset%len(pattern):]
		want = want[:min(len(want), len(b))]
		if !bytes.Equal(b[:len(want)], want) {
			return fmt.Errorf("the bytes from %d on are others than were sent", offset)
		}
		b, offset = b[len(want):], offset+len(want)
	}
	return nil
}

// exchange has both ends of a session send size bytes at once, on one call and again on eight, and read what the other
// sends only later. Both ends are closed.
func exchange(size int, later time.Duration, glink, slink transports.Link) (err error) {
	served := make(chan error, 16)
	g, s, err := connect(glink, slink, session.GatewayConfig{}, session.ServiceConfig{Serve: func(c *session.Incoming) {
		b, _ := c.Inline()
		size := 0
		_, _ = fmt.Sscan(string(b), &size)
		_, _ = io.ReadFull(c, make([]byte, len(b)))
		read := make(chan error, 1)
		go func() {
			<-time.After(later)
			buf := make([]byte, spec.MaxChunk)
			for got := 0; ; {
				n, err := c.Read(buf)
				if bad := check(buf[:n], got); bad != nil {
					err = bad
				}
				if got += n; errors.Is(err, io.EOF) && got == size {
					err = nil
				} else if err == nil {
					continue
				}
				read <- err
				return
			}
		}()
		err := c.Head(&spec.Response{Status: 200, ContentLength: int64(size)})
		part := make([]byte, spec.MaxChunk)
		for sent := 0; sent < size && err == nil; sent += len(part) {
			part = part[:min(len(part), size-sent)]
			fill(part, sent)
			_, err = c.Write(part)
		}
		served <- errors.Join(err, <-read, c.End())
	}})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, g.Close(spec.CodeShutdown, ""), s.Close())
	}()
	for _, calls := range []int{1, 8} {
		var wg sync.WaitGroup
		errs := make(chan error, 3*calls)
		for range calls {
			size := size / calls
			f, meta := request(strconv.Itoa(size), -1)
			c, err := g.Start(f, meta, spec.FlagInlineBody, 0)
			if err != nil {
				return err
			}
			wg.Go(func() {
				for sent := 0; sent < size; {
					n, err := c.Acquire(size - sent)
					if err != nil {
						errs <- err
						return
					}
					f := transports.NewFrame(n)
					f.SetBytes(f.Bytes()[:spec.HeaderSize+n])
					fill(f.Payload(), sent)
					if err := c.Send(f, n, sent+n == size); err != nil {
						errs <- err
						return
					}
					sent += n
				}
			})
			wg.Go(func() {
				<-time.After(later)
				if f, err := c.Head(context.Background()); err == nil {
					f.Release()
				}
				got := 0
				for {
					f, err := c.Next(context.Background(), time.Minute)
					if errors.Is(err, io.EOF) && got == size {
						return
					}
					if err != nil {
						errs <- fmt.Errorf("after %d of %d bytes: %w", got, size, err)
						return
					}
					n := len(f.Body())
					if err := check(f.Body(), got); err != nil {
						errs <- err
					}
					f.Release()
					got += n
					c.Consumed(n)
				}
			})
			defer c.Close()
		}
		wg.Wait()
		for range calls {
			errs <- <-served
		}
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

var _ = Describe("Both ends that send 50 MiB at once, and read late,", func() {
	It("get all of it, on sockets", func() {
		glink, slink := links["tcp"]()
		Expect(exchange(50<<20, 200*time.Millisecond, glink, slink)).To(Succeed())
	})
})

var _ = Describe("A session whose stream ids come to their end", func() {
	It("is renewed before that, and no call is lost, refused for good or served twice", func() {
		const callers, each = 16, 400
		var current atomic.Pointer[session.Gateway]
		var served [callers * each]atomic.Int32
		var told atomic.Int32
		renew := make(chan struct{})
		serve := func(c *session.Incoming) {
			b, _ := c.Inline()
			n := 0
			_, _ = fmt.Sscan(string(b), &n)
			served[n].Add(1)
			respond(c, 200, string(b))
		}
		old, first := pair(links["tcp"], serve, func(_ *session.GatewayConfig, s *session.ServiceConfig) {
			s.Renew = func() {
				if told.Add(1) == 1 {
					close(renew)
				}
			}
		})
		old.SkipTo(spec.RenewStreamID - callers*each/2) // in the middle of the first half
		current.Store(old)
		var wg sync.WaitGroup
		errs := make(chan error, callers)
		for caller := range callers {
			wg.Go(func() {
				for i := range each {
					if err := callSomewhere(&current, caller*each+i); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		Eventually(renew).WithTimeout(patience).Should(BeClosed())
		next, _ := pair(links["tcp"], serve)
		current.Store(next)
		Expect(first.Drain(context.Background())).To(Succeed())
		Eventually(old.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(old.Err()).To(MatchError(session.ErrDrained))
		wg.Wait()
		Expect(errs).To(BeEmpty())
		for i := range served {
			Expect(served[i].Load()).To(BeEquivalentTo(1), "call %d", i)
		}
		Expect(told.Load()).To(BeEquivalentTo(1))
	})

	It("is renewed when its gateway wants it, once, with and without calls, and serves on meanwhile", func() {
		var told, stale atomic.Int32
		serve := func(c *session.Incoming) {
			if c.Request().Generation != 0 {
				stale.Add(1)
				c.Cancel(spec.CodeStale, "")
				return
			}
			echo(c)
		}
		g, s := pair(links["tcp"], serve, func(_ *session.GatewayConfig, c *session.ServiceConfig) {
			c.Renew = func() { told.Add(1) }
		})
		ask := func() {
			GinkgoHelper()
			c := start(g, "x", patience)
			_, body := answer(c)
			Expect(body).To(Equal("x"))
			c.Close()
		}
		ask()
		Expect(told.Load()).To(BeZero())
		for range 2 { // the second time nothing comes of it: the service knows
			g.Renew(context.Background())
			Eventually(told.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
			ask()
		}
		Expect(stale.Load()).To(BeEquivalentTo(2))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())

		s.SetLease(1)
		Eventually(g.Lease).WithTimeout(patience).Should(Equal(1))
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		g.Renew(ended)
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero(), "the slot is given back, though nobody waited")
		ask()
		Expect(s.Err()).NotTo(HaveOccurred())
	})

	It("goes on until the last one, which is still served, and then says GOAWAY", func() {
		left := make(chan spec.Code, 1)
		g, s := pair(links["tcp"], echo, func(_ *session.GatewayConfig, c *session.ServiceConfig) {
			c.GoAway = func(code spec.Code, _ string) { left <- code }
		})
		g.SkipTo(spec.MaxStreamID - 19) // ten are left
		for range 10 {
			Expect(left).NotTo(Receive())
			c := start(g, "x", patience)
			_, body := answer(c)
			Expect(body).To(Equal("x"))
			c.Close()
		}
		Eventually(left).WithTimeout(patience).Should(Receive(Equal(spec.CodeNoError)))
		_, err := tryStart(g, "", patience)
		Expect(err).To(MatchError(session.ErrRefused))
		Expect(s.Err()).NotTo(HaveOccurred())
	})
})

// callSomewhere makes a call on the session that is there, and again where it was refused, until it is answered.
func callSomewhere(current *atomic.Pointer[session.Gateway], n int) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c, err := tryStart(current.Load(), strconv.Itoa(n), patience)
		if errors.Is(err, session.ErrRefused) {
			<-time.After(time.Millisecond)
			continue
		}
		if err != nil {
			return err
		}
		f, err := c.Head(context.Background())
		if err == nil {
			if got := string(f.Body()); got != strconv.Itoa(n) {
				err = fmt.Errorf("call %d was answered %q", n, got)
			}
			f.Release()
		}
		c.Close()
		if !haveCode(spec.CodeRefused)(err) {
			return err
		}
	}
	return fmt.Errorf("call %d was refused until patience ran out", n)
}
