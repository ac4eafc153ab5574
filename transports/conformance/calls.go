package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

func unary(b *bench) string {
	p := b.connect()
	for i := range 100 {
		body := fmt.Appendf(nil, "call %d", i)
		r, got, err := p.call(&spec.Request{Query: doEcho}, body)
		if err != nil || r.Status != 200 || !bytes.Equal(got, body) {
			b.Fatalf("call %d: %+v %q: %v", i, r, got, err)
		}
	}
	if n := p.gateway.InFlight(); n != 0 {
		b.Errorf("%d slots are held when all calls have ended", n)
	}
	return ""
}

func largeMetadata(b *bench) string {
	p := b.connect()
	var header []spec.Field
	for i := range spec.MaxFields {
		header = append(header, spec.Field{Name: fmt.Sprintf("X-Field-%d", i), Value: strings.Repeat("v", 480)})
	}
	request := &spec.Request{Query: doEcho, Header: header}
	if size := len(request.AppendTo(nil)); size < spec.MaxMetadata*9/10 || size > spec.MaxMetadata {
		b.Fatalf("the case has %d bytes of metadata, and is to have nearly %d", size, spec.MaxMetadata)
	}
	r, _, err := p.call(request, nil)
	if p.room() > 0 {
		if !errors.Is(err, session.ErrTooLarge) {
			b.Errorf("a call with much metadata: %v, expected to be refused as too large", err)
		}
		return fmt.Sprintf("A call's metadata and body take up to %d bytes together. The gateway answers 431 where the metadata alone is larger.",
			p.gateway.Small())
	}
	b.need(err, "a call with much metadata")
	if !slices.Equal(r.Header, header) {
		b.Error("the header came back as another")
	}
	return ""
}

func fidelity(b *bench) string {
	p := b.connect()
	header := []spec.Field{
		{Name: "X-One", Value: "1"}, {Name: "Accept", Value: "a"}, {Name: "x-one", Value: "2"}, {Name: "Accept", Value: "b, c"},
		{Name: "X-Empty", Value: ""}, {Name: "X-Bytes", Value: "caf\xe9\tx"}, {Name: "X-One", Value: "3"},
	}
	r, _, err := p.call(&spec.Request{Query: doEcho, Header: header}, nil)
	b.need(err, "a call with many header fields")
	if len(r.Header) != len(header) {
		b.Fatalf("%d fields came back of %d: %q", len(r.Header), len(header), r.Header)
	}
	for i, f := range header {
		if got := r.Header[i]; !strings.EqualFold(got.Name, f.Name) || got.Value != f.Value {
			b.Errorf("field %d came back as %q, sent was %q", i, got, f)
		}
	}
	for _, bad := range []string{"a\x00b", "a\r\nb", "a\nb", "\x7f"} {
		_, _, err := p.call(&spec.Request{Query: doEcho, Header: []spec.Field{{Name: "X", Value: bad}}}, nil)
		if code(err) == "success" {
			b.Errorf("a header field's value %q was served", bad)
		}
		if p.gateway.Err() != nil {
			p = b.connect()
		}
	}
	return ""
}

// sizes are those at which frames, chunks, inline bodies and windows end.
func sizes() []int {
	var all []int
	for _, edge := range []int{1, spec.MaxInlineBody, spec.MaxChunk - spec.HeaderSize, spec.MaxChunk, spec.MaxFrameDefault, spec.StreamWindow, 1 << 20} {
		all = append(all, edge-1, edge, edge+1)
	}
	return all
}

func boundaries(b *bench) string {
	p := b.connect()
	if most := p.gateway.Small(); most > 0 {
		return p.smallBoundaries(most)
	}
	for _, size := range sizes() {
		body := pattern(size)
		r, got, err := p.call(&spec.Request{Query: doEcho}, body)
		if err != nil || r.Status != 200 {
			b.Fatalf("%d bytes: %+v: %v", size, r, err)
		}
		if !bytes.Equal(got, body) {
			b.Errorf("%d bytes came back as %d others", size, len(got))
		}
	}
	return ""
}

// smallBoundaries looks at what a link carries that carries small calls only, to the byte.
func (p *pair) smallBoundaries(most int) string {
	empty, _ := request(&spec.Request{Query: doEcho, ContentLength: 1000}, nil)
	meta := len(empty.Payload())
	empty.Release()
	for _, size := range []int{0, 1, most - meta - 1, most - meta} {
		body := pattern(size)
		if _, got, err := p.call(&spec.Request{Query: doEcho}, body); err != nil || !bytes.Equal(got, body) {
			p.Errorf("%d bytes came back as %d: %v", size, len(got), err)
		}
	}
	if _, _, err := p.call(&spec.Request{Query: doEcho}, pattern(most-meta+1)); !errors.Is(err, session.ErrTooLarge) {
		p.Errorf("a byte more than fits: %v, expected to be refused as too large", err)
	}
	_, _, err := p.call(&spec.Request{Query: "large", Header: []spec.Field{{Name: "Size", Value: strconv.Itoa(most)}}}, nil)
	if code(err) != spec.CodeTooLarge.String() {
		p.Errorf("an answer of more than fits: %v, expected TOO_LARGE", err)
	}
	return fmt.Sprintf("A call and its answer are whole, each with up to %d bytes of metadata and body. The gateway answers 413 to a larger "+
		"body, with the advice to connect the service by another transport, and 502 `response_too_large` where the answer is larger.", most)
}

// pattern is bytes whose order shows.
func pattern(size int) []byte {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return body
}

func deadline(b *bench) string {
	p := b.connect()
	const timeout = 150 * time.Millisecond
	began := time.Now()
	c, err := p.start(&spec.Request{Query: doWait, Path: "/late"}, nil, timeout)
	b.need(err, "start a call")
	defer c.Close()
	_, _, err = finish(c)
	if code(err) != spec.CodeDeadline.String() {
		b.Errorf("a call whose time is up: %v, expected DEADLINE", err)
	}
	if took := time.Since(began); took < timeout || took > 10*timeout {
		b.Errorf("it took %v, its timeout is %v", took, timeout)
	}
	b.eventually("the slot is free again", func() bool { return p.gateway.InFlight() == 0 })
	return ""
}

func lease(b *bench) string {
	const calls = 3
	p := b.connect(func(c *session.ServiceConfig) { c.Hello.Lease = calls })
	var open []*session.Call
	for i := range calls {
		c, err := p.start(&spec.Request{Query: doWait}, nil, patience)
		b.need(err, "call %d of %d", i+1, calls)
		open = append(open, c)
	}
	if _, err := p.start(&spec.Request{Query: doEcho}, nil, patience); code(err) != asRefused {
		b.Errorf("a call beyond the lease: %v, expected a refusal", err)
	}
	p.service.SetLease(calls + 1)
	b.eventually("the lease grows", func() bool { return p.gateway.Lease() == calls+1 })
	_, _, err := p.call(&spec.Request{Query: doEcho}, []byte("x"))
	b.need(err, "a call under the larger lease")
	for _, c := range open {
		c.Close()
	}
	b.eventually("the slots are free again", func() bool { return p.gateway.InFlight() == 0 })
	return ""
}

func sustained(b *bench) string {
	p := b.connect()
	const callers = 100
	long := b.transport.Sustained
	if long == 0 {
		long = 5 * time.Second
	}
	var wg sync.WaitGroup
	var made atomic.Int64
	end := time.Now().Add(long)
	for caller := range callers {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				path := fmt.Sprintf("/%d/%d", caller, i)
				body := []byte(path)
				r, got, err := p.call(&spec.Request{Query: doEcho, Path: path}, body)
				if err != nil || r.Status != 200 || !bytes.Equal(got, body) {
					b.Errorf("%s: %q: %v", path, got, err)
					return
				}
				made.Add(1)
			}
		})
	}
	wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(len(b.served)) != made.Load() {
		b.Errorf("%d calls were answered, %d served", made.Load(), len(b.served))
	}
	for path, n := range b.served {
		if n != 1 {
			b.Errorf("%s was served %d times", path, n)
		}
	}
	b.Logf("%d calls of %d callers in %v", made.Load(), callers, long)
	return ""
}
