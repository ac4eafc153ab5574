package stellatest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

// clocked has an endpoint that tells who calls, one that waits for an hour, and one that waits for its deadline.
func clocked(t *testing.T) *stellatest.Service {
	t.Helper()
	m := spec.Manifest{Service: "test", Version: "1.0.0"}
	list := stella.Endpoints{Package: "test"}
	add := func(path string, timeout time.Duration, dispatch stella.Dispatch) {
		limits := spec.DefaultLimits
		limits.TimeoutMS = timeout.Milliseconds()
		m.Endpoints = append(m.Endpoints, spec.Endpoint{
			Method: http.MethodPost, Path: path, Handler: "H", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test", Limits: limits,
		})
		list.List = append(list.List, stella.Endpoint{Method: http.MethodPost, Path: path, Dispatch: dispatch})
	}
	add("/deadline", time.Minute, func(ctx context.Context, _ *stella.Request, _ *stella.Response) error {
		<-ctx.Done()
		return ctx.Err()
	})
	add("/hour", 2*time.Hour, func(ctx context.Context, _ *stella.Request, w *stella.Response) error {
		begun := time.Now()
		select {
		case <-time.After(time.Hour):
			return w.JSON(200, time.Since(begun).String())
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	add("/who", time.Minute, func(_ context.Context, r *stella.Request, w *stella.Response) error {
		if r.Identity == nil {
			return stella.NewError(http.StatusUnauthorized, "nobody", "Say who you are.")
		}
		body, err := r.ReadBody()
		if err != nil {
			return err
		}
		return w.JSON(200, map[string]any{"subject": r.Identity.Subject, "claims": r.Identity.Claims, "body": string(body), "note": r.Header.Get("X-Note")})
	})
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return stellatest.Serve(t, stella.Manifest{JSON: string(text)}, list)
}

func TestServe(t *testing.T) {
	s := clocked(t)
	answer := s.Do("POST /who", stellatest.As("ann", "scope a:read", "tenant"), stellatest.JSON([]int{1}), stellatest.Header("X-Note", "n"))
	var got struct {
		Subject string       `json:"subject"`
		Claims  []spec.Claim `json:"claims"`
		Body    string       `json:"body"`
		Note    string       `json:"note"`
	}
	if err := answer.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Subject != "ann" || len(got.Claims) != 2 || got.Claims[0] != (spec.Claim{Type: "scope", Value: "a:read"}) || got.Body != "[1]" || got.Note != "n" {
		t.Errorf("the handler saw %+v", got)
	}
	if p := answer.Problem(); p != nil {
		t.Errorf("a success has the problem %+v", p)
	}
	if err := answer.Decode(&struct{ Subject int }{}); err == nil {
		t.Error("an answer was decoded into something else")
	}
	refused := s.Do("POST /who", stellatest.Body("text/plain", []byte("x")))
	if p := refused.Problem(); p == nil || p.Status != http.StatusUnauthorized || p.Code != "nobody" {
		t.Errorf("got the problem %+v, want code nobody", p)
	}
}

// TestVirtualTime is what authors do to test what takes time: no clock of ours, the bubble's.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clocked(t)
		var waited string
		if err := s.Do("POST /hour").Decode(&waited); err != nil || waited != "1h0m0s" {
			t.Errorf("the handler waited %q (%v), want 1h0m0s", waited, err)
		}
		begun := time.Now()
		_, err := s.Call(t.Context(), stellatest.Request{Method: http.MethodPost, Path: "/deadline"})
		if took := time.Since(begun); err == nil || took < time.Minute || took > 2*time.Minute {
			t.Errorf("the call took %v and ended with %v, want an error after its minute", took, err)
		}
		if errors.Is(err, stellatest.ErrNoEndpoint) {
			t.Error(err)
		}
	})
}
