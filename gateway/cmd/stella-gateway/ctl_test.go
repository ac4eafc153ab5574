package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway/routing"
)

// gatewayOf is a gateway that runs until the spec ends, and where it is.
type gatewayOf struct {
	admin, dial string
	signals     chan<- os.Signal
}

// runGateway runs one with what the file says.
func runGateway(file string, args ...string) *gatewayOf {
	GinkgoHelper()
	if file != "" {
		name := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(name, []byte(file), 0o600)).To(Succeed())
		args = append(args, "--config", name)
	}
	out, _, signals, code := start(append(append([]string{}, anyPort...), args...)...)
	Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators \S+\n`))
	DeferCleanup(func() {
		select {
		case signals <- syscall.SIGTERM:
		default: // it has been told
		}
		Eventually(code).WithTimeout(2 * patience).Should(Receive())
	})
	text := string(out.Contents())
	return &gatewayOf{
		admin: regexp.MustCompile(`operators (\S+)`).FindStringSubmatch(text)[1],
		dial:  regexp.MustCompile(`services dial (\S+),`).FindStringSubmatch(text)[1], signals: signals,
	}
}

// ctl asks it.
func (g *gatewayOf) ctl(args ...string) (code int, said string) {
	GinkgoHelper()
	out, err, _, ended := start(append([]string{"ctl", "--admin", g.admin}, args...)...)
	Eventually(ended).WithTimeout(patience).Should(Receive(&code))
	return code, string(out.Contents()) + string(err.Contents())
}

// says is a function that asks it, for what comes in time.
func (g *gatewayOf) says(args ...string) func() string {
	return func() string {
		_, said := g.ctl(args...)
		return said
	}
}

var _ = Describe("an instance in quarantine", func() {
	It("is listed as such with the reason, also when an operator has taken it out, and is no reason to start the gateway anew", func() {
		g := runGateway("")
		connect(g.dial)
		Eventually(g.says("services")).WithTimeout(patience).Should(MatchRegexp(`test +1\.0\.0 +one +eu +healthy `))
		connectAs(g.dial, "rogue", "two", "/a")
		Eventually(g.says("services")).WithTimeout(patience).Should(MatchRegexp(`rogue +1\.0\.0 +two +eu +quarantined .*GET /a`))
		code, said := g.ctl("check", "health")
		Expect(code).To(Equal(1))
		Expect(said).To(MatchRegexp(`^WARNING: 1 versions of services, 1 instances routed, 0 degraded, 0 versions .*1 quarantined\nquarantined: rogue`))
		code, said = g.ctl("check", "ready")
		Expect(code).To(BeZero())
		Expect(said).To(Equal("OK: the gateway takes on requests\n"))
		code, said = g.ctl("drain", "two")
		Expect(code).To(BeZero(), said)
		_, said = g.ctl("services")
		Expect(said).To(MatchRegexp(`rogue +1\.0\.0 +two +eu +draining .*taken out of routing by an operator; .*GET /a`))
		code, _ = g.ctl("check", "health")
		Expect(code).To(Equal(1))
	})
})

var _ = DescribeTable("what an instance is to requests", func(in routing.InstanceView, health, note string) {
	is, says := standing(&in)
	Expect(is).To(Equal(health))
	Expect(says).To(Equal(note))
},
	Entry("healthy", routing.InstanceView{Health: routing.Healthy}, "healthy", ""),
	Entry("in quarantine", routing.InstanceView{Health: routing.Healthy, Quarantine: "why"}, "quarantined", "why"),
	Entry("ejected", routing.InstanceView{Health: routing.Degraded, Ejected: "why"}, "ejected", "ejected: why"),
	Entry("ejected, and silent", routing.InstanceView{Health: routing.Unhealthy, Ejected: "why"}, "unhealthy", "ejected: why"),
	Entry("superseded", routing.InstanceView{Health: routing.Draining, Quarantine: "why"}, "draining", "why"),
	Entry("taken out of quarantine", routing.InstanceView{Health: routing.Draining, Cordoned: true, Quarantine: "why"}, "draining",
		"taken out of routing by an operator; why"),
)

var _ = Describe("limits that there are not", func() {
	It("are said to be none", func() {
		code, said := runGateway("").ctl("limits")
		Expect(code).To(BeZero())
		Expect(said).To(MatchRegexp(`^RULE .*\nrequests at once: not bounded\nconnections: not bounded, and not counted\n$`))
	})
})

var _ = Describe("an instance by its id", func() {
	It("is told from one of another service that has the same id", func() {
		g := runGateway("")
		connect(g.dial)
		connectAs(g.dial, "shop", "one", "/b")
		Eventually(g.says("services")).WithTimeout(patience).Should(And(MatchRegexp(`test +1\.0\.0 +one`), MatchRegexp(`shop +1\.0\.0 +one`)))
		code, said := g.ctl("drain", "one")
		Expect(code).To(Equal(2))
		Expect(said).To(Equal("stella-gateway: services shop, test each have an instance \"one\": name one before it\n"))
		code, said = g.ctl("drain", "shop", "one")
		Expect(code).To(BeZero(), said)
		_, said = g.ctl("services")
		Expect(said).To(And(MatchRegexp(`shop +1\.0\.0 +one +eu +draining`), MatchRegexp(`test +1\.0\.0 +one +eu +healthy`)))
	})
})

var _ = Describe("an operator without a token", func() {
	It("is told which is missing, which is no wrong configuration, and still learns whether the gateway is ready", func() {
		tokens := filepath.Join(GinkgoT().TempDir(), "tokens")
		Expect(os.WriteFile(tokens, []byte("vera viewer viewer-token-0123456789\n"), 0o600)).To(Succeed())
		g := runGateway("admin: {tokenFile: '" + tokens + "'}\n")
		code, said := g.ctl("services")
		Expect(code).To(Equal(1))
		Expect(said).To(Equal("stella-gateway: the gateway: expected an operator's token: Authorization: Bearer TOKEN; give it in STELLA_ADMIN_TOKEN\n"))
		code, said = g.ctl("--token", "viewer-token-0123456789", "reload")
		Expect(code).To(Equal(1))
		Expect(said).To(Equal("stella-gateway: the gateway: vera has the role viewer, and this needs operator\n"))
		code, said = g.ctl("check", "health")
		Expect(code).To(Equal(3))
		Expect(said).To(HavePrefix("UNKNOWN: the gateway: expected an operator's token"))
		code, _ = g.ctl("check", "ready")
		Expect(code).To(BeZero())
	})
})

var _ = Describe("the list of changes", func() {
	It("has reloads and restarts that no operator has asked for, and why they were refused", func() {
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		write := func(text string) {
			GinkgoHelper()
			Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
		}
		write("log: {level: info}\n")
		g := runGateway("", "--config", file)
		write("log: {level: warn}\n")
		Eventually(g.says("audit")).WithTimeout(patience).Should(MatchRegexp(`\n\S+ +the file has changed +- +reload +configuration *\n`))
		g.signals <- syscall.SIGHUP
		Eventually(g.says("audit")).WithTimeout(patience).Should(MatchRegexp(`\n\S+ +SIGHUP +- +reload +configuration *\n`))
		write("log: {level: loud}\n")
		Eventually(g.says("audit")).WithTimeout(patience).Should(MatchRegexp(`\n\S+ +the file has changed +- +reload +configuration +.*log\.level: expected debug`))
		code, _ := g.ctl("reload")
		Expect(code).To(Equal(1))
		_, said := g.ctl("audit")
		Expect(said).To(MatchRegexp(`\n\S+ +local +admin +reload +configuration +config: refused`))
		Expect(said).NotTo(ContainSubstring("an operator asks"), "it is there by the operator's name")
	})
})

var _ = Describe("a check", func() {
	It("warns of an issuer without keys as long as there is another one", func() {
		keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",`+
				`"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)
		}))
		DeferCleanup(keys.Close)
		g := runGateway("issuers:\n  - {issuer: 'https://a', audiences: [x], jwks: '" + keys.URL + "'}\n" +
			"  - {issuer: 'https://b', audiences: [x], jwks: 'http://127.0.0.1:1/keys'}\n")
		connect(g.dial)
		Eventually(g.says("check", "health")).WithTimeout(patience).Should(MatchRegexp(
			`^WARNING: .* 1 instances routed.*\nissuer https://b: closed, no token of it is taken: .*refused.*\n$`))
		code, _ := g.ctl("check", "health")
		Expect(code).To(Equal(1))
	})

	It("says that a gateway drains", func() {
		g := runGateway("", "--drain-delay", "1m") // a second signal ends it
		connect(g.dial)
		Eventually(g.says("check", "health")).WithTimeout(patience).Should(HavePrefix("OK: "))
		g.signals <- syscall.SIGTERM
		Eventually(g.says("check", "ready")).WithTimeout(patience).Should(Equal("CRITICAL: the gateway takes on no requests\nnot ready: draining\n"))
		code, said := g.ctl("check", "health", "--format", "nagios")
		Expect(code).To(Equal(2))
		Expect(said).To(HavePrefix("STELLA CRITICAL - not ready: draining; "))
		code, said = g.ctl("check", "ready", "--format", "json")
		Expect(code).To(Equal(2))
		Expect(said).To(MatchJSON(`{"state": "CRITICAL", "reasons": ["not ready: draining"]}`))
	})
})

var _ = Describe("a check for Nagios", func() {
	It("is one line with the gravest reasons first, and no more of them than a plug-in may say", func() {
		var f finding
		for i := range 6 {
			f.becausef(healthWarning, "warning %d|\n", i)
		}
		f.becausef(healthCritical, "critical")
		f.conclude()
		out := gbytes.NewBuffer()
		Expect(f.print(streams{out: out}, formatNagios, "all in all", " | live=1", &f)).To(MatchError(exitError(healthCritical)))
		Expect(string(out.Contents())).To(Equal(
			`STELLA CRITICAL - critical; warning 0/\n; warning 1/\n; warning 2/\n; warning 3/\n; and 2 more reasons; all in all | live=1` + "\n"))
	})
})
