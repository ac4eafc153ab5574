package edge

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// TestCredentialsGoNoFurtherThanTheyMay: who gets Authorization, and who an envelope. A job, which waits, gets neither, and a mode
// that nobody knows counts as the strictest.
func TestCredentialsGoNoFurtherThanTheyMay(t *testing.T) {
	dir := t.TempDir()
	key, err := auth.EnsureDevKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Token([]spec.Claim{{Type: "scope", Value: "read"}}, time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(strings.Repeat("k", spec.MinEnvelopeKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	e := New(Config{Verifier: key.Verifier()})
	if err := e.Apply(Policy{Envelope: &Envelope{KeyFile: keys, Services: []string{"legacy"}}}); err != nil {
		t.Fatal(err)
	}
	queueing := spec.DefaultQueueing
	for _, c := range []struct {
		trust           routing.Trust
		queue           *spec.Queueing
		kept, enveloped bool
	}{
		{routing.TrustGateway, nil, false, true},
		{routing.TrustHybrid, nil, true, true},
		{routing.TrustService, nil, true, true},
		{"", nil, false, true},
		{"everybody", nil, false, true},
		{routing.TrustGateway, &queueing, false, false},
		{routing.TrustHybrid, &queueing, false, false},
		{routing.TrustService, &queueing, false, false},
	} {
		q := httptest.NewRequest(http.MethodPost, "/a", http.NoBody)
		q.Header.Set("Authorization", "Bearer "+token)
		x := acquire(httptest.NewRecorder(), q)
		x.policy = e.policy.Load()
		x.route = &routing.Route{
			Endpoint: &spec.Endpoint{Kind: spec.KindHTTP, Queue: c.queue}, Release: &routing.Release{Service: "legacy"},
			Access: routing.Access{Claims: []spec.ClaimRequirement{{Type: "scope", Value: "read"}}, Trust: c.trust},
		}
		if p := scrub(x); p != nil {
			t.Fatal(p.detail)
		}
		if p := e.authorise(x); p != nil {
			t.Fatal(p.detail)
		}
		if p := x.seal(); p != nil {
			t.Fatal(p.detail)
		}
		has := func(name string) bool {
			return slices.ContainsFunc(x.request.Header, func(f spec.Field) bool { return f.Name == name })
		}
		if has(headerAuthorization) != c.kept || has(spec.HeaderEnvelope) != c.enveloped || has(spec.HeaderEnvelopeSignature) != c.enveloped {
			t.Errorf("trust %q, a job: %v: Authorization %v, envelope %v; expected %v, %v",
				c.trust, c.queue != nil, has(headerAuthorization), has(spec.HeaderEnvelope), c.kept, c.enveloped)
		}
		if x.request.Identity == nil {
			t.Errorf("trust %q: nobody", c.trust)
		}
		x.release()
	}
}

func TestJobsOfPublicEndpointsHoldNoCredential(t *testing.T) {
	e := New(Config{})
	for _, queue := range []*spec.Queueing{nil, {}} {
		q := httptest.NewRequest(http.MethodPost, "/a", http.NoBody)
		q.Header.Set("Authorization", "Bearer secret")
		x := acquire(httptest.NewRecorder(), q)
		x.policy = e.policy.Load()
		x.route = &routing.Route{Endpoint: &spec.Endpoint{Queue: queue}, Release: &routing.Release{}, Access: routing.Access{Public: "a test"}}
		if p := scrub(x); p != nil {
			t.Fatal(p.detail)
		}
		if p := e.authorise(x); p != nil {
			t.Fatal(p.detail)
		}
		if kept := slices.ContainsFunc(x.request.Header, func(f spec.Field) bool { return f.Name == headerAuthorization }); kept != (queue == nil) {
			t.Errorf("a job: %v, and Authorization was kept: %v", queue != nil, kept)
		}
		x.release()
	}
}
