package stella

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

func TestBackoffDoublesUpToItsCap(t *testing.T) {
	g := gomega.NewWithT(t)
	var bounds []time.Duration
	for _, ms := range []int{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		bounds = append(bounds, time.Duration(ms)*time.Millisecond)
	}
	longest := make([]time.Duration, len(bounds))
	for range 2000 {
		var b backoff
		for i, bound := range bounds {
			wait := b.next(false)
			g.Expect(wait).To(gomega.And(gomega.BeNumerically(">=", 0), gomega.BeNumerically("<", bound)))
			longest[i] = max(longest[i], wait)
		}
		b.reset()
		g.Expect(b.next(false)).To(gomega.BeNumerically("<", backoffBase))
	}
	for i, bound := range bounds { // the jitter is full: nearly the whole bound is used
		g.Expect(longest[i]).To(gomega.BeNumerically(">", bound*9/10))
	}
}

func TestBackoffAfterRefusalsGoesFurther(t *testing.T) {
	g := gomega.NewWithT(t)
	b := backoff{failures: 1 << 40}
	longest := time.Duration(0)
	for range 1000 {
		longest = max(longest, b.next(true))
	}
	g.Expect(longest).To(gomega.And(gomega.BeNumerically("<", backoffRefused), gomega.BeNumerically(">", backoffRefused*9/10)))
}

// dials counts the attempts to reach a gateway within d of virtual time. Every attempt goes as answer says: it gets
// the gateway's end of the link.
func dials(t *testing.T, d time.Duration, answer func(transports.Link)) int {
	t.Helper()
	count := 0
	synctest.Test(t, func(t *testing.T) {
		u, err := url.Parse("inmemory://" + t.Name())
		if err != nil {
			t.Fatal(err)
		}
		ln, err := transports.Listen(t.Context(), u.String(), transports.ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		r := &running{
			settings: &settings{
				instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "x"}, maxAge: DefaultMaxAge, log: slog.New(slog.DiscardHandler),
			},
			dispatcher: newDispatcher(nil, slog.New(slog.DiscardHandler)), cut: t.Context(),
			leases: &leases{total: 1}, peers: newPeers(nil, nil),
		}
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			newConnection(r, gatewayURLs{u.String()}, nil).run(ctx)
		}()
		for {
			link, err := accept(ctx, ln)
			if err != nil {
				break
			}
			count++
			answer(link)
		}
		<-done
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return count
}

func accept(ctx context.Context, ln transports.Listener) (transports.Link, error) {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	return ln.Accept()
}

func TestConnectionWaitsLongerForAGatewayThatFails(t *testing.T) {
	n := dials(t, 10*time.Minute, func(link transports.Link) { _ = link.Close() })
	// On average half the cap of 5 s passes between two attempts, once the first few are over.
	gomega.NewWithT(t).Expect(n).To(gomega.And(gomega.BeNumerically(">", 150), gomega.BeNumerically("<", 400)))
}

func TestConnectionWaitsLongestForAGatewayThatRefuses(t *testing.T) {
	refuse := session.GatewayConfig{Admit: func(*spec.Hello, []byte) error { return errors.New("not you") }}
	n := dials(t, 10*time.Minute, func(link transports.Link) {
		_, err := session.Accept(context.Background(), link, refuse)
		gomega.NewWithT(t).Expect(err).To(gomega.HaveOccurred())
	})
	gomega.NewWithT(t).Expect(n).To(gomega.And(gomega.BeNumerically(">", 20), gomega.BeNumerically("<", 90)))
}

func TestConnectionComesBackSoonToAGatewayThatTakesNoMoreOnForNow(t *testing.T) {
	busy := session.GatewayConfig{Admit: func(*spec.Hello, []byte) error { return &session.Error{Code: spec.CodeRefused, Reason: "in a moment"} }}
	n := dials(t, 10*time.Minute, func(link transports.Link) {
		_, err := session.Accept(context.Background(), link, busy)
		gomega.NewWithT(t).Expect(err).To(gomega.HaveOccurred())
	})
	gomega.NewWithT(t).Expect(n).To(gomega.And(gomega.BeNumerically(">", 150), gomega.BeNumerically("<", 400)))
}

func TestRefusalCountsWhenEveryWayRefuses(t *testing.T) {
	g := gomega.NewWithT(t)
	refused := &session.Error{Code: spec.CodeUnauthorized, Remote: true}
	busy := &session.Error{Code: spec.CodeRefused, Remote: true}
	g.Expect(refusesAll(errors.Join(refused, refused))).To(gomega.BeTrue())
	g.Expect(refusesAll(errors.Join(refused, busy))).To(gomega.BeFalse())
	g.Expect(refusesAll(errors.Join(errors.New("nobody listens"), refused))).To(gomega.BeFalse())
}

func TestConnectionForgetsFailuresOnceASessionHasLived(t *testing.T) {
	n := dials(t, 10*time.Minute, func(link transports.Link) {
		s, err := session.Accept(context.Background(), link, session.GatewayConfig{})
		if err != nil {
			return // the time was up meanwhile
		}
		<-time.After(lived)
		gomega.NewWithT(t).Expect(s.Close(spec.CodeShutdown, "")).To(gomega.Succeed())
	})
	// Five seconds of session and about 50 ms of wait: without the reset the wait would grow to 2.5 s on average.
	gomega.NewWithT(t).Expect(n).To(gomega.BeNumerically(">", 110))
}
