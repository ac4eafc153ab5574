package routing_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
)

// alive passes time in which these instances send HEARTBEAT.
func (w *world) alive(d time.Duration, instances ...*routing.Instance) {
	w.now = w.now.Add(d)
	for _, in := range instances {
		w.Beat(in, ready, w.now)
	}
	w.Refresh(w.now)
}

// version is what the registry shows of a contract.
func (w *world) version(in *routing.Instance) routing.ServiceView {
	GinkgoHelper()
	for _, s := range w.Services() {
		for _, v := range s.Instances {
			if v.ID == in.ID() {
				return s
			}
		}
	}
	Fail("the instance is not shown")
	return routing.ServiceView{}
}

var _ = Describe("claimants of an owned path", func() {
	var (
		w     *world
		owner *routing.Instance
	)
	BeforeEach(func() {
		w = newWorld("")
		owner = w.join(who{service: "owner", version: "1.0.0"}, endpoint("GET", "/x"), endpoint("GET", "/y"))
	})

	It("are promoted in the order in which they came, and the next then waits for the first", func() {
		first := w.join(who{service: "first", version: "1.0.0"}, endpoint("GET", "/x"))
		second := w.join(who{service: "second", version: "1.0.0"}, endpoint("GET", "/x"))
		Expect(w.quarantine(second)).To(Equal("GET /x belongs to service owner"))
		w.Remove(owner, w.now)
		w.alive(time.Minute, first, second)
		Expect(w.owner("GET", "/x")).To(Equal("first"))
		Expect(w.quarantine(first)).To(BeEmpty())
		Expect(w.quarantine(second)).To(Equal("GET /x belongs to service first"))
		w.Remove(first, w.now)
		w.alive(time.Minute, second)
		Expect(w.owner("GET", "/x")).To(Equal("second"))
	})

	It("are promoted together when they want different paths", func() {
		first := w.join(who{service: "first", version: "1.0.0"}, endpoint("GET", "/x"))
		second := w.join(who{service: "second", version: "1.0.0"}, endpoint("GET", "/y"))
		w.Remove(owner, w.now)
		w.alive(time.Minute, first, second)
		Expect(w.owner("GET", "/x")).To(Equal("first"))
		Expect(w.owner("GET", "/y")).To(Equal("second"))
	})

	It("that leave while they wait leave nothing behind", func() {
		first := w.join(who{service: "first", version: "1.0.0"}, endpoint("GET", "/x"), endpoint("GET", "/first"))
		second := w.join(who{service: "second", version: "1.0.0"}, endpoint("GET", "/x"))
		w.Remove(first, w.now)
		Expect(w.Services()).NotTo(ContainElement(HaveField("Service", "first")))
		w.Remove(owner, w.now)
		w.alive(time.Minute, second)
		Expect(w.owner("GET", "/x")).To(Equal("second"))
		Expect(w.owner("GET", "/first")).To(BeEmpty())
	})

	It("that drain or are silent when their turn comes are passed over, until they are back", func() {
		drains := w.join(who{service: "drains", version: "1.0.0"}, endpoint("GET", "/x"))
		silent := w.join(who{service: "silent", version: "1.0.0"}, endpoint("GET", "/y"))
		next := w.join(who{service: "next", version: "1.0.0"}, endpoint("GET", "/x"))
		w.Leave(drains)
		w.Remove(owner, w.now)
		w.alive(time.Minute, drains, next)
		Expect(w.owner("GET", "/x")).To(Equal("next"))
		Expect(w.owner("GET", "/y")).To(BeEmpty())
		Expect(w.quarantine(silent)).To(Equal("GET /y belongs to service owner"))
		w.alive(time.Second, drains, next, silent)
		Expect(w.owner("GET", "/y")).To(Equal("silent"))
		Expect(w.quarantine(drains)).NotTo(BeEmpty())
	})

	It("wait on when the owner comes back in time", func() {
		claimant := w.join(who{service: "claimant", version: "1.0.0"}, endpoint("GET", "/x"))
		w.Remove(owner, w.now)
		w.alive(59*time.Second, claimant)
		again := w.join(who{service: "owner", version: "1.0.0"}, endpoint("GET", "/x"), endpoint("GET", "/y"))
		w.alive(time.Hour, claimant, again)
		Expect(w.quarantine(claimant)).To(Equal("GET /x belongs to service owner"))
		Expect(w.owner("GET", "/x")).To(Equal("owner"))
	})

	It("wait as long as any version of the owner is known", func() {
		next := w.join(who{service: "owner", version: "1.1.0"}, endpoint("GET", "/x"))
		x := w.join(who{service: "x", version: "1.0.0"}, endpoint("GET", "/x"))
		y := w.join(who{service: "y", version: "1.0.0"}, endpoint("GET", "/y"))
		w.Remove(owner, w.now)
		w.alive(time.Minute, next, x, y)
		Expect(w.quarantine(x)).NotTo(BeEmpty())
		Expect(w.quarantine(y)).To(BeEmpty(), "the version that is left does not have /y")
	})

	It("are logged once for each reason, however often they are looked at", func() {
		claimant := w.join(who{service: "claimant", version: "1.0.0"}, endpoint("GET", "/x"), endpoint("GET", "/y"))
		for range 10 {
			other := w.join(who{service: "other", version: "1.0.0"}, endpoint("GET", "/z"))
			w.Remove(other, w.now)
		}
		Expect(w.quarantine(claimant)).To(Equal("GET /x belongs to service owner"))
		Expect(w.log.String()).To(MatchRegexp("^[^\n]*instance quarantined[^\n]*\n$"))
	})
})

var _ = Describe("a version with another contract", func() {
	var (
		w   *world
		old *routing.Instance
	)
	BeforeEach(func() {
		w = newWorld("")
		old = w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"), endpoint("GET", "/old"))
	})
	changed := func() *routing.Instance {
		GinkgoHelper()
		return w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"), endpoint("GET", "/new"))
	}

	It("waits for the live instance, is shown with its own digests, and serves nothing", func() {
		in := changed()
		Expect(w.quarantine(in)).To(MatchRegexp(
			`^contract sha256:\w+ differs from sha256:\w+ of the live instance i\d+ of a 1\.0\.0: a changed contract needs a new version$`))
		was, is := w.version(old), w.version(in)
		Expect(is.ContractDigest).NotTo(Equal(was.ContractDigest))
		Expect(is.ManifestDigest).To(Equal(in.Session.Hello().ManifestDigest))
		Expect(was.ManifestDigest).To(Equal(old.Session.Hello().ManifestDigest))
		Expect(w.owner("GET", "/new")).To(BeEmpty())
		Expect(w.pick("/a")).To(BeIdenticalTo(old))
		Expect(was.Warning).To(BeEmpty())
	})

	It("replaces the contract at once when no instance is there any more, with a warning in the log and to see", func() {
		w.Remove(old, w.now)
		in := changed()
		Expect(w.quarantine(in)).To(BeEmpty())
		Expect(w.pick("/a")).To(BeIdenticalTo(in))
		Expect(w.owner("GET", "/new")).To(Equal("a"))
		Expect(w.owner("GET", "/old")).To(BeEmpty())
		Expect(w.Services()).To(HaveLen(1))
		Expect(w.version(in).Warning).To(MatchRegexp(
			`^at 2026-01-01T00:00:00Z the contract sha256:\w+ was replaced by sha256:\w+ without a new version`))
		Expect(w.log.String()).To(MatchRegexp(`level=WARN msg="contract replaced without a new version" service=a version=1\.0\.0 from=sha256:\w+ to=sha256:\w+`))
	})

	It("replaces the contract of instances that only drain, which keep their calls and get no others", func() {
		held := w.Snapshot().Match("GET", "/old", nil).Endpoint.Default("")
		in := changed()
		w.Leave(old)
		w.later(0)
		Expect(w.quarantine(in)).To(BeEmpty())
		Expect(w.pick("/a")).To(BeIdenticalTo(in))
		Expect(w.quarantine(old)).To(ContainSubstring("differs from " + w.version(in).ContractDigest))
		Expect(held.Release.Pick(w.now, nil)).To(BeIdenticalTo(old), "what began before goes on")
	})

	It("keeps its place when those it replaced are heard of again", func() {
		in := changed()
		w.alive(10*time.Second, in) // silence
		Expect(w.quarantine(in)).To(BeEmpty())
		Expect(w.quarantine(old)).NotTo(BeEmpty())
		w.alive(time.Second, in, old)
		Expect(w.quarantine(in)).To(BeEmpty())
		Expect(w.quarantine(old)).NotTo(BeEmpty())
		for range 20 {
			Expect(w.pick("/a")).To(BeIdenticalTo(in))
		}
	})

	It("gives those who came before it what it no longer offers", func() {
		waiting := w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/old"))
		in := changed()
		Expect(w.quarantine(waiting)).To(Equal("GET /old belongs to service a"))
		w.Remove(old, w.now)
		Expect(w.quarantine(in)).To(BeEmpty())
		Expect(w.quarantine(waiting)).To(BeEmpty())
		Expect(w.owner("GET", "/old")).To(Equal("b"))
	})

	It("does not replace anything as long as another service owns what it adds", func() {
		w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/new"))
		w.Remove(old, w.now)
		in := changed()
		Expect(w.quarantine(in)).To(Equal("GET /new belongs to service b"))
		Expect(w.owner("GET", "/old")).To(Equal("a"), "as known as before")
	})

	It("is the first contract again once the version is forgotten, without a warning", func() {
		w.Remove(old, w.now)
		w.later(time.Minute)
		in := changed()
		Expect(w.quarantine(in)).To(BeEmpty())
		Expect(w.version(in).Warning).To(BeEmpty())
	})

	It("is none when only documentation differs, whose own digest is shown", func() {
		e := endpoint("GET", "/a")
		e.Doc = "Says more."
		in := w.join(who{service: "a", version: "1.0.0"}, e, endpoint("GET", "/old"))
		Expect(w.quarantine(in)).To(BeEmpty())
		v := w.version(in)
		Expect(v.Instances).To(HaveLen(2))
		Expect(v.ManifestDigest).To(Equal(old.Session.Hello().ManifestDigest))
		Expect(v.Instances).To(ContainElement(HaveField("ManifestDigest", in.Session.Hello().ManifestDigest)))
	})

	It("is a matter of its own version only", func() {
		in := w.join(who{service: "a", version: "1.0.1"}, endpoint("GET", "/a"), endpoint("GET", "/new"))
		Expect(w.quarantine(in)).To(BeEmpty())
	})
})

var _ = Describe("patterns of different services", func() {
	DescribeTable("may stand together where they match nothing in common, or one is a part of the other; the part wins",
		func(one, other, path, wins string) {
			w := newWorld("")
			w.join(who{service: "one", version: "1.0.0"}, endpoint("GET", one))
			Expect(w.quarantine(w.join(who{service: "other", version: "1.0.0"}, endpoint("GET", other)))).To(BeEmpty())
			Expect(w.owner("GET", path)).To(Equal(wins))
		},
		Entry("a literal beside a parameter", "/x/{id}", "/x/new", "/x/new", "other"),
		Entry("a parameter beside a literal", "/x/new", "/x/{id}", "/x/new", "one"),
		Entry("a parameter beside the rest", "/x/{rest...}", "/x/{id}", "/x/1", "other"),
		Entry("the rest beside deeper paths", "/x/{a}/{b}", "/x/{rest...}", "/x/1/2", "one"),
		Entry("everything beside the root", "/", "/{rest...}", "/", "one"),
		Entry("different lengths", "/x/{id}", "/x/{id}/y", "/x/1/y", "other"),
		Entry("different literals", "/x/{id}/a", "/x/{key}/b", "/x/1/b", "other"),
	)

	DescribeTable("conflict where each matches something that the other does not, or both match the same",
		func(one, other, reason string) {
			for _, order := range [][2]string{{one, other}, {other, one}} {
				w := newWorld("")
				w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", order[0]))
				late := w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", order[1]), endpoint("GET", "/free"))
				Expect(w.quarantine(late)).To(ContainSubstring(reason))
				Expect(w.owner("GET", "/free")).To(BeEmpty())
			}
		},
		Entry("the same but for names", "/x/{id}", "/x/{key}", "belongs to service a"),
		Entry("the same rest", "/x/{id...}", "/x/{key...}", "belongs to service a"),
		Entry("crossed parameters", "/x/{id}/log", "/x/new/{name}", "neither is a part of the other"),
		Entry("the rest across a parameter", "/x/{id}/log", "/x/new/{rest...}", "neither is a part of the other"),
	)

	It("say which, in a reason that names both and does not depend on the order of a map", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"},
			endpoint("GET", "/x/c/{n}"), endpoint("GET", "/x/b/{n}"), endpoint("GET", "/x/d/{n}"), endpoint("GET", "/x/e/{n}"))
		for range 10 {
			in := w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/x/{id}/log"))
			Expect(w.quarantine(in)).To(Equal(
				"GET /x/{id}/log overlaps GET /x/b/{n} of service a, and neither is a part of the other: some paths match both"))
			w.Remove(in, w.now)
		}
	})

	It("do not conflict with another method's, nor within one service", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x/{id}/log"))
		Expect(w.quarantine(w.join(who{service: "b", version: "1.0.0"}, endpoint("POST", "/x/new/{name}")))).To(BeEmpty())
		Expect(w.quarantine(w.join(who{service: "a", version: "2.0.0"}, endpoint("GET", "/x/new/{name}")))).To(BeEmpty())
		Expect(w.Snapshot().Match("GET", "/x/new/log", nil).Endpoint.Path).To(Equal("/x/new/{name}"), "from left to right")
	})

	It("of a claimant are promoted like any other", func() {
		w := newWorld("")
		owner := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x/{id}/log"))
		in := w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/x/new/{name}"))
		w.Remove(owner, w.now)
		w.alive(time.Minute, in)
		Expect(w.owner("GET", "/x/new/log")).To(Equal("b"))
	})
})

var _ = Describe("the sessions' states", func() {
	It("are live, quarantined, unhealthy and draining", func() {
		w := newWorld("")
		live := w.join(who{service: "live", version: "1.0.0"}, endpoint("GET", "/x"))
		waits := w.join(who{service: "waits", version: "1.0.0"}, endpoint("GET", "/x"))
		w.join(who{service: "silent", version: "1.0.0"}, endpoint("GET", "/y"))
		drains := w.join(who{service: "drains", version: "1.0.0"}, endpoint("GET", "/z"))
		w.Leave(drains)
		w.alive(10*time.Second, live, waits, drains)
		states := map[string]string{}
		for _, s := range w.Sessions() {
			Expect(s.Version).To(Equal("1.0.0"))
			states[s.Service] = string(s.State)
		}
		Expect(states).To(Equal(map[string]string{"live": "live", "waits": "quarantined", "silent": "unhealthy", "drains": "draining"}))
	})
})
