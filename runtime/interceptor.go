package stella

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// Interceptor runs around the dispatch of a call: what it does before next comes before the handler, and what it does after
// next comes after it. It may
//
//   - read and change the request,
//   - give next a context with more in it, which has to come from ctx,
//   - refuse: return an error, as a handler does, without calling next,
//   - set header fields of the answer. A field that is set before next is the handler's to change. After next it still counts,
//     unless the answer has begun, as streams and bodies of more than 16 KiB have. Fields that interceptors set stay where the
//     handler fails, while those that the handler has set go,
//   - know how the call has ended, by [Response.StatusOf] and [Response.Written],
//   - answer itself instead of an error of next, which has left nothing of the handler's answer unless that has begun,
//   - call next again when it has failed and nothing of its answer has left. Once the handler has answered, another call of next
//     is an error: the handler is not called, and its answer stands.
//
// It must not call next from another goroutine, or when it has returned. A panic in it is answered as one of a handler is.
// It is called concurrently.
type Interceptor func(ctx context.Context, r *Request, w *Response, next Dispatch) error

// Scope names endpoints that an interceptor runs for.
type Scope struct{ tag, endpoint string }

// OfTag are the endpoints with a tag, as tags= of their directives has it.
func OfTag(tag string) Scope { return Scope{tag: tag} }

// OfEndpoint is one endpoint, by its method and path, such as GET /invoices/{id}. Names of parameters do not count.
func OfEndpoint(name string) Scope { return Scope{endpoint: name} }

// interception is an interceptor with what it runs for: all endpoints where there is no scope.
type interception struct {
	run    Interceptor
	scopes []Scope
}

// WithInterceptor has an interceptor run around every call, those of queued jobs included; with scopes, around calls of the
// endpoints that any of them names. Of several, the one that is given to [New] first is outermost. [Service.Run] refuses a nil
// one, and a scope that names nothing.
func WithInterceptor(i Interceptor, scopes ...Scope) Part {
	return option(func(c *config) { c.interceptors = append(c.interceptors, interception{i, scopes}) })
}

// intercept puts the interceptors around the dispatchers of routes, once for all calls. It reports all scopes that name nothing.
func intercept(routes []route, m *spec.Manifest, list []interception) error {
	var errs []error
	around := make([][]Interceptor, len(routes)) // by route, outermost first
	for _, in := range list {
		if in.run == nil {
			errs = append(errs, errors.New("stella: WithInterceptor: the interceptor is nil"))
		}
		picked := make([]bool, len(routes))
		for _, s := range in.scopes {
			if err := s.pick(picked, routes, m); err != nil {
				errs = append(errs, fmt.Errorf("stella: WithInterceptor: %w", err))
			}
		}
		for i := range routes {
			if picked[i] || len(in.scopes) == 0 {
				around[i] = append(around[i], in.run)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, list := range around {
		if len(list) == 0 {
			continue
		}
		dispatch := separate(routes[i].dispatch)
		for _, run := range slices.Backward(list) {
			next := dispatch
			dispatch = func(ctx context.Context, r *Request, w *Response) error {
				w.intercepted = true
				return run(ctx, r, w, next)
			}
		}
		routes[i].dispatch = dispatch
	}
	return nil
}

// pick marks the routes that s names.
func (s Scope) pick(picked []bool, routes []route, m *spec.Manifest) error {
	if s.endpoint != "" {
		return pickEndpoint(picked, routes, m, s.endpoint)
	}
	found, tags := false, map[string]bool{}
	for i := range routes {
		for _, tag := range routes[i].endpoint.Tags {
			tags[tag] = true
			if tag == s.tag {
				picked[i], found = true, true
			}
		}
	}
	switch {
	case found:
		return nil
	case len(tags) == 0:
		return fmt.Errorf("no endpoint of %s has the tag %q, nor any other: give endpoints tags=", m.Service, s.tag)
	}
	return fmt.Errorf("no endpoint of %s has the tag %q; there are %s", m.Service, s.tag, strings.Join(slices.Sorted(maps.Keys(tags)), ", "))
}

func pickEndpoint(picked []bool, routes []route, m *spec.Manifest, name string) error {
	want, err := spec.ParseIdentity(name)
	if err != nil {
		return err
	}
	names := make([]string, len(routes))
	for i := range routes {
		e := routes[i].endpoint
		if id, err := e.Identity(); err == nil && id == want {
			picked[i] = true
			return nil
		}
		names[i] = e.Method + " " + e.Path
	}
	return fmt.Errorf("%s has no endpoint %s; there are %s", m.Service, name, strings.Join(names, ", "))
}

var errAgain = errors.New("stella: an interceptor has called next again though its call is answered")

// separate is a dispatcher whose failure leaves of the answer what interceptors have said, and nothing of what it has said
// itself.
func separate(dispatch Dispatch) Dispatch {
	return func(ctx context.Context, r *Request, w *Response) (err error) {
		if w.answered {
			return errAgain
		}
		var before Header
		if len(w.header) > 0 {
			before = slices.Clone(w.header)
		}
		failed := true // it panics
		defer func() {
			if w.answered = !failed || w.begun; !w.answered {
				w.reset(before)
			}
		}()
		err = dispatch(ctx, r, w)
		failed = err != nil
		return err
	}
}
