package stellatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// Serve runs a service for a test, and ends it with the test. It fails the test if the service does not start, or does
// not end as it should.
//
//	answer := stellatest.Serve(t, billing.Manifest, billing.Endpoints(h)).Do("GET /invoices/7", stellatest.As("ann", "scope billing:read"))
//
// Within [testing/synctest.Test] its time is the bubble's: a handler that waits an hour has done so at once, and the
// deadlines of calls, leases and heartbeats run by the same clock.
func Serve(tb testing.TB, m stella.Manifest, parts ...stella.Part) *Service {
	tb.Helper()
	s, err := Start(tb.Context(), m, parts...)
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("stellatest: the service did not end as it should: %v", err)
		}
	})
	return s
}

// Option is a part of a call.
type Option func(*Request) error

// As calls as somebody who holds claims. Each is a type, or a type and a value with a space between, as in
// //stella:claim; several of one type become a list.
func As(subject string, claims ...string) Option {
	return func(r *Request) error {
		r.Identity = &spec.Identity{Subject: subject}
		for _, text := range claims {
			name, value, _ := strings.Cut(text, " ")
			if name == "" {
				return fmt.Errorf("claim %q has no type: expected TYPE, or TYPE VALUE", text)
			}
			r.Identity.Claims = append(r.Identity.Claims, spec.Claim{Type: name, Value: value})
		}
		return nil
	}
}

// JSON sends v as the body.
func JSON(v any) Option {
	return func(r *Request) error {
		body, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding the body: %w", err)
		}
		r.Body = body
		r.Header.Set("Content-Type", "application/json")
		return nil
	}
}

// Body sends bytes of a media type.
func Body(mediaType string, body []byte) Option {
	return func(r *Request) error {
		r.Body = body
		r.Header.Set("Content-Type", mediaType)
		return nil
	}
}

// Header sends a header field.
func Header(name, value string) Option {
	return func(r *Request) error {
		r.Header.Add(name, value)
		return nil
	}
}

// Do makes one call of a service that [Serve] has started, such as "POST /invoices?dryRun=true", and waits for its whole
// answer. It fails the test if there is none.
func (s *Service) Do(call string, options ...Option) *Response {
	if s.tb == nil {
		panic("stellatest: Do needs a service of Serve; one of Start has Call")
	}
	s.tb.Helper()
	method, path, ok := strings.Cut(call, " ")
	if !ok {
		s.tb.Fatalf("stellatest: %q is no call: expected METHOD /path", call)
	}
	r := Request{Method: method, Path: path}
	for _, o := range options {
		if err := o(&r); err != nil {
			s.tb.Fatalf("stellatest: %s: %v", call, err)
		}
	}
	answer, err := s.Call(s.tb.Context(), r)
	if err != nil {
		s.tb.Fatal(err)
	}
	return answer
}

// Decode takes the body, which is JSON, into v. Members that v lacks are an error.
func (r *Response) Decode(v any) error {
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("stellatest: decoding %d %.200s: %w", r.Status, r.Body, err)
	}
	return nil
}

// Problem is the problem that the service answered with; nil if it answered with something else.
func (r *Response) Problem() *spec.Problem {
	if r.Header.Get("Content-Type") != spec.ProblemType {
		return nil
	}
	p := new(spec.Problem)
	if json.Unmarshal(r.Body, p) != nil {
		return nil
	}
	return p
}
