package stellatest

import (
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
	Identity *spec.Identity // as whom; nil is nobody
}

// Response is what it gets.
type Response struct {
	Status        int
	Header        stella.Header
	ContentLength int64 // as the service said; -1 if it did not
	Body          []byte
}

// ErrNoEndpoint is what [Service.Call] wraps for a method and path that the manifest does not have.
var ErrNoEndpoint = errors.New("no such endpoint")

// Call makes one call and waits for its whole answer. When ctx ends, the call is cancelled as if its caller had left.
// An answer that the service gives is no error, whatever its status; one that it breaks off is a *[session.Error],
// and then what came of it is returned beside.
func (s *Service) Call(ctx context.Context, r Request) (*Response, error) {
	meta, err := s.resolve(&r)
	if err != nil {
		return nil, fmt.Errorf("stellatest: %s %s: %w", r.Method, r.Path, err)
	}
	inline := r.Body
	flags := spec.FlagEnd
	if len(inline) > spec.MaxInlineBody {
		inline, flags = nil, 0
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
	// The pump ends with the call; the call is given back only after the pump has.
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		if flags&spec.FlagEnd == 0 {
			_ = pump(c, r.Body) // a service may answer without reading all of it; an error ends the answer, too
		}
	}()
	answer, err := receive(ctx, c)
	c.Cancel(spec.CodeClientGone)
	<-pumped
	c.Close()
	if err != nil {
		return answer, fmt.Errorf("stellatest: %s %s: %w", r.Method, r.Path, err)
	}
	return answer, nil
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

// pump sends the request body.
func pump(c *session.Call, body []byte) error {
	for {
		n, err := c.Acquire(min(len(body), spec.MaxChunk))
		if err != nil {
			return err
		}
		f := transports.NewFrame(n)
		f.SetBytes(append(f.Bytes(), body[:n]...))
		body = body[n:]
		if err := c.Send(f, n, len(body) == 0); err != nil || len(body) == 0 {
			return err
		}
	}
}

// receive waits for the whole answer.
func receive(ctx context.Context, c *session.Call) (*Response, error) {
	f, err := c.Head(ctx)
	if err != nil {
		return nil, err
	}
	var meta spec.Response
	err = meta.Decode(f.Meta())
	answer := &Response{
		Status: meta.Status, Header: meta.Header, ContentLength: meta.ContentLength, Body: append([]byte(nil), f.Body()...),
	}
	whole := f.Header().Flags&spec.FlagEnd != 0
	f.Release()
	if err != nil || whole {
		return answer, err
	}
	for {
		f, err := c.Next(ctx, spec.DefaultLimits.Idle())
		if errors.Is(err, io.EOF) {
			return answer, nil
		}
		if err != nil {
			return answer, err
		}
		answer.Body = append(answer.Body, f.Body()...)
		c.Consumed(len(f.Body()))
		f.Release()
	}
}
