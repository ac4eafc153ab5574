package limit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/brokertest"
)

// plenty is a rule that refuses nobody.
func plenty(name, by string) limit.Rule {
	return limit.Rule{Name: name, By: by, Rate: 100_000, Per: time.Second, Burst: 1 << 30}
}

// everything has rules of every kind that need no server, and limits of concurrency.
var everything = limit.Config{
	Rules:       []limit.Rule{plenty("all", "all"), plenty("subject", "subject"), plenty("address", "address"), plenty("team", "claim:team")},
	Concurrency: limit.Concurrency{Total: 1 << 20, Adaptive: true},
}

var caller = limit.Caller{Address: "[2001:db8::1]:4711", Identity: &spec.Identity{
	Subject: "somebody", Claims: []spec.Claim{{Type: "scope", Value: "x"}, {Type: "team", Value: "red"}},
}}

func limiter(tb testing.TB, c limit.Config) *limit.Limiter {
	tb.Helper()
	l, err := limit.New(c, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// pass is what the edge does with a request.
func pass(tb testing.TB, l *limit.Limiter, now time.Time) {
	tb.Helper()
	p := l.Plan("billing", invoices)
	if !l.Enter(p, true) || !l.Take(context.Background(), p, caller, now).Allowed {
		tb.Error("a request was refused")
	}
	l.Leave(p, true, time.Millisecond)
}

// TestPassingDoesNotAllocate holds the hot path to its promise.
func TestPassingDoesNotAllocate(t *testing.T) {
	l, now := limiter(t, everything), time.Now()
	pass(t, l, now)
	if n := testing.AllocsPerRun(100, func() { pass(t, l, now) }); n != 0 {
		t.Errorf("a request takes %v allocations, expected none", n)
	}
}

// BenchmarkPass is a request that falls under four rules and both limits of concurrency.
func BenchmarkPass(b *testing.B) {
	l, now := limiter(b, everything), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pass(b, l, now)
		}
	})
}

// BenchmarkOneRule is a request that falls under a rule by subject alone.
func BenchmarkOneRule(b *testing.B) {
	l, now := limiter(b, limit.Config{Rules: everything.Rules[1:2]}), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Take(context.Background(), l.Plan("billing", invoices), caller, now)
		}
	})
}

// BenchmarkUnlimited is what the stage costs where nothing is configured.
func BenchmarkUnlimited(b *testing.B) {
	l := limiter(b, limit.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if l.Plan("billing", invoices) != nil {
			b.Fatal("there is a plan")
		}
	}
}

// BenchmarkEnvironment is a request that is counted by a server on this machine.
func BenchmarkEnvironment(b *testing.B) {
	server, rule := brokertest.Valkey(b), plenty("x", "subject")
	rule.Scope, rule.Failure = limit.ScopeEnvironment, limit.FailureClosed
	l := limiter(b, limit.Config{Store: "valkey://" + server.Addr, Rules: []limit.Rule{rule}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	l.Connect(ctx)
	go func() {
		defer close(ended)
		l.Run(ctx)
	}()
	p := l.Plan("billing", invoices)
	b.ReportAllocs()
	b.SetParallelism(8) // a gateway has many requests on their way
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Take(context.Background(), p, caller, time.Now())
		}
	})
	b.StopTimer()
	cancel()
	<-ended
}
