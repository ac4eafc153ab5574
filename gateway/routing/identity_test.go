package routing_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("a second session of an instance", func() {
	var (
		w     *world
		first *routing.Instance
	)
	BeforeEach(func() {
		w = newWorld("")
		first = w.join(who{service: "a", version: "1.0.0", id: "one"}, endpoint("GET", "/x"))
	})

	DescribeTable("is quarantined as long as the first is there, if it does not know the first one's secret", func(supersedes func() string) {
		second := w.join(who{service: "a", version: "1.0.0", id: "one", supersedes: supersedes()}, endpoint("GET", "/x"))
		Expect(w.quarantines(first)).To(ContainElement("instance one of service a has a live session already, from inmemory: instance ids have to differ"))
		for range 20 {
			Expect(w.pick("/x")).To(BeIdenticalTo(first))
		}
		w.Remove(first, w.now)
		Expect(w.quarantine(second)).To(BeEmpty())
		Expect(w.pick("/x")).To(BeIdenticalTo(second))
		Expect(w.log.String()).To(ContainSubstring("promoted from quarantine"))
	},
		Entry("with none", func() string { return "" }),
		Entry("with a wrong one", func() string { return strings.Repeat("0", 32) }),
	)

	It("takes the first one's place with its secret, in one step, and the first drains", func() {
		second := w.join(who{service: "a", version: "1.0.0", id: "one", supersedes: first.Session.Secret()}, endpoint("GET", "/x"))
		for range 20 {
			Expect(w.pick("/x")).To(BeIdenticalTo(second))
		}
		Expect(first.Session.Lease()).To(BeZero(), "no call begins on the first any more")
		Expect(w.quarantines(first)).To(ContainElement(ContainSubstring("superseded")))
		w.later(time.Second)
		w.Beat(second, ready, w.now)
		w.Remove(first, w.now)
		Expect(w.pick("/x")).To(BeIdenticalTo(second))
		Expect(w.quarantine(second)).To(BeEmpty())
	})

	It("may be superseded in turn, and only with the secret of the one that stands", func() {
		second := w.join(who{service: "a", version: "1.0.0", id: "one", supersedes: first.Session.Secret()}, endpoint("GET", "/x"))
		stale := w.join(who{service: "a", version: "1.0.0", id: "one", supersedes: first.Session.Secret()}, endpoint("GET", "/x"))
		Expect(w.pick("/x")).To(BeIdenticalTo(second))
		third := w.join(who{service: "a", version: "1.0.0", id: "one", supersedes: second.Session.Secret()}, endpoint("GET", "/x"))
		Expect(w.pick("/x")).To(BeIdenticalTo(third))
		Expect(stale.Session.Lease()).NotTo(BeZero(), "it is known, and waits")
	})

	It("is another instance when the service is another", func() {
		other := w.join(who{service: "b", version: "1.0.0", id: "one"}, endpoint("GET", "/y"))
		Expect(w.quarantines(other)).To(Equal([]string{"", "", "unknown"}))
		Expect(w.owner("GET", "/y")).To(Equal("b"))
	})
})

var _ = Describe("an offer", func() {
	It("is known by its digest for as long as somebody offers it, or did not long ago", func() {
		w := newWorld("")
		in := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x"))
		digest := in.Session.Hello().ManifestDigest
		offer := w.Offer(digest)
		Expect(offer).NotTo(BeNil())
		Expect(offer.Of(in.Session.Hello())).To(Succeed())
		Expect(offer.Of(&spec.Hello{Instance: spec.Instance{Service: "b", Version: "1.0.0"}})).To(MatchError(ContainSubstring("HELLO says b 1.0.0")))
		Expect(w.Offer(spec.Digest(nil))).To(BeNil())
		w.Remove(in, w.now)
		Expect(w.Offer(digest)).To(BeIdenticalTo(offer))
		w.later(2 * time.Minute)
		Expect(w.Offer(digest)).To(BeNil())
	})
})

var _ = Describe("owners of paths", func() {
	It("beat the first comer: others are quarantined whoever is there", func() {
		w := newOwnedWorld("", routing.Owners{"/invoices": "billing"})
		thief := w.join(who{service: "thief", version: "1.0.0"}, endpoint("GET", "/invoices/{id}"), endpoint("GET", "/mine"))
		Expect(w.quarantine(thief)).To(Equal(
			"GET /invoices/{id} belongs to service billing, which this gateway's configuration names the owner of /invoices"))
		Expect(w.owner("GET", "/mine")).To(BeEmpty())
		billing := w.join(who{service: "billing", version: "1.0.0"}, endpoint("GET", "/invoices/{id}"))
		Expect(w.quarantine(billing)).To(BeEmpty())
	})

	DescribeTable("own what is below their path, the longest counting", func(path, owner string) {
		w := newOwnedWorld("", routing.Owners{"/": "root", "/a": "a", "/a/b": "b"})
		in := w.join(who{service: owner, version: "1.0.0"}, endpoint("GET", path))
		Expect(w.quarantine(in)).To(BeEmpty())
		other := w.join(who{service: "other", version: "1.0.0"}, endpoint("GET", path))
		Expect(w.quarantine(other)).To(ContainSubstring("belongs to service " + owner))
	},
		Entry("itself", "/a", "a"),
		Entry("below it", "/a/x/y", "a"),
		Entry("not what only begins like it", "/ab", "root"),
		Entry("the longer path", "/a/b/c", "b"),
		Entry("a parameter is nobody's name", "/a/{x}/c", "a"),
		Entry("what remains", "/{rest...}", "root"),
	)

	DescribeTable("are refused", func(text, why string) {
		_, _, err := routing.ParseOwner(text)
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("without a service", "/a", "expected PATH=SERVICE"),
		Entry("with a path that is none", "a=b", "begin with a slash"),
		Entry("with parameters", "/a/{id}=b", "has parameters"),
		Entry("with a name that is none", "/a=b c", "service"),
	)
})

var _ = Describe("the budget of retries", func() {
	It("lets one in ten be repeated, and a few at the beginning, and saves up a hundred at most", func() {
		var none routing.Retries
		Expect(none.Spend()).To(BeFalse())
		for range 9 {
			none.Earn()
		}
		Expect(none.Spend()).To(BeFalse())
		none.Earn()
		Expect(none.Spend()).To(BeTrue())
		Expect(none.Spend()).To(BeFalse())
		for range 100_000 {
			none.Earn()
		}
		retries := 0
		for none.Spend() {
			retries++
		}
		Expect(retries).To(Equal(100))
	})
})
