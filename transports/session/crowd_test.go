package session_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// connect opens both ends of a session, for tests that do not end with a spec. Zero configurations will do.
func connect(
	glink, slink transports.Link, gcfg session.GatewayConfig, scfg session.ServiceConfig,
) (*session.Gateway, *session.Service, error) {
	gcfg.Welcome.Node = "test"
	if scfg.Hello.Instance.Service == "" {
		lease, window := scfg.Hello.Lease, scfg.Hello.StreamWindow
		scfg.Hello = hello()
		scfg.Hello.StreamWindow = window
		if lease > 0 {
			scfg.Hello.Lease = lease
		}
	}
	scfg.Manifest = []byte("m")
	type opened struct {
		s   *session.Service
		err error
	}
	service := make(chan opened, 1)
	go func() {
		s, err := session.Open(context.Background(), slink, scfg)
		service <- opened{s, err}
	}()
	g, err := session.Accept(context.Background(), glink, gcfg)
	if err != nil {
		return nil, nil, err
	}
	s := <-service
	return g, s.s, s.err
}

// balanced says what is wrong with the books of a session on which no call is open: all credit has to be back.
func balanced(g *session.Gateway, s *session.Service) error {
	ends := []struct {
		name        string
		books, peer session.Books
	}{{"gateway", g.Books(), s.Books()}, {"service", s.Books(), g.Books()}}
	for _, e := range ends {
		b := e.books
		switch {
		case b.Held != 0 || b.Grown != 0 || b.Due != 0:
			return fmt.Errorf("%s: something is held, grown or due: %+v", e.name, b)
		case b.Credit+b.Owed != b.Window:
			return fmt.Errorf("%s: credit %d and owed %d are not the window, %d", e.name, b.Credit, b.Owed, b.Window)
		case e.peer.Allowance != b.Credit:
			return fmt.Errorf("%s has granted %d, and the peer thinks that it may send %d", e.name, b.Credit, e.peer.Allowance)
		}
	}
	if n := g.InFlight(); n != 0 {
		return fmt.Errorf("%d slots are taken at the gateway", n)
	}
	if n, slots := s.InFlight(), s.Slots(); n != 0 || slots != 0 {
		return fmt.Errorf("%d calls are open at the service, and %d slots taken", n, slots)
	}
	return nil
}

// way is the direction of a streamed body.
type way string

const (
	up   way = "up"   // requests
	down way = "down" // answers
)

// crowd is many streams of one session, all in one direction and without an end, the readers of some of which have
// stalled from the start. The calls of those are the first, and have the lowest stream ids.
type crowd struct {
	g *session.Gateway
	s *session.Service

	stalled, active []*session.Call
	taken           atomic.Int64 // bytes that the readers that have not stalled have taken
	pause           sync.RWMutex // holds up those readers while it is locked

	wg sync.WaitGroup
}

func newCrowd(w way, stalled, active int, glink, slink transports.Link) (*crowd, error) {
	c := &crowd{}
	var err error
	c.g, c.s, err = connect(glink, slink, session.GatewayConfig{}, session.ServiceConfig{
		Hello: spec.Hello{Lease: stalled + active}, Serve: func(in *session.Incoming) { c.serve(w, in) },
	})
	if err != nil {
		return nil, err
	}
	for i := range stalled + active {
		kind := "active"
		if i < stalled {
			kind = "stalled"
		}
		f, meta := request(kind, -1)
		flags := spec.FlagInlineBody
		if w == down {
			flags |= spec.FlagEnd
		}
		call, err := c.g.Start(f, meta, flags, 0)
		if err != nil {
			return nil, err
		}
		if i < stalled {
			c.stalled = append(c.stalled, call)
		} else {
			c.active = append(c.active, call)
		}
		c.wg.Go(func() { c.run(w, call, i >= stalled) })
	}
	return c, nil
}

func (c *crowd) take(n int) {
	c.taken.Add(int64(n))
	c.pause.RLock()
	c.pause.RUnlock() //nolint:staticcheck // all there is to do is to wait
}

// serve is the service's end of a stream.
func (c *crowd) serve(w way, in *session.Incoming) {
	kind, _ := in.Inline()
	if w == down {
		_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
		for chunk := make([]byte, spec.MaxChunk); ; {
			if _, err := in.Write(chunk); err != nil {
				return
			}
		}
	}
	if string(kind) == "stalled" {
		<-in.Context().Done()
		return
	}
	_, _ = in.Read(make([]byte, len(kind)))
	for buf := make([]byte, spec.MaxChunk); ; {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		c.take(n)
	}
}

// run is the gateway's end of a stream.
func (c *crowd) run(w way, call *session.Call, active bool) {
	if w == up {
		for {
			n, err := call.Acquire(spec.MaxChunk)
			if err != nil {
				return
			}
			f := transports.NewFrame(n)
			f.SetBytes(f.Bytes()[:spec.HeaderSize+n])
			if call.Send(f, n, false) != nil {
				return
			}
		}
	}
	f, err := call.Head(context.Background())
	if err != nil {
		return
	}
	f.Release()
	for active {
		f, err := call.Next(context.Background(), patience)
		if err != nil {
			return
		}
		n := len(f.Body())
		f.Release()
		c.take(n)
		call.Consumed(n)
	}
}

// leave cancels calls.
func (c *crowd) leave(calls []*session.Call) {
	for _, call := range calls {
		call.Cancel(spec.CodeClientGone)
	}
}

// close cancels what is left and ends the session.
func (c *crowd) close() {
	c.leave(c.stalled)
	c.leave(c.active)
	c.wg.Wait()
	for _, call := range append(c.stalled, c.active...) {
		call.Close()
	}
	_ = c.g.Close(spec.CodeShutdown, "")
	_ = c.s.Close()
}
