// Package headers reads headers.
//
//stella:service headers version=1.0.0 owner=fixtures
package headers

import (
	"context"
	"net/http"

	stella "github.com/stella-ops/router/runtime"
)

const tenant = "x-tenant"

// Raw reads them itself.
//
//stella:endpoint GET /raw
//stella:claim scope headers:read
func Raw(_ context.Context, r *stella.Request, _ *stella.Response) error {
	_ = r.Header.Get("X-User-Id") // want `STL1803: header X-User-Id never arrives`
	_ = r.Header.Values(tenant)   // want `STL1803: header X-Tenant never arrives`
	_ = r.Header.Get("If-None-Match")
	return nil
}

// Typed asks for the request.
//
//stella:endpoint GET /typed
//stella:claim scope headers:read
func Typed(ctx context.Context) error {
	if stella.RequestFromContext(ctx).Header.Has("Forwarded") { // want `STL1803: header Forwarded never arrives`
		return nil
	}
	return nil
}

// Old is a net/http handler.
//
//stella:endpoint GET /old
//stella:public "nothing but a greeting is here"
func Old(w http.ResponseWriter, r *http.Request) {
	_ = caller(r)
	_ = r.Header["X-Forwarded-For"] // want `STL1803: header X-Forwarded-For never arrives`
	r.Header.Set("X-User-Id", "")
	w.Header().Get("X-User-Id")
	out, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://127.0.0.1", nil)
	_ = out.Header.Get("X-User-Id") // it is sent, not received
}

func caller(r *http.Request) string {
	return r.Header.Get("X-Forwarded-User") // want `STL1803: header X-Forwarded-User never arrives`
}
