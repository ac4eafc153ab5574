package limit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/spec"
)

// FuzzConfig checks that what is taken of a configuration works, and that what is not is an error.
func FuzzConfig(f *testing.F) {
	f.Add("invoices", "billing", "POST /invoices/{id}", "subject", 10, int64(time.Second), 3, "valkey://localhost:6379/1?prefix=x", "environment", "local")
	f.Add("x", "", "", "claim:team", 100_000, int64(time.Second), 0, "", "", "")
	f.Add("x", "", "GET /{rest...}", "address", 1, int64(744*time.Hour), 100, "rediss://me:secret@[::1]:1", "instance", "")
	f.Fuzz(func(t *testing.T, name, service, endpoint, by string, rate int, per int64, burst int, store, scope, failure string) {
		l, err := limit.New(limit.Config{Store: store, Rules: []limit.Rule{{
			Name: name, Service: service, Endpoint: endpoint, By: by, Rate: rate, Per: time.Duration(per), Burst: burst,
			Scope: limit.Scope(scope), Failure: limit.Failure(failure),
		}}}, quiet)
		if err != nil {
			return
		}
		p, now := l.Plan("billing", invoices), time.Now()
		for range 3 { // the store is not connected: failure modes decide
			d := l.Take(context.Background(), p, subject("x"), now)
			if d.Allowed == (d.RetryAfter > 0) || d.Remaining > d.Limit || d.Reset < 0 {
				t.Fatalf("%+v", d)
			}
		}
	})
}

// FuzzCaller checks that whatever a caller sends is counted by something.
func FuzzCaller(f *testing.F) {
	f.Add("192.0.2.1:1", "s", "t", "v")
	f.Add("[2001:db8::1%eth0]:1", "", "\x00", "\xff")
	f.Add("@", "", "", "")
	rules := []limit.Rule{}
	for _, by := range []string{"all", "subject", "tenant", "address", "claim:c"} {
		rules = append(rules, limit.Rule{Name: by[:3], By: by, Rate: 1, Per: time.Hour, Burst: 1})
	}
	f.Fuzz(func(t *testing.T, address, subject, tenant, claim string) {
		l, err := limit.New(limit.Config{Rules: rules}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		c := limit.Caller{Address: address, Identity: &spec.Identity{Subject: subject, Tenant: tenant, Claims: []spec.Claim{{Type: "c", Value: claim}}}}
		p, now := l.Plan("billing", invoices), time.Now()
		if !l.Take(context.Background(), p, c, now).Allowed || l.Take(context.Background(), p, c, now).Allowed {
			t.Fatal("expected the first request of a caller to pass, and no second one")
		}
	})
}
