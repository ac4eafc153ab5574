package routing_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

var _ = Describe("the registry", func() {
	It("keeps a version known for the retention after its last instance, and forgets it then", func() {
		w := newWorld("")
		in := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		w.Remove(in, w.now)
		w.later(59 * time.Second)
		Expect(w.owner("GET", "/a")).To(Equal("a"))
		Expect(w.Snapshot().Match("GET", "/a", nil).Endpoint.Default("").Release.Live()).To(BeFalse())
		Expect(w.Services()[0].GoneSince).NotTo(BeNil())
		w.later(time.Second)
		Expect(w.owner("GET", "/a")).To(BeEmpty())
		Expect(w.Services()).To(BeEmpty())
	})

	It("knows why no instance of a version can be picked", func() {
		w := newWorld("")
		one := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		two := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		Expect(w.release("/a").Absence()).To(BeEmpty())
		w.Cordon("a", one.ID(), true)
		w.Cordon("a", two.ID(), true)
		w.later(0)
		Expect(w.release("/a").Absence()).To(Equal("an operator has taken every instance of a that is connected out of routing"))
		w.Cordon("a", two.ID(), false)
		w.later(4 * time.Second) // 4 intervals without HEARTBEAT
		Expect(w.release("/a").Absence()).To(Equal("no instance of a that is connected shows signs of life"))
		w.alive(0, two)
		Expect(w.release("/a").Absence()).To(BeEmpty())
		w.Leave(two)
		w.later(0)
		Expect(w.release("/a").Absence()).To(Equal("every instance of a that is connected drains"))
		w.Remove(one, w.now)
		w.Remove(two, w.now)
		w.later(0)
		Expect(w.release("/a").Absence()).To(Equal("no instance of a is connected"))
	})

	It("keeps an endpoint that a higher version dropped for as long as the lower one lives", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/old"), endpoint("GET", "/both"))
		w.join(who{service: "a", version: "2.0.0"}, endpoint("GET", "/both"))
		Expect(w.Snapshot().Match("GET", "/old", nil).Endpoint.Default("").Release.Version).To(Equal("1.0.0"))
		Expect(w.Snapshot().Match("GET", "/both", nil).Endpoint.Default("").Release.Version).To(Equal("2.0.0"))
	})

	It("lets nothing change a snapshot that a request holds", func() {
		w := newWorld("")
		in := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		held := w.Snapshot()
		w.Remove(in, w.now)
		Expect(held.Match("GET", "/a", nil).Endpoint.Default("").Release.Pick(w.now, nil)).To(BeIdenticalTo(in))
	})

	It("shares with the next snapshot what has not changed", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/b"))
		more := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		before := w.Snapshot()
		w.Remove(more, w.now)
		after := w.Snapshot()
		Expect(after.Match("GET", "/b", nil).Endpoint).To(BeIdenticalTo(before.Match("GET", "/b", nil).Endpoint))
		Expect(after.Match("GET", "/a", nil).Endpoint).NotTo(BeIdenticalTo(before.Match("GET", "/a", nil).Endpoint))
		w.join(who{service: "c", version: "1.0.0"}, endpoint("GET", "/c"))
		Expect(w.owner("GET", "/b")).To(Equal("b"))
		Expect(w.owner("GET", "/c")).To(Equal("c"))
		Expect(after.Match("GET", "/c", nil).Endpoint).To(BeNil())
	})

	It("refuses a manifest of another service or version than HELLO names", func() {
		m := &spec.Manifest{Service: "a", Version: "1.0.0", Endpoints: []spec.Endpoint{endpoint("GET", "/a")}}
		b, err := m.Encode()
		Expect(err).NotTo(HaveOccurred())
		_, err = routing.Prepare(&spec.Hello{Instance: spec.Instance{Service: "a", Version: "1.0.1"}}, b)
		Expect(err).To(MatchError(ContainSubstring("HELLO says a 1.0.1, its manifest says a 1.0.0")))
		_, err = routing.Prepare(&spec.Hello{Instance: spec.Instance{Service: "a", Version: "1.0.0"}}, []byte("{}"))
		Expect(err).To(MatchError(spec.ErrManifest))
	})

	It("lists claims of all endpoints once, sorted", func() {
		w := newWorld("")
		e := endpoint("GET", "/a")
		e.Public, e.Claims = "", []spec.ClaimRequirement{{Type: "scope", Value: "w"}, {Type: "scope", Value: "r"}}
		f := e
		f.Path, f.Claims = "/b", e.Claims[:1]
		w.join(who{service: "a", version: "1.0.0"}, e, f)
		Expect(w.Snapshot().Claims()).To(Equal([]spec.ClaimRequirement{{Type: "scope", Value: "r"}, {Type: "scope", Value: "w"}}))
	})
})

var _ = Describe("quarantine", func() {
	It("holds an instance whose path another service owns, and promotes it once that is forgotten", func() {
		w := newWorld("")
		owner := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x/{id}"))
		thief := w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/x/{key}"), endpoint("GET", "/b"))
		Expect(w.quarantine(thief)).To(Equal("GET /x/{id} belongs to service a"))
		Expect(w.owner("GET", "/x/1")).To(Equal("a"))
		Expect(w.owner("GET", "/b")).To(BeEmpty(), "it is not routed at all")
		Expect(w.quarantine(owner)).To(BeEmpty())

		w.Remove(owner, w.now)
		w.later(59 * time.Second)
		Expect(w.quarantine(thief)).NotTo(BeEmpty(), "the owner may come back")
		w.Beat(thief, ready, w.now)
		w.later(time.Second)
		Expect(w.quarantine(thief)).To(BeEmpty())
		Expect(w.owner("GET", "/x/1")).To(Equal("b"))
		Expect(w.log.String()).To(ContainSubstring("promoted"))
	})

	It("holds an instance whose contract differs from the live one's of its version, until that leaves", func() {
		w := newWorld("")
		old := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		changed := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"), endpoint("GET", "/new"))
		Expect(w.quarantine(changed)).To(ContainSubstring("a changed contract needs a new version"))
		Expect(w.owner("GET", "/new")).To(BeEmpty())
		w.Remove(old, w.now)
		Expect(w.quarantine(changed)).To(BeEmpty())
		Expect(w.owner("GET", "/new")).To(Equal("a"))
		Expect(w.log.String()).To(ContainSubstring("contract replaced"))
	})

	It("lets instances of one contract stand beside each other, and other methods of a path be another service's", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		Expect(w.quarantine(w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a")))).To(BeEmpty())
		Expect(w.quarantine(w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"), endpoint("GET", "/b")))).To(BeEmpty())
		Expect(w.quarantine(w.join(who{service: "b", version: "1.0.0"}, endpoint("POST", "/a")))).To(BeEmpty())
	})
})

var _ = Describe("picking", func() {
	var w *world
	BeforeEach(func() { w = newWorld("eu") })

	It("prefers the gateway's own region, and spills over when that has no room", func() {
		own := w.join(who{service: "a", version: "1.0.0", region: "eu", lease: 1}, endpoint("GET", "/a"))
		other := w.join(who{service: "a", version: "1.0.0", region: "us", lease: 1}, endpoint("GET", "/a"))
		for range 20 {
			Expect(w.pick("/a")).To(BeIdenticalTo(own))
		}
		f := transports.NewFrame(64)
		b := (&spec.Request{ContentLength: -1}).AppendTo(f.Bytes())
		f.SetBytes(b)
		call, err := own.Session.Start(f, len(b)-spec.HeaderSize, spec.FlagEnd, 0)
		Expect(err).NotTo(HaveOccurred())
		defer call.Close()
		Expect(w.pick("/a")).To(BeIdenticalTo(other))
	})

	It("takes the healthy before the degraded, and never the unhealthy or draining", func() {
		one := w.join(who{service: "a", version: "1.0.0", region: "eu"}, endpoint("GET", "/a"))
		two := w.join(who{service: "a", version: "1.0.0", region: "eu"}, endpoint("GET", "/a"))
		beat := spec.Heartbeat{Status: spec.StatusReady, Lease: 1}
		w.now = w.now.Add(2500 * time.Millisecond)
		w.Beat(two, beat, w.now)
		w.later(0) // one has been silent for 2.5 intervals
		for range 20 {
			Expect(w.pick("/a")).To(BeIdenticalTo(two))
		}
		w.Leave(two)
		w.later(0)
		Expect(w.pick("/a")).To(BeIdenticalTo(one), "degraded is better than none")
		w.later(time.Second) // 3.5 intervals
		Expect(w.Snapshot().Match("GET", "/a", nil).Endpoint.Default("").Release.Live()).To(BeFalse())
		w.Beat(one, beat, w.now)
		w.later(0)
		Expect(w.pick("/a")).To(BeIdenticalTo(one), "it is back")
		degraded := beat
		degraded.Status = spec.StatusDegraded
		w.Beat(one, degraded, w.now)
		w.later(0)
		Expect(w.Services()[0].Instances).To(ContainElement(HaveField("Health", routing.Degraded)))
	})

	It("counts instances as worse after as many intervals as the configuration says, which may change", func() {
		cfg := routing.Config{DegradedAfter: 3, UnhealthyAfter: 5}
		w := newWorldOf(cfg)
		in := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		w.later(2500 * time.Millisecond)
		Expect(w.shown(in).Health).To(Equal(routing.Healthy))
		w.later(time.Second)
		Expect(w.shown(in).Health).To(Equal(routing.Degraded))
		w.later(2 * time.Second)
		Expect(w.shown(in).Health).To(Equal(routing.Unhealthy))
		cfg.UnhealthyAfter = 6
		Expect(w.Configure(cfg, w.now)).To(Succeed())
		w.later(0)
		Expect(w.shown(in).Health).To(Equal(routing.Degraded))
	})

	It("selects a lower version when the higher one drains", func() {
		w.join(who{service: "a", version: "1.0.0", region: "eu"}, endpoint("GET", "/a"))
		high := w.join(who{service: "a", version: "1.1.0", region: "eu"}, endpoint("GET", "/a"))
		w.Leave(high)
		w.later(0)
		Expect(w.Snapshot().Match("GET", "/a", nil).Endpoint.Default("").Release.Version).To(Equal("1.0.0"))
	})

	It("spreads calls over all, to the less busy of two", func() {
		var all []*routing.Instance
		for range 4 {
			all = append(all, w.join(who{service: "a", version: "1.0.0", region: "eu", lease: 100}, endpoint("GET", "/a")))
		}
		for range 100 {
			in := w.pick("/a")
			f := transports.NewFrame(64)
			b := (&spec.Request{ContentLength: -1}).AppendTo(f.Bytes())
			f.SetBytes(b)
			call, err := in.Session.Start(f, len(b)-spec.HeaderSize, spec.FlagEnd, 0)
			Expect(err).NotTo(HaveOccurred())
			defer call.Close()
		}
		for _, in := range all {
			Expect(in.Session.InFlight()).To(BeNumerically("~", 25, 5))
		}
	})

	It("leaves out those that were tried, and those whose lease is spent", func() {
		in := w.join(who{service: "a", version: "1.0.0", region: "eu"}, endpoint("GET", "/a"))
		r := w.Snapshot().Match("GET", "/a", nil).Endpoint.Default("").Release
		Expect(r.Pick(w.now, []*routing.Instance{in})).To(BeNil())
	})
})

var _ = Describe("the views", func() {
	It("are sorted, and say which version requests go to", func() {
		w := newWorld("")
		w.join(who{service: "b", version: "1.0.0"}, endpoint("POST", "/x"))
		w.join(who{service: "a", version: "1.1.0", lease: 3}, endpoint("GET", "/x"))
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x"))
		w.join(who{service: "a", version: "0.9.0"}, endpoint("GET", "/x"))
		var lines []string
		for _, e := range w.Endpoints() {
			line := strings.Join([]string{e.Method, e.Path, e.Service, e.Version}, " ")
			if e.Selected {
				line += fmt.Sprintf(" %.0f%%", 100*e.Share)
			}
			lines = append(lines, line)
		}
		Expect(lines).To(Equal([]string{"GET /x a 0.9.0", "GET /x a 1.0.0 25%", "GET /x a 1.1.0 75%", "POST /x b 1.0.0 100%"}))
		var services []string
		for _, s := range w.Services() {
			services = append(services, s.Service+" "+s.Version)
		}
		Expect(services).To(Equal([]string{"a 0.9.0", "a 1.0.0", "a 1.1.0", "b 1.0.0"}))
	})
})
