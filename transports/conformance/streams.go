package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

func duplex(b *bench) string {
	p := b.connect()
	if p.room() > 0 {
		p.refusesStreams()
		return unstreamed
	}
	const streams, size = 4, 8 << 20
	body := pattern(size)
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			r, got, err := p.call(&spec.Request{Query: doStream}, body)
			if err != nil || r.Status != 200 || !bytes.Equal(got, body) {
				b.Errorf("%d bytes came back as %d: %v", size, len(got), err)
			}
		})
	}
	wg.Wait()
	b.eventually("the slots are free again", func() bool { return p.gateway.InFlight() == 0 })
	return ""
}

// follows is what the service adds to the trailers that have come.
var follows = spec.Field{Name: "X-Follows", Value: "the answer"} //nolint:gochecknoglobals // a constant

func trailing(b *bench) string {
	p := b.connect(func(c *session.ServiceConfig) { c.Hello.Features = []spec.Feature{{Name: spec.FeatureTrailers}} })
	if p.gateway.Trailers() != p.service.Trailers() {
		b.Fatalf("the gateway takes trailers: %v, and the service: %v", p.gateway.Trailers(), p.service.Trailers())
	}
	if p.room() > 0 {
		c, err := p.start(&spec.Request{Query: doTrail}, []byte("body"), patience)
		b.need(err, "start a call")
		defer c.Close()
		if _, got, err := finish(c); err != nil || string(got) != "body" || len(c.Trailers()) > 0 {
			b.Errorf("the answer is %q with trailers %v: %v", got, c.Trailers(), err)
		}
		return "Trailers are dropped, and bodies come as ever."
	}
	fields := []spec.Field{{Name: "Etag", Value: `"tag"`}, {Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}
	for _, size := range []int{0, 1, spec.MaxInlineBody, spec.MaxInlineBody + 1, 1 << 20} {
		c, body := p.open(&spec.Request{Query: doTrail}), pattern(size)
		sent := make(chan error, 1)
		go func() {
			if err := sendPart(c, body); err != nil {
				sent <- err
				return
			}
			sent <- c.EndWith(fields)
		}()
		_, got, err := finish(c)
		if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, body) {
			b.Errorf("%d bytes came back as %d: %v", size, len(got), err)
		}
		if want := append(slices.Clone(fields), follows); !slices.Equal(c.Trailers(), want) {
			b.Errorf("behind %d bytes came %v, expected %v", size, c.Trailers(), want)
		}
		c.Close()
	}
	b.eventually("the slots are free again", func() bool { return p.gateway.InFlight() == 0 })
	return ""
}

// sendPart sends a part of a body, of which more follows.
func sendPart(c *session.Call, part []byte) error {
	for len(part) > 0 {
		n, err := c.Acquire(min(len(part), spec.MaxChunk))
		if err != nil {
			return err
		}
		f := transports.NewFrame(n)
		f.SetBytes(append(f.Bytes(), part[:n]...))
		if err := c.Send(f, n, false); err != nil {
			return err
		}
		part = part[n:]
	}
	return nil
}

func endings(b *bench) string {
	p := b.connect()
	if p.room() > 0 {
		p.refusesStreams()
		return unstreamed
	}
	// An answer before the body has ended: it stands, and the sender is told to stop.
	c := p.open(&spec.Request{Query: "early"})
	r, got, err := finish(c)
	if err != nil || r.Status != 413 || string(got) != "enough" {
		b.Errorf("an early answer: %+v %q: %v", r, got, err)
	}
	if err := pour(c); !errors.Is(err, session.ErrStopSending) {
		b.Errorf("sending on after an early answer: %v, expected to be told to stop", err)
	}
	c.Cancel(spec.CodeNoError)
	c.Close()
	// A failure before the answer, and in the middle of it.
	_, _, err = p.call(&spec.Request{Query: "fail"}, nil)
	if code(err) != spec.CodeInternal.String() {
		b.Errorf("a call that fails: %v, expected INTERNAL", err)
	}
	r, got, err = p.call(&spec.Request{Query: "break"}, nil)
	if r == nil || r.Status != 200 || string(got) != "half" || code(err) != spec.CodeInternal.String() {
		b.Errorf("an answer that breaks off: %+v %q: %v, expected half of it and INTERNAL", r, got, err)
	}
	// An upgrade, whose halves end one after the other.
	c = p.open(&spec.Request{Query: "upgrade", Upgrade: "websocket"})
	r, got, err = finish(c)
	if err != nil || r.Status != 101 || string(got) != "said" {
		b.Errorf("an upgrade: %+v %q: %v", r, got, err)
	}
	b.need(send(c, pattern(halfClosed)), "an upgraded call's octets, after the service's have ended")
	select {
	case err := <-b.heard:
		b.need(err, "the service reads an upgraded call after its own end")
	case <-time.After(patience):
		b.Error("the service does not hear the end of an upgraded call")
	}
	c.Close()
	// A body that ends with nothing in it.
	c = p.open(&spec.Request{Query: doStream})
	b.need(send(c, nil), "an empty body")
	r, got, err = finish(c)
	if err != nil || r.Status != 200 || len(got) != 0 {
		b.Errorf("an empty stream: %+v %q: %v", r, got, err)
	}
	c.Close()
	b.eventually("the slots are free again", func() bool { return p.gateway.InFlight() == 0 })
	if p.gateway.Err() != nil || p.service.Err() != nil {
		b.Errorf("the session has ended: %v, %v", p.gateway.Err(), p.service.Err())
	}
	return ""
}

// pour sends without an end, until that fails.
func pour(c *session.Call) error {
	for {
		n, err := c.Acquire(1 << 10)
		if err != nil {
			return err
		}
		f := transports.NewFrame(n)
		f.SetBytes(append(f.Bytes(), make([]byte, n)...))
		if err := c.Send(f, n, false); err != nil {
			return err
		}
	}
}

func cancelling(b *bench) string {
	p := b.connect()
	phases := map[string]func(*session.Call){
		"at once":        func(*session.Call) {},
		"while it waits": func(*session.Call) { b.eventually("it is served", func() bool { return p.service.InFlight() > 0 }) },
	}
	for name, until := range phases {
		c, err := p.start(&spec.Request{Query: doWait}, nil, patience)
		b.need(err, "start a call")
		until(c)
		c.Cancel(spec.CodeClientGone)
		if _, _, err := finish(c); code(err) != spec.CodeClientGone.String() {
			b.Errorf("cancelled %s: %v", name, err)
		}
		c.Close()
	}
	b.eventually("no call is served any more", func() bool { return p.service.InFlight() == 0 && p.gateway.InFlight() == 0 })
	if p.room() == 0 {
		p.cancelStream()
	}
	// After the end it does nothing.
	c, err := p.start(&spec.Request{Query: doEcho}, nil, patience)
	b.need(err, "start a call")
	_, _, err = finish(c)
	b.need(err, "finish it")
	c.Cancel(spec.CodeClientGone)
	c.Close()
	if _, _, err := p.call(&spec.Request{Query: doEcho}, []byte("x")); err != nil {
		b.Errorf("a call after all: %v", err)
	}
	return ""
}

// cancelStream cancels while the body is sent, and while the answer comes.
func (p *pair) cancelStream() {
	b := p.bench
	c := p.open(&spec.Request{Query: doStream})
	sent := make(chan error, 1)
	go func() { sent <- pour(c) }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	head, err := c.Head(ctx)
	b.need(err, "the answer's head")
	head.Release()
	f, err := c.Next(ctx, patience)
	b.need(err, "a part of the answer")
	f.Release()
	c.Cancel(spec.CodeClientGone)
	if err := <-sent; err == nil {
		b.Error("the body went on after the cancel")
	}
	if _, err := c.Next(ctx, patience); errors.Is(err, io.EOF) || err == nil {
		b.Errorf("the answer went on after the cancel: %v", err)
	}
	c.Close()
	b.eventually("no call is served any more", func() bool { return p.service.InFlight() == 0 && p.gateway.InFlight() == 0 })
}

func stalled(b *bench) string {
	p := b.connect()
	if p.room() > 0 {
		p.refusesStreams()
		return unstreamed
	}
	const others, size = 7, 4 << 20
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stuck, err := p.start(&spec.Request{Query: "flood"}, nil, patience)
	b.need(err, "start a stream")
	defer stuck.Close()
	head, err := stuck.Head(ctx) // and nothing of it is read
	b.need(err, "the answer's head")
	head.Release()
	body := pattern(size)
	began := time.Now()
	var wg sync.WaitGroup
	for range others {
		wg.Go(func() {
			if _, got, err := p.call(&spec.Request{Query: doStream}, body); err != nil || !bytes.Equal(got, body) {
				b.Errorf("a stream beside one that has stalled: %d bytes of %d: %v", len(got), size, err)
			}
		})
	}
	wg.Wait()
	b.Logf("%d streams of %d bytes, both ways, beside one that has stalled: %v", others, size, time.Since(began))
	stuck.Cancel(spec.CodeClientGone)
	b.eventually("the slots are free again", func() bool { return p.gateway.InFlight() == 0 })
	return ""
}
