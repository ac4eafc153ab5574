package httpbridge_test

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
)

// timed logs how long each call takes, and how it ends.
func timed(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
	began := time.Now()
	err := next(ctx, r, w)
	stella.LoggerFromContext(ctx).Info("served", "endpoint", r.Pattern(), "status", w.StatusOf(err), "took", time.Since(began))
	return err
}

// withKey lets those pass who know a key.
func withKey(key string) stella.Interceptor {
	return func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
		if r.Header.Get("X-Api-Key") != key {
			return stella.NewError(http.StatusUnauthorized, "key_required", "Send the key as X-Api-Key.")
		}
		return next(ctx, r, w)
	}
}

// Interceptors run around dispatch, the first one outermost; net/http middleware is made one by [httpbridge.Middleware].
func Example() {
	noStore := func(next http.Handler) http.Handler { // as it was in front of the router
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r)
		})
	}
	manifest, endpoints := stella.Manifest{}, stella.Endpoints{} // generated code has them

	svc := stella.New(manifest, endpoints,
		stella.WithInterceptor(timed),
		stella.WithInterceptor(httpbridge.Middleware(noStore)),
		stella.WithInterceptor(withKey("correct horse"), stella.OfTag("staff"), stella.OfEndpoint("DELETE /books/{isbn}")),
	)
	if err := svc.Run(context.Background()); err != nil {
		slog.Info("it needs the manifest that is generated", "error", err)
	}
	// Output:
}
