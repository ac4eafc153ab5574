package stella

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stella-ops/router/spec"
)

// TestInterceptorsAllocateNothing holds that interceptors are put together once: around a call, none of them allocates, nor does
// what keeps their header fields apart from a handler's as long as they set none.
func TestInterceptorsAllocateNothing(t *testing.T) {
	errRefused := errors.New("refused")
	through := func(ctx context.Context, r *Request, w *Response, next Dispatch) error { return next(ctx, r, w) }
	for name, dispatch := range map[string]Dispatch{
		"a handler that answers": func(_ context.Context, _ *Request, w *Response) error { return w.Empty(http.StatusNoContent) },
		"a handler that fails":   func(context.Context, *Request, *Response) error { return errRefused },
	} {
		t.Run(name, func(t *testing.T) {
			e := spec.Endpoint{Method: "GET", Path: "/a"}
			routes := []route{{endpoint: &e, dispatch: dispatch}}
			list := []interception{{run: through}, {run: through, scopes: []Scope{OfEndpoint("GET /a")}}, {run: through}}
			if err := intercept(routes, &spec.Manifest{Service: "test", Endpoints: []spec.Endpoint{e}}, list); err != nil {
				t.Fatal(err)
			}
			ctx, r, w := context.Background(), &Request{}, &Response{length: -1}
			calls := 0
			allocs := testing.AllocsPerRun(1000, func() {
				*w = Response{length: -1}
				if err := routes[0].dispatch(ctx, r, w); err == nil || errors.Is(err, errRefused) {
					calls++
				}
			})
			if allocs != 0 || calls != 1001 {
				t.Errorf("%v allocations a call, in %d calls; expected none, in 1001", allocs, calls)
			}
		})
	}
}
