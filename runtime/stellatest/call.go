package stellatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// Request is what a test sends.
type Request struct {
	Method   string         // GET if empty
	Path     string         // escaped, with the query if there is one
	Header   stella.Header  // any
	Body     []byte         // any
	Stream   io.Reader      // instead of Body: of unknown length, sent as it is read; closed with the call if it is an io.Closer
	Trailer  stella.Header  // what follows the body, of whichever kind
	Upgrade  string         // the protocol to change to, such as websocket. Stream is what is sent in it, from status 101 on
	Identity *spec.Identity // as whom; nil is nobody
}

// Response is what it gets.
type Response struct {
	Status        int
	Header        stella.Header
	ContentLength int64 // as the service said; -1 if it did not
	Body          []byte
	Trailer       stella.Header // what has followed the body
}

// ErrNoEndpoint is what [Service.Call] wraps for a method and path that the manifest does not have.
var ErrNoEndpoint = errors.New("no such endpoint")

// Call makes one call and waits for its whole answer. When ctx ends, the call is cancelled as if its caller had left.
// An answer that the service gives is no error, whatever its status; one that it breaks off is a *[session.Error],
// and then what came of it is returned beside.
func (s *Service) Call(ctx context.Context, r Request) (*Response, error) {
	st, err := s.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	body, err := io.ReadAll(st)
	return &Response{Status: st.Status, Header: st.Header, ContentLength: st.ContentLength, Body: body, Trailer: st.Trailer}, err
}

// Open makes one call and returns as soon as its answer has begun, for answers that a test wants to see while they come.
func (s *Service) Open(ctx context.Context, r Request) (*Stream, error) {
	meta, err := s.resolve(&r)
	if err != nil {
		return nil, fmt.Errorf("stellatest: %s %s: %w", r.Method, r.Path, err)
	}
	inline, rest, flags := r.Body, r.Stream, spec.FlagEnd
	if rest == nil && len(inline) > spec.MaxInlineBody {
		rest = bytes.NewReader(inline)
	}
	if rest != nil {
		inline, flags = nil, 0
	}
	if r.Upgrade != "" {
		inline, flags = nil, 0
	}
	if len(r.Trailer) > 0 {
		flags = 0
	}
	if len(inline) > 0 {
		flags |= spec.FlagInlineBody
	}
	f := transports.NewFrame(len(inline))
	b := meta.AppendTo(f.Bytes())
	size := len(b) - spec.HeaderSize
	f.SetBytes(append(b, inline...))
	c, err := s.gateway.Start(f, size, flags, s.timeout(meta))
	if err != nil {
		return nil, fmt.Errorf("stellatest: %s %s: %w", r.Method, r.Path, err)
	}
	st := &Stream{ctx: ctx, call: c, name: r.Method + " " + r.Path, pumped: make(chan struct{})}
	st.source, _ = rest.(io.Closer)
	if r.Upgrade == "" {
		go st.send(rest, r.Trailer)
	}
	err = st.begin()
	if r.Upgrade != "" {
		if st.Status != http.StatusSwitchingProtocols || rest == nil {
			rest = http.NoBody // it has been refused, or there is nothing to say
		}
		go st.send(rest, nil)
	}
	if err != nil {
		st.Close()
		return nil, st.wrap(err)
	}
	return st, nil
}

// send sends the request's body, if there is one that the call began without, and what follows it.
func (st *Stream) send(body io.Reader, trailer stella.Header) {
	defer close(st.pumped)
	switch {
	case body != nil:
		pump(st.call, body, trailer)
	case len(trailer) > 0:
		_ = st.call.EndWith(trailer) // fails with the call
	}
}

// Stream is an answer that has begun. It is for one goroutine at a time, and must be closed.
type Stream struct {
	Status        int
	Header        stella.Header
	ContentLength int64         // as the service said; -1 if it did not
	Trailer       stella.Header // what has followed the body, once Read has returned io.EOF

	ctx    context.Context //nolint:containedctx // of the call, which goes on until Close
	call   *session.Call
	name   string
	body   []byte // of what has come, the part that has not been read
	whole  bool   // nothing comes any more
	source io.Closer
	pumped chan struct{} // closed when the request's body needs no sending any more
}

func (st *Stream) wrap(err error) error { return fmt.Errorf("stellatest: %s: %w", st.name, err) }

// begin waits for the head.
func (st *Stream) begin() error {
	f, err := st.call.Head(st.ctx)
	if err != nil {
		return err
	}
	defer f.Release()
	var meta spec.Response
	if err := meta.Decode(f.Meta()); err != nil {
		return err
	}
	st.Status, st.Header, st.ContentLength = meta.Status, meta.Header, meta.ContentLength
	st.body = bytes.Clone(f.Body())
	st.whole = f.Header().Flags&spec.FlagEnd != 0
	return nil
}

// Read returns the next part of the body, as the service sent it if p has room. [io.EOF] is its end; errors are those
// of [Service.Call].
func (st *Stream) Read(p []byte) (int, error) {
	if len(st.body) == 0 {
		if st.whole {
			return 0, io.EOF
		}
		f, err := st.call.Next(st.ctx, spec.DefaultLimits.Idle())
		if errors.Is(err, io.EOF) {
			st.whole, st.Trailer = true, st.call.Trailers()
			return 0, io.EOF
		}
		if err != nil {
			return 0, st.wrap(err)
		}
		st.body = bytes.Clone(f.Body())
		st.call.Consumed(len(st.body))
		f.Release()
	}
	n := copy(p, st.body)
	st.body = st.body[n:]
	return n, nil
}

// Close ends the call, as if its caller left if the answer is not whole, and waits until nobody reads the request's body.
func (st *Stream) Close() {
	st.call.Cancel(spec.CodeClientGone)
	if st.source != nil {
		_ = st.source.Close() // it is over either way
	}
	<-st.pumped // the call is given back only then
	st.call.Close()
}

func (s *Service) timeout(meta *spec.Request) time.Duration {
	return s.manifest.Endpoints[meta.Endpoint].Limits.Timeout()
}

// resolve finds the endpoint as a gateway does: literal segments go before parameters, left to right.
func (s *Service) resolve(r *Request) (*spec.Request, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	path, query, _ := strings.Cut(r.Path, "?")
	meta := &spec.Request{
		Path: path, Query: query, Authority: "stellatest", Peer: "192.0.2.1:1", ID: spec.RequestID{6: 0x70, 8: 0x80},
		ContentLength: int64(len(r.Body)), Identity: r.Identity, Header: r.Header,
	}
	if meta.Upgrade = r.Upgrade; r.Stream != nil || r.Upgrade != "" {
		meta.ContentLength = -1
	}
	best, found := "", false
	for i := range s.manifest.Endpoints {
		e := &s.manifest.Endpoints[i]
		if e.Method != r.Method && (r.Method != http.MethodHead || e.Method != http.MethodGet) {
			continue
		}
		p, err := spec.ParsePattern(e.Path)
		if err != nil {
			return nil, err
		}
		params, rank, ok := match(p, path)
		if ok && (!found || rank < best) {
			best, found = rank, true
			meta.Endpoint, meta.Params = uint32(i), params
			if meta.Method = ""; e.Method != r.Method {
				meta.Method = r.Method
			}
		}
	}
	if !found {
		return nil, ErrNoEndpoint
	}
	return meta, nil
}

// match returns the values of p's parameters for path. The rank orders the patterns that match one path.
func match(p spec.Pattern, path string) (params []string, rank string, ok bool) {
	rest := strings.TrimPrefix(path, "/")
	for i, s := range p.Segments {
		part, after, more := strings.Cut(rest, "/")
		switch {
		case s.Rest:
			part, after, more = rest, "", false
			rank += "c"
		case s.Param != "":
			rank += "b"
		default:
			rank += "a"
		}
		value, err := url.PathUnescape(part)
		if err != nil || value == "" || s.Param == "" && part != s.Literal || more == (i == len(p.Segments)-1) {
			return nil, "", false
		}
		if s.Param != "" {
			params = append(params, value)
		}
		rest = after
	}
	return params, rank, rest == ""
}

// pump sends the request body, until the call wants no more of it: a service may answer without reading all of it.
func pump(c *session.Call, src io.Reader, trailer stella.Header) {
	for {
		n, err := c.Acquire(spec.MaxChunk)
		if err != nil {
			return
		}
		f := transports.NewFrame(n)
		b := f.Bytes()
		got, err := src.Read(b[len(b) : len(b)+n])
		f.SetBytes(b[:len(b)+got])
		if err != nil && !errors.Is(err, io.EOF) {
			f.Release()
			c.Cancel(spec.CodeClientGone)
			return
		}
		end := err != nil
		if c.Send(f, n, end && len(trailer) == 0) != nil {
			return
		}
		if end {
			if len(trailer) > 0 {
				_ = c.EndWith(trailer) // fails with the call
			}
			return
		}
	}
}
