package spec

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// Endpoint is one Method + Path of a service.
type Endpoint struct {
	Method     string             `json:"method"`
	Path       string             `json:"path"`                // net/http pattern syntax; see [Pattern]
	Handler    string             `json:"handler"`             // the Go symbol: Service.CreateInvoice, or a function's name
	Kind       Kind               `json:"kind"`                // the handler's shape
	Status     int                `json:"status"`              // of a successful answer
	Statuses   []int              `json:"statuses,omitempty"`  // further ones that a result may choose, sorted
	Stream     Streaming          `json:"stream"`              // which bodies may be streamed
	Idempotent bool               `json:"idempotent"`          // safe to repeat
	Public     string             `json:"public,omitempty"`    // why it needs no claims; empty where it has some
	Claims     []ClaimRequirement `json:"claims,omitempty"`    // all must be held
	Limits     Limits             `json:"limits"`              // effective, never zero
	Queue      *Queueing          `json:"queue,omitempty"`     // calls are jobs that wait in a queue; nil: they are calls
	Params     []Param            `json:"params,omitempty"`    // path, query, header and cookie parameters
	Consumes   string             `json:"consumes,omitempty"`  // media type of a typed request body; empty: application/json
	Unknown    string             `json:"unknown,omitempty"`   // UnknownIgnore: unknown members of the request body are skipped; empty: refused
	Request    *Schema            `json:"request,omitempty"`   // of a typed request body
	Response   *Schema            `json:"response,omitempty"`  // of a JSON response body, or of each item of a stream
	Events     bool               `json:"events,omitempty"`    // the items of a stream carry an id and a name
	Headers    []Param            `json:"headers,omitempty"`   // of a successful answer, beside the body
	Errors     []ErrorAnswer      `json:"errors,omitempty"`    // that the handler declares, sorted by code
	SLO        string             `json:"slo,omitempty"`       // share of calls to be answered well, in percent: a canonical decimal
	WithinMS   int64              `json:"withinMs,omitempty"`  // how long a call that counts as answered well may take, in milliseconds; 0: any time
	Stability  string             `json:"stability,omitempty"` // one of the Stability constants; empty: stable
	Sunset     string             `json:"sunset,omitempty"`    // the day after which a deprecated endpoint may go, YYYY-MM-DD
	Tags       []string           `json:"tags,omitempty"`
	Doc        string             `json:"doc,omitempty"` // the handler's doc comment
	Deprecated string             `json:"deprecated,omitempty"`
}

// Kind is the shape of a handler.
type Kind string

// The kinds.
const (
	KindTyped  Kind = "typed"  // func(ctx, *In) (*Out, error)
	KindRaw    Kind = "raw"    // func(ctx, *stella.Request, *stella.Response) error
	KindStream Kind = "stream" // func(ctx, *In) (iter.Seq2[T, error], error)
	KindHTTP   Kind = "http"   // func(http.ResponseWriter, *http.Request)
)

// Streaming says which of an endpoint's bodies may be streamed.
type Streaming string

// The ways to stream. A body that may not be streamed is held whole.
const (
	StreamNone     Streaming = "none"
	StreamRequest  Streaming = "request"
	StreamResponse Streaming = "response"
	StreamBoth     Streaming = "both"
	StreamUpgrade  Streaming = "upgrade" // the connection changes to another protocol: PROTOCOL.md, section 5.1
)

// Media types of typed request bodies, beside application/json.
const (
	MediaForm      = "application/x-www-form-urlencoded"
	MediaMultipart = "multipart/form-data"
)

// UnknownIgnore is the value of Endpoint.Unknown that lets unknown members of a body pass.
const UnknownIgnore = "ignore"

// How much callers may rely on an endpoint staying as it is. Stable is the empty string.
const (
	StabilityExperimental = "experimental"
	StabilityBeta         = "beta"
)

// ErrorAnswer is an error that a handler declares. It is answered as a problem (RFC 9457).
type ErrorAnswer struct {
	Code    string  `json:"code"` // of the problem
	Status  int     `json:"status"`
	Doc     string  `json:"doc,omitempty"`
	Details *Schema `json:"details,omitempty"` // of the problem's member details; nil: it has none
}

// Param is one path, query, header or cookie parameter of a request, or one header field of an answer.
type Param struct {
	Name     string  `json:"name"`
	In       string  `json:"in"` // path, query, header or cookie
	Required bool    `json:"required,omitempty"`
	Doc      string  `json:"doc,omitempty"`
	Schema   *Schema `json:"schema"`
}

// Identity is the endpoint's identity: its method, and its path without parameter names (invariant 1).
func (e *Endpoint) Identity() (string, error) {
	p, err := ParsePattern(e.Path)
	if err != nil {
		return "", err
	}
	return e.Method + " " + p.Identity(), nil
}

// ParseIdentity is the identity of the endpoint that is written as its method and path, such as POST /invoices/{id}.
func ParseIdentity(text string) (string, error) {
	method, path, ok := strings.Cut(text, " ")
	if !ok || !ValidMethod(method) {
		return "", fmt.Errorf("spec: endpoint %.200q: expected a method and a path, such as POST /invoices", text)
	}
	p, err := ParsePattern(path)
	if err != nil {
		return "", err
	}
	return method + " " + p.Identity(), nil
}

func (e *Endpoint) check(m *Manifest) error {
	p, err := ParsePattern(e.Path)
	switch {
	case err != nil:
		return err
	case p.Reserved():
		return fmt.Errorf("path is reserved for the gateway: expected one that does not begin with %s/", ReservedPath)
	case !ValidMethod(e.Method):
		return fmt.Errorf("method is not one of %s", strings.Join(Methods, ", "))
	case e.Handler == "":
		return errors.New("no handler")
	case !slices.Contains([]Kind{KindTyped, KindRaw, KindStream, KindHTTP}, e.Kind):
		return fmt.Errorf("unknown kind %.40q", e.Kind)
	case !slices.Contains([]Streaming{StreamNone, StreamRequest, StreamResponse, StreamBoth, StreamUpgrade}, e.Stream):
		return fmt.Errorf("unknown stream %.40q", e.Stream)
	case e.Stream != StreamUpgrade && (e.Status < 200 || e.Status > 599):
		return fmt.Errorf("status %d, expected 200 to 599", e.Status)
	case (e.Public == "") == (len(e.Claims) == 0):
		return errors.New("needs either claims or a reason to be public")
	case e.Limits.MaxBodyBytes < 1 || e.Limits.MaxBodyBytes > maxBodyBytes:
		return fmt.Errorf("maxBodyBytes %d, expected 1 to %d", e.Limits.MaxBodyBytes, maxBodyBytes)
	case e.Limits.TimeoutMS < 1 || e.Limits.TimeoutMS > maxTimeoutMS:
		return fmt.Errorf("timeoutMs %d, expected 1 to %d", e.Limits.TimeoutMS, maxTimeoutMS)
	case e.Limits.IdleMS < 1 || e.Limits.IdleMS > maxTimeoutMS:
		return fmt.Errorf("idleMs %d, expected 1 to %d", e.Limits.IdleMS, maxTimeoutMS)
	case len(p.Params()) > MaxFields || len(e.Claims) > MaxFields:
		return fmt.Errorf("more than %d path parameters or claims", MaxFields)
	}
	if err := e.checkWords(); err != nil {
		return err
	}
	if e.Stream == StreamUpgrade {
		if err := e.checkUpgrade(); err != nil {
			return err
		}
	}
	if err := e.Unqueueable(); err != nil {
		return fmt.Errorf("delivery=queue: it %w", err)
	}
	for _, c := range e.Claims {
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := e.checkParams(m, p); err != nil {
		return err
	}
	if err := e.checkAnswers(m); err != nil {
		return err
	}
	if err := e.Request.check(m, 0); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if err := e.Response.check(m, 0); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	return nil
}

// checkUpgrade checks what holds for an endpoint that changes to another protocol.
func (e *Endpoint) checkUpgrade() error {
	switch {
	case e.Method != methodGet:
		return fmt.Errorf("stream is %s and the method %s, expected %s (RFC 6455, section 4.1)", e.Stream, e.Method, methodGet)
	case e.Kind != KindRaw && e.Kind != KindHTTP:
		return fmt.Errorf("stream is %s and the kind %s, expected %s or %s", e.Stream, e.Kind, KindRaw, KindHTTP)
	case e.Status != 101 || len(e.Statuses) > 0:
		return fmt.Errorf("stream is %s and the status not 101 alone", e.Stream)
	case e.Request != nil || e.Response != nil:
		return fmt.Errorf("stream is %s, which has no schemas of bodies", e.Stream)
	}
	return nil
}

// checkWords checks the values of which there are a few, and what is promised.
func (e *Endpoint) checkWords() error {
	switch {
	case !slices.Contains([]string{"", MediaForm, MediaMultipart}, e.Consumes):
		return fmt.Errorf("unknown consumes %.80q", e.Consumes)
	case e.Consumes != "" && e.Request == nil:
		return fmt.Errorf("consumes %s and has no request schema", e.Consumes)
	case e.Unknown != "" && e.Unknown != UnknownIgnore:
		return fmt.Errorf("unknown %.40q, expected %s or nothing", e.Unknown, UnknownIgnore)
	case e.Events && e.Kind != KindStream:
		return errors.New("only a stream has events")
	case !slices.Contains([]string{"", StabilityBeta, StabilityExperimental}, e.Stability):
		return fmt.Errorf("unknown stability %.40q", e.Stability)
	case e.WithinMS < 0 || e.WithinMS > maxTimeoutMS:
		return fmt.Errorf("withinMs %d, expected 1 to %d, or none", e.WithinMS, maxTimeoutMS)
	case e.SLO != "" && !canonicalDecimal(e.SLO):
		return fmt.Errorf("slo %.40q is not a canonical decimal, such as 99.9", e.SLO)
	}
	return nil
}

// checkParams checks the parameters against each other and against the path's pattern.
func (e *Endpoint) checkParams(m *Manifest, p Pattern) error {
	names := p.Params()
	seen := make(map[[2]string]bool, len(e.Params))
	for _, q := range e.Params {
		if q.Name == "" || !slices.Contains([]string{InPath, InQuery, InHeader, InCookie}, q.In) || q.Schema == nil {
			return fmt.Errorf("parameter %q in %q is not whole: it needs a name, a schema, and to be in path, query, header or cookie", q.Name, q.In)
		}
		key := [2]string{q.In, q.Name}
		if (q.In == InHeader || q.In == InCookie) && !validName(q.Name) {
			return fmt.Errorf("parameter %q is not the name of a %s", q.Name, q.In)
		}
		if q.In == InHeader {
			key[1] = textproto.CanonicalMIMEHeaderKey(q.Name)
		}
		if seen[key] {
			return fmt.Errorf("parameter %q is twice in the %s", q.Name, q.In)
		}
		seen[key] = true
		if q.In == InPath && !slices.Contains(names, q.Name) {
			return fmt.Errorf("parameter %q is not in the path", q.Name)
		}
		if err := q.Schema.check(m, 0); err != nil {
			return fmt.Errorf("parameter %q: %w", q.Name, err)
		}
	}
	return nil
}

// checkAnswers checks what the manifest says of answers beside their body.
func (e *Endpoint) checkAnswers(m *Manifest) error {
	if !slices.IsSorted(e.Statuses) || slices.Contains(e.Statuses, e.Status) {
		return errors.New("statuses are not sorted, or repeat the status")
	}
	for i, status := range e.Statuses {
		if status < 200 || status > 299 || i > 0 && e.Statuses[i-1] == status {
			return fmt.Errorf("status %d in statuses, expected different ones from 200 to 299", status)
		}
	}
	if e.Sunset != "" {
		if _, err := time.Parse(time.DateOnly, e.Sunset); err != nil {
			return fmt.Errorf("sunset %.40q, expected a day such as 2027-01-31", e.Sunset)
		}
	}
	for _, h := range e.Headers {
		if h.In != InHeader || !validName(h.Name) || h.Schema == nil {
			return fmt.Errorf("header %q of the answer is not whole", h.Name)
		}
		if err := h.Schema.check(m, 0); err != nil {
			return fmt.Errorf("header %q of the answer: %w", h.Name, err)
		}
	}
	for i, a := range e.Errors {
		switch {
		case a.Code == "" || a.Status < 400 || a.Status > 599:
			return fmt.Errorf("error %q with status %d, expected a code and a status from 400 to 599", a.Code, a.Status)
		case i > 0 && e.Errors[i-1].Code >= a.Code:
			return fmt.Errorf("errors are not sorted by code, or %q is there twice", a.Code)
		}
		if err := a.Details.check(m, 0); err != nil {
			return fmt.Errorf("error %q: %w", a.Code, err)
		}
	}
	return nil
}
