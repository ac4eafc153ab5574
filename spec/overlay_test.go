package spec_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// overlaidHello is a HELLO with an overlay.
func overlaidHello() *spec.Hello {
	h := goldenHello
	h.Features = []spec.Feature{{Name: spec.FeatureOverlay, Critical: true}}
	h.Overlay = []spec.OverlayEndpoint{{
		Endpoint: "POST /invoices", TimeoutMS: 2000, IdleMS: 1, MaxBodyBytes: 1 << 16,
		Claims:  []spec.ClaimRequirement{{Type: "scope", Value: "billing:write"}},
		Origins: map[string]string{spec.OverlayTimeout: "overlay.yaml:3:14", spec.OverlayClaims: "overlay.yaml:4:5"},
	}, {Endpoint: "GET /invoices/{id}", TimeoutMS: 1}}
	return &h
}

var _ = Describe("An overlay in HELLO", func() {
	It("goes with a critical feature, so that a gateway which does not know it refuses", func() {
		Expect(overlaidHello().Check(spec.FeatureOverlay)).To(Succeed())
		Expect(overlaidHello().Check()).To(MatchError(spec.ErrFeature))
	})

	DescribeTable("is refused", func(spoil func(*spec.Hello), why string) {
		h := overlaidHello()
		spoil(h)
		Expect(h.Check(spec.FeatureOverlay)).To(MatchError(ContainSubstring(why)))
	},
		Entry("without its feature", func(h *spec.Hello) { h.Features = nil }, "if and only if"),
		Entry("with a feature that may be skipped", func(h *spec.Hello) { h.Features[0].Critical = false }, "if and only if"),
		Entry("that is a feature alone", func(h *spec.Hello) { h.Overlay = nil }, "if and only if"),
		Entry("of too many endpoints", func(h *spec.Hello) { h.Overlay = make([]spec.OverlayEndpoint, 257) }, "257 endpoints, the limit is 256"),
		Entry("of what is no endpoint", func(h *spec.Hello) { h.Overlay[0].Endpoint = "/invoices" }, `"/invoices"`),
		Entry("with an endpoint twice", func(h *spec.Hello) { h.Overlay[0].Endpoint = "GET /invoices/{other}" }, "GET /invoices/{id} twice"),
		Entry("with a negative body limit", func(h *spec.Hello) { h.Overlay[0].MaxBodyBytes = -1 }, "maxBodyBytes -1"),
		Entry("with too large a body limit", func(h *spec.Hello) { h.Overlay[0].MaxBodyBytes = 1<<40 + 1 }, "maxBodyBytes"),
		Entry("with a negative timeout", func(h *spec.Hello) { h.Overlay[0].TimeoutMS = -1 }, "timeoutMs -1"),
		Entry("with too long an idle time", func(h *spec.Hello) { h.Overlay[0].IdleMS = 86_400_001 }, "idleMs 86400001"),
		Entry("with a claim without a type", func(h *spec.Hello) { h.Overlay[0].Claims[0].Type = "" }, "claim without a type"),
		Entry("with too many claims", func(h *spec.Hello) { h.Overlay[0].Claims = make([]spec.ClaimRequirement, 129) }, "129 claims, the limit is 128"),
		Entry("with too many origins", func(h *spec.Hello) {
			h.Overlay[0].Origins = map[string]string{"a": "", "b": "", "c": "", "d": "", "e": ""}
		}, "5 origins, there are 4 values"),
		Entry("with an origin that breaks a line", func(h *spec.Hello) { h.Overlay[0].Origins["timeout"] = "a\nb" }, "origin of"),
		Entry("with an origin that is too long", func(h *spec.Hello) { h.Overlay[0].Origins["timeout"] = strings.Repeat("a", 257) }, "origin of"),
	)

	It("names endpoints of the manifest alone", func() {
		m := &spec.Manifest{Service: "billing", Version: "1.0.0", Endpoints: []spec.Endpoint{{Method: "GET", Path: "/invoices/{number}"}}}
		Expect(spec.CheckOverlay(nil, m)).To(Succeed())
		Expect(spec.CheckOverlay([]spec.OverlayEndpoint{{Endpoint: "GET /invoices/{id}"}}, m)).To(Succeed())
		Expect(spec.CheckOverlay([]spec.OverlayEndpoint{{Endpoint: "PUT /invoices/{id}"}}, m)).To(
			MatchError(ContainSubstring("names PUT /invoices/{id}, which billing 1.0.0 does not offer")))
	})

})
