package stella_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// setenv sets a variable for one spec.
func setenv(name, value string) {
	GinkgoHelper()
	old, had := os.LookupEnv(name)
	Expect(os.Setenv(name, value)).To(Succeed())
	DeferCleanup(func() error {
		if had {
			return os.Setenv(name, old)
		}
		return os.Unsetenv(name)
	})
}

// block serves an endpoint whose handler says that it has been entered and goes on until let go or cancelled.
func block(entered chan<- struct{}, letGo <-chan struct{}, causes chan<- error) endpoint {
	return public("GET", "/block", func(ctx context.Context, _ *stella.Request, w *stella.Response) error {
		entered <- struct{}{}
		select {
		case <-letGo:
			return w.Empty(http.StatusOK)
		case <-ctx.Done():
			causes <- context.Cause(ctx)
			return ctx.Err()
		}
	})
}

var _ = Describe("Run", func() {
	run1 := func(m stella.Manifest, parts ...stella.Part) error {
		return stella.New(m, parts...).Run(context.Background())
	}

	It("refuses a manifest that does not parse", func() {
		Expect(run1(stella.Manifest{JSON: "{}"})).To(MatchError(And(ContainSubstring("manifest"), ContainSubstring("go generate"))))
	})

	It("reports everything that is wrong with the configuration at once, before it dials", func() {
		m, _ := service(public("GET", "/a", nothing), public("GET", "/b", nothing), public("GET", "/c", nothing))
		setenv(stella.EnvLease, "many")
		setenv(stella.EnvGrace, "-1s")
		err := run1(m,
			stella.Endpoints{Package: "one", Missing: []string{"Service"}, List: []stella.Endpoint{
				{Method: "GET", Path: "/a", Dispatch: nothing}, {Method: "GET", Path: "/extra", Dispatch: nothing}, {Method: "GET", Path: "/c"},
			}},
			stella.Endpoints{Package: "two", List: []stella.Endpoint{{Method: "GET", Path: "/a", Dispatch: nothing}}},
			stella.WithGateways("nowhere://x", "tcp:127.0.0.1:1", "::"),
			stella.WithRegion("a b"), stella.WithInstanceID("-"), stella.WithVariable("STELLA_TYPO", "x"),
		)
		for _, want := range []string{
			"one.Handlers.Service is nil", "one.Endpoints serves GET /extra", "nil dispatcher for GET /c",
			"two.Endpoints serves GET /a, which another", "nothing serves GET /b", "nothing serves GET /c",
			`scheme "nowhere"`, `"tcp:127.0.0.1:1" has no //`, `"::" is not a URL`, `STELLA_REGION: spec: region "a b"`,
			`STELLA_INSTANCE_ID: spec: instance id "-"`, `STELLA_LEASE: "many"`, `STELLA_GRACE: "-1s"`, "STELLA_TYPO",
		} {
			Expect(err).To(MatchError(ContainSubstring(want)))
		}
	})

	DescribeTable("refuses gateways", func(value, why string) {
		m, e := service(public("GET", "/a", nothing))
		Expect(run1(m, e, stella.WithVariable(stella.EnvGateways, value))).To(MatchError(ContainSubstring(why)))
	},
		Entry("named twice", "tcp://127.0.0.1:1,tcp://127.0.0.1:1", "named twice"),
		Entry("that are empty", "tcp://127.0.0.1:1,,", `"" is not a URL`),
		Entry("without a host", "tcp://", "tcp://host:port and nothing else"),
		Entry("with a port alone", "tcp://:5100", "tcp://host:port and nothing else"),
		Entry("with a port that does not exist", "tcp://127.0.0.1:65536", "a port of at most 65535"),
		Entry("with a path", "tcp://127.0.0.1:1/x", "tcp://host:port and nothing else"),
		Entry("with a slash alone", "tcp://127.0.0.1:1/", "tcp://host:port and nothing else"),
		Entry("with a query", "tcp://127.0.0.1:1?x=y", "tcp://host:port and nothing else"),
		Entry("with a fragment", "tcp://127.0.0.1:1#x", "tcp://host:port and nothing else"),
		Entry("with a user", "tcp://me@127.0.0.1:1", "tcp://host:port and nothing else"),
		Entry("in memory without a name", "inmemory://", "expected a name"),
		Entry("in memory with more than a name", "inmemory://name/x", "expected a name"),
		Entry("of an unknown scheme among the alternatives", "tcp://127.0.0.1:1|carrier://pigeon", `scheme "carrier"`),
	)

	It("warns of a variable that nothing reads, and names the nearest one", func() {
		g := listen("inmemory://service-unknown")
		m, e := service(public("GET", "/a", nothing))
		setenv("STELLA_GATEWAY", "secret")
		setenv("STELLA_INSTANCE", "")
		setenv("STELLA_DEV_KEY", "the gateway reads it")
		setenv(stella.EnvRegion, "here")
		setenv("STELLAR_GRACE", "somebody else's")
		p := run(m, e, stella.WithGateways(g.url))
		g.connected()
		Expect(p.log.String()).To(And(
			MatchRegexp(`level=WARN .*variable=STELLA_GATEWAY nearest=STELLA_GATEWAYS`),
			MatchRegexp(`level=WARN .*variable=STELLA_INSTANCE nearest=STELLA_INSTANCE_ID`),
			Not(ContainSubstring("secret")), Not(ContainSubstring("DEV_KEY")), Not(ContainSubstring("STELLA_REGION")), Not(ContainSubstring("STELLAR")),
		))
	})

	It("refuses a lease that does not reach all gateways", func() {
		m, e := service(public("GET", "/a", nothing))
		two := stella.WithGateways("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
		Expect(run1(m, e, two, stella.WithLease(1))).To(MatchError(ContainSubstring("one for each of 2 gateways")))
	})

	It("says in HELLO what it is; WithVariable goes before the environment, and that before other options", func() {
		g := listen("inmemory://service-hello")
		m, e := service(public("GET", "/a", nothing))
		setenv(stella.EnvRegion, "from-env")
		setenv(stella.EnvInstanceID, "from-env")
		run(m, e, stella.WithGateways(g.url), stella.WithRegion("from-code"), stella.WithInstanceID("from-code"),
			stella.WithVariable(stella.EnvInstanceID, "from-flag"), stella.WithVariable(stella.EnvRegion, ""), stella.WithLease(7))
		s := g.connected()
		Expect(s.Hello().Instance).To(Equal(spec.Instance{Service: "test", Version: "1.2.3", Region: "from-env", ID: "from-flag"}))
		Expect(s.Hello().Lease).To(Equal(7))
		Expect(string(s.Manifest())).To(Equal(m.JSON))
	})

	It("is a new instance each time, where no id is configured", func() {
		g := listen("inmemory://service-ids")
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways(g.url))
		one := g.connected().Hello().Instance.ID
		run(m, e, stella.WithGateways(g.url))
		Expect(g.connected().Hello().Instance.ID).NotTo(Equal(one))
	})

	It("connects to every gateway and divides its lease", func() {
		one, two := listen("inmemory://service-one"), listen("tcp://127.0.0.1:0")
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways(one.url, two.url), stella.WithLease(9))
		a, b := one.connected(), two.connected()
		Eventually(func() []int { return []int{a.Lease(), b.Lease()} }).WithTimeout(patience).Should(ConsistOf(5, 4))
		Expect(a.Hello().Instance).To(Equal(b.Hello().Instance))
		Expect(send(a, request{}).Status).To(Equal(200))
		Expect(send(b, request{}).Status).To(Equal(200))
	})

	It("tries the alternative ways to a gateway in order", func() {
		g := listen("inmemory://service-second")
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways("inmemory://service-nobody|"+g.url))
		g.connected()
	})

	It("waits for a gateway that is not there yet", func() {
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways("inmemory://service-late"))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("gateway not connected"))
		listen("inmemory://service-late").connected()
	})

	It("connects again after the connection is lost", func() {
		g := listen("inmemory://service-lost")
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways(g.url))
		Expect(g.connected().Close(spec.CodeOperator, "the operator says so")).To(Succeed())
		Expect(send(g.connected(), request{}).Status).To(Equal(200))
		Expect(p.log.String()).To(And(ContainSubstring("connection lost"), ContainSubstring("the operator says so")))
	})

	It("says why a gateway refuses it, and tries again", func() {
		first := true
		g := listen("inmemory://service-refused", func(g *gateway) {
			g.refuse = func(*spec.Hello) error {
				if first {
					first = false
					return &session.Error{Code: spec.CodeConflict, Reason: "somebody else owns GET /a"}
				}
				return nil
			}
		})
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways(g.url))
		g.connected()
		Expect(p.log.String()).To(ContainSubstring("somebody else owns GET /a"))
	})

	It("lets open calls finish when a gateway drains, and connects to its successor meanwhile", func() {
		entered, letGo := make(chan struct{}, 1), make(chan struct{})
		g := listen("inmemory://service-goaway")
		m, e := service(block(entered, letGo, make(chan error, 1)))
		run(m, e, stella.WithGateways(g.url))
		old := g.connected()
		c := begin(old, request{}, false)
		Eventually(entered).WithTimeout(patience).Should(Receive())
		old.Drain(spec.CodeShutdown, "going away")
		fresh := g.connected()
		Expect(fresh.Hello().Supersedes).To(Equal(old.Secret()), "the old one still lives, and must not keep its successor out")
		close(letGo)
		r, err := finish(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(200))
		Eventually(old.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(send(fresh, request{}).Status).To(Equal(200))
	})

	It("tells in HEARTBEAT what it has in flight and how many calls failed", func() {
		entered, letGo := make(chan struct{}, 1), make(chan struct{})
		fail := public("GET", "/fail", func(context.Context, *stella.Request, *stella.Response) error { return errSecret })
		refuse := public("GET", "/refuse", func(context.Context, *stella.Request, *stella.Response) error {
			return stella.NewError(404, "none", "None.")
		})
		g := listen("inmemory://service-beat", func(g *gateway) { g.interval = 300 * time.Millisecond })
		m, e := service(block(entered, letGo, make(chan error, 1)), fail, refuse)
		run(m, e, stella.WithGateways(g.url), stella.WithLease(3))
		s := g.connected()
		c := begin(s, request{}, false)
		Eventually(entered).WithTimeout(patience).Should(Receive())
		Eventually(g.beats).WithTimeout(patience).Should(Receive(Equal(spec.Heartbeat{Status: spec.StatusReady, InFlight: 1, Lease: 3})))
		Expect(send(s, request{Request: spec.Request{Endpoint: 1}}).Status).To(Equal(500))
		Expect(send(s, request{Request: spec.Request{Endpoint: 2}}).Status).To(Equal(404))
		Eventually(g.beats).WithTimeout(patience).Should(Receive(HaveField("ErrorPermille", BeNumerically(">", 0))))
		Eventually(g.beats).WithTimeout(patience).Should(Receive(HaveField("ErrorPermille", 0)))
		close(letGo)
		_, err := finish(c)
		Expect(err).NotTo(HaveOccurred())
	})
})

var _ = Describe("The end of Run", func() {
	var (
		entered, letGo chan struct{}
		causes         chan error
		g              *gateway
		s              *session.Gateway
		c              *session.Call
	)

	// start runs a service with one open call.
	start := func(parts ...stella.Part) *process {
		GinkgoHelper()
		entered, letGo, causes = make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
		g = listen("inmemory://service-end")
		m, e := service(block(entered, letGo, causes))
		p := run(m, append([]stella.Part{e, stella.WithGateways(g.url)}, parts...)...)
		s = g.connected()
		c = begin(s, request{}, false)
		Eventually(entered).WithTimeout(patience).Should(Receive())
		return p
	}

	It("is a drain: GOAWAY, no new calls, open ones finish", func() {
		p := start()
		p.stop()
		Eventually(g.goaways).WithTimeout(patience).Should(Receive(Equal(spec.CodeShutdown)))
		f, meta := new(request).frame()
		_, err := s.Start(f, meta, spec.FlagEnd, 0)
		Expect(err).To(MatchError(session.ErrRefused))
		Consistently(p.done).WithTimeout(50 * time.Millisecond).ShouldNot(BeClosed())
		close(letGo)
		r, err := finish(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(200))
		Expect(p.result()).To(Succeed())
	})

	It("cancels with SHUTDOWN what is open when the grace is over", func() {
		p := start(stella.WithVariable(stella.EnvGrace, "30ms"))
		p.stop()
		_, err := finish(c)
		Expect(err).To(haveCode(spec.CodeShutdown))
		Eventually(causes).WithTimeout(patience).Should(Receive(haveCode(spec.CodeShutdown)))
		Expect(p.result()).To(Succeed())
	})

	It("comes while no gateway can be reached", func() {
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways("inmemory://service-nowhere"))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("not connected"))
		p.stop()
		Expect(p.result()).To(Succeed())
	})

	It("comes when the context has ended before", func() {
		m, e := service(public("GET", "/a", nothing))
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("over"))
		Expect(stella.New(m, e, stella.WithLogger(new(journal).logger())).Run(ctx)).To(Succeed())
	})
})
