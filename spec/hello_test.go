package spec_test

import (
	"math"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

var _ = Describe("HELLO", func() {
	DescribeTable("is refused", func(spoil func(*spec.Hello), why string) {
		h := goldenHello
		spoil(&h)
		Expect(h.Check("resync")).To(MatchError(ContainSubstring(why)))
	},
		Entry("without a service", func(h *spec.Hello) { h.Instance.Service = "" }, `service ""`),
		Entry("with a service that is no name", func(h *spec.Hello) { h.Instance.Service = "-a" }, `service "-a"`),
		Entry("with a version that is not strict", func(h *spec.Hello) { h.Instance.Version = "1.4" }, `version "1.4"`),
		Entry("without an instance id", func(h *spec.Hello) { h.Instance.ID = "" }, "instance id"),
		Entry("with an instance id that breaks a line", func(h *spec.Hello) { h.Instance.ID = "a\nb" }, "instance id"),
		Entry("with a region that is no name", func(h *spec.Hello) { h.Instance.Region = "e u" }, "region"),
		Entry("with a nonce that is too short", func(h *spec.Hello) { h.Nonce = "0123" }, "nonce"),
		Entry("with a nonce that is not hex", func(h *spec.Hello) { h.Nonce = "0123456789abcdeg" }, "nonce"),
		Entry("with a nonce in capitals", func(h *spec.Hello) { h.Nonce = "0123456789ABCDEF" }, "nonce"),
		Entry("without a digest", func(h *spec.Hello) { h.ManifestDigest = "" }, "manifestDigest"),
		Entry("with a digest of another kind", func(h *spec.Hello) { h.ManifestDigest = "md5:00" }, "manifestDigest"),
		Entry("with a digest that is too short", func(h *spec.Hello) { h.ManifestDigest = "sha256:00" }, "manifestDigest"),
		Entry("with a digest that is not hex", func(h *spec.Hello) { h.ManifestDigest = "sha256:" + strings.Repeat("g", 64) }, "manifestDigest"),
		Entry("without a lease", func(h *spec.Hello) { h.Lease = 0 }, "lease 0, expected 1 to"),
		Entry("with a lease that is too large", func(h *spec.Hello) { h.Lease = spec.MaxLease + 1 }, "lease 1048577"),
		Entry("without a window", func(h *spec.Hello) { h.StreamWindow = 0 }, "streamWindow 0, expected 1 to"),
		Entry("with a window that credit cannot reach", func(h *spec.Hello) { h.StreamWindow = 1 << 31 }, "streamWindow 2147483648"),
		Entry("with a session's window under a stream's", func(h *spec.Hello) { h.SessionWindow = h.StreamWindow - 1 }, "sessionWindow 65535, expected"),
		Entry("with a session's window that nobody can count", func(h *spec.Hello) { h.SessionWindow = spec.MaxSessionWindow + 1 }, "sessionWindow"),
		Entry("with a secret that is too short", func(h *spec.Hello) { h.Supersedes = "00" }, "supersedes"),
		Entry("with too many features", func(h *spec.Hello) { h.Features = make([]spec.Feature, 65) }, "65 features, the limit is 64"),
		Entry("with a feature that has no name", func(h *spec.Hello) { h.Features = []spec.Feature{{}} }, "HELLO feature"),
	)

	It("is refused for a critical feature that is not known, in a way that can be told", func() {
		h := goldenHello
		Expect(h.Check("resync")).To(Succeed())
		Expect(h.Check()).To(MatchError(spec.ErrFeature))
		h.Features = []spec.Feature{{Name: "telepathy"}}
		Expect(h.Check()).To(Succeed(), "what may be ignored is")
	})

	It("is taken at its limits", func() {
		h := goldenHello
		h.Lease, h.StreamWindow, h.SessionWindow, h.Instance.Region, h.Features = spec.MaxLease, math.MaxInt32, spec.MaxSessionWindow, "", nil
		h.Supersedes = ""
		h.Instance.Service = strings.Repeat("a", 128)
		Expect(h.Check()).To(Succeed())
		h.Lease, h.StreamWindow, h.SessionWindow, h.Instance.Service = 1, 1, 1, "0._-"
		Expect(h.Check()).To(Succeed())
	})
})

var _ = Describe("WELCOME", func() {
	DescribeTable("is refused", func(spoil func(*spec.Welcome), why string) {
		w := goldenWelcome
		spoil(&w)
		Expect(w.Check()).To(MatchError(ContainSubstring(why)))
	},
		Entry("with heartbeats that never pause", func(w *spec.Welcome) { w.HeartbeatMS = 9 }, "heartbeatMs 9, expected 10 to 600000"),
		Entry("with heartbeats that hardly come", func(w *spec.Welcome) { w.HeartbeatMS = 600_001 }, "heartbeatMs"),
		Entry("with frames that hold no small call", func(w *spec.Welcome) { w.MaxFrame = 81_918 }, "maxFrame 81918, expected 81919 to 1048576"),
		Entry("with frames over the hard cap", func(w *spec.Welcome) { w.MaxFrame = spec.MaxFrameHard + 1 }, "maxFrame"),
		Entry("without a window", func(w *spec.Welcome) { w.StreamWindow = 0 }, "streamWindow 0"),
		Entry("with a window that credit cannot reach", func(w *spec.Welcome) { w.StreamWindow = 1 << 31 }, "streamWindow"),
		Entry("with a session's window under a stream's", func(w *spec.Welcome) { w.SessionWindow = 1 }, "sessionWindow 1, expected"),
		Entry("without HELLO's nonce", func(w *spec.Welcome) { w.Nonce = "" }, "WELCOME nonce"),
		Entry("without a secret", func(w *spec.Welcome) { w.Secret = "" }, "WELCOME secret"),
		Entry("with a node that breaks a line", func(w *spec.Welcome) { w.Node = "a\nb" }, "WELCOME node"),
		Entry("with a node that is too long", func(w *spec.Welcome) { w.Node = strings.Repeat("a", 129) }, "WELCOME node"),
		Entry("with a region that is no name", func(w *spec.Welcome) { w.Region = "a b" }, "WELCOME region"),
		Entry("with too many features", func(w *spec.Welcome) { w.Features = make([]string, 65) }, "65 features, the limit is 64"),
		Entry("with a feature that has no name", func(w *spec.Welcome) { w.Features = []string{""} }, "WELCOME feature"),
		Entry("with too many gateways", func(w *spec.Welcome) { w.Gateways = make([]string, 65) }, "65 gateways, the limit is 64"),
	)

	It("needs no name of the node", func() {
		w := goldenWelcome
		w.Node, w.Region = "", ""
		Expect(w.Check()).To(Succeed())
	})
})

var _ = Describe("HEARTBEAT", func() {
	DescribeTable("is refused", func(h spec.Heartbeat, why string) { Expect(h.Check()).To(MatchError(ContainSubstring(why))) },
		Entry("without a status", spec.Heartbeat{}, `status ""`),
		Entry("with calls below none", spec.Heartbeat{Status: spec.StatusReady, InFlight: -1}, "inFlight -1"),
		Entry("with more failures than calls", spec.Heartbeat{Status: spec.StatusReady, ErrorPermille: 1001}, "errorPermille 1001"),
		Entry("with failures below none", spec.Heartbeat{Status: spec.StatusReady, ErrorPermille: -1}, "errorPermille -1"),
		Entry("with a lease below none", spec.Heartbeat{Status: spec.StatusReady, Lease: -1}, "lease -1"),
		Entry("with a lease that is too large", spec.Heartbeat{Status: spec.StatusReady, Lease: spec.MaxLease + 1}, "lease 1048577"),
	)

	It("may say any status, and that nothing is taken on", func() {
		for _, s := range []spec.Status{spec.StatusReady, spec.StatusDegraded, spec.StatusDraining} {
			Expect((&spec.Heartbeat{Status: s, ErrorPermille: 1000}).Check()).To(Succeed())
		}
	})
})

var _ = Describe("A JSON payload", func() {
	It("may say more than this version knows", func() {
		var h spec.Heartbeat
		Expect(spec.DecodeJSON([]byte(`{"status":"ready","news":[1.5]}`), &h)).To(Succeed())
		Expect(h.Status).To(Equal(spec.StatusReady))
	})

	It("is refused when it is none, by the name of what was expected", func() {
		Expect(spec.DecodeJSON([]byte(`{"status":`), &spec.Heartbeat{})).To(MatchError(ContainSubstring("*spec.Heartbeat")))
		Expect(spec.DecodeJSON([]byte(`{"lease":"many"}`), &spec.Heartbeat{})).To(MatchError(ContainSubstring("lease")))
	})
})

var _ = Describe("Limits", func() {
	It("of zero mean the default, each by itself", func() {
		Expect(spec.Limits{}.WithDefaults()).To(Equal(spec.DefaultLimits))
		l := spec.Limits{MaxBodyBytes: 7, IdleMS: 9}.WithDefaults()
		Expect(l).To(Equal(spec.Limits{MaxBodyBytes: 7, TimeoutMS: 30_000, IdleMS: 9}))
		Expect(l.Timeout()).To(Equal(30 * time.Second))
		Expect(l.Idle()).To(Equal(9 * time.Millisecond))
	})
})
