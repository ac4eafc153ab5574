package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// promtool runs Prometheus' own tool, and returns what it printed and whether it ended with 0.
func promtool(input string, args ...string) (said string, ok bool) {
	GinkgoHelper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		Expect(err).NotTo(HaveOccurred(), "promtool cannot be run: scripts/install-test-deps.sh installs Debian's package prometheus, which has it")
	}
	return string(out), err == nil
}

// checkRules has promtool judge a file of rules.
func checkRules(path string) (said string, ok bool) {
	GinkgoHelper()
	return promtool("", "check", "rules", "--lint=all", "--lint-fatal", path)
}

// testRules has promtool run the unit tests of a service's rules, which are changed before.
func testRules(service string, change func(string) string) (said string, ok bool) {
	GinkgoHelper()
	m := manifest(service)
	path := file("alerts.yaml", []byte(change(string(export("prometheus", m)))))
	tests := filepath.Join(filepath.Dir(path), "alerts_test.yaml")
	Expect(os.WriteFile(tests, export("prometheustest", m), 0o600)).To(Succeed())
	return promtool("", "test", "rules", tests)
}

// expressions are all queries of a dashboard, with its variables replaced as Grafana does, and what its variables ask for.
func expressions(dashboard []byte) (exprs, variables []string) {
	GinkgoHelper()
	var d struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
	}
	Expect(json.Unmarshal(dashboard, &d)).To(Succeed())
	replace := strings.NewReplacer("$__rate_interval", "5m", "$version", ".*", "$endpoint", ".*")
	for _, p := range d.Panels {
		Expect(p.Targets).NotTo(BeEmpty())
		for _, t := range p.Targets {
			exprs = append(exprs, replace.Replace(t.Expr))
			Expect(exprs[len(exprs)-1]).NotTo(ContainSubstring("$"))
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			variables = append(variables, v.Definition)
		}
	}
	return exprs, variables
}

// asRules writes expressions as rules, which promtool parses.
func asRules(exprs []string) string {
	var b strings.Builder
	b.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, e := range exprs {
		b.WriteString("      - record: x:" + strings.Repeat("x", i+1) + "\n        expr: |\n          " + e + "\n")
	}
	return b.String()
}

var _ = Describe("rules for Prometheus", func() {
	unchanged := func(rules string) string { return rules }
	replaced := func(old, by string) func(string) string {
		return func(rules string) string {
			Expect(rules).To(ContainSubstring(old))
			return strings.ReplaceAll(rules, old, by)
		}
	}

	for name := range manifests {
		It("of "+name+" are taken by promtool, and pass their unit tests", func() {
			said, ok := checkRules(file("alerts.yaml", export("prometheus", manifest(name))))
			Expect(ok).To(BeTrue(), said)
			Expect(said).To(ContainSubstring("13 rules found"))
			said, ok = testRules(name, unchanged)
			Expect(ok).To(BeTrue(), said)
		})
	}

	It("of a service whose objectives name no time are one less", func() {
		m := manifest("billing")
		for i := range m.Endpoints {
			m.Endpoints[i].WithinMS = 0
		}
		said, ok := checkRules(file("alerts.yaml", export("prometheus", m)))
		Expect(ok).To(BeTrue(), said)
		Expect(said).To(ContainSubstring("12 rules found"))
	})

	It("of a service without objectives are taken, and there are none", func() {
		m := manifest("billing")
		for i := range m.Endpoints {
			m.Endpoints[i].SLO = ""
		}
		said, ok := checkRules(file("alerts.yaml", export("prometheus", m)))
		Expect(ok).To(BeTrue(), said)
		Expect(said).To(ContainSubstring("0 rules found"))
	})

	DescribeTable("have unit tests that fail when", func(change func(string) string) {
		said, ok := testRules("billing", change)
		Expect(ok).To(BeFalse(), said)
		Expect(said).To(ContainSubstring("FAILED"))
	},
		Entry("a single error in low traffic fires", replaced(">= 5", ">= 0")),
		Entry("a stream of errors does not fire", replaced("> on (service, method, endpoint) 14.4 *", "> on (service, method, endpoint) 999 *")),
		Entry("errors are none any more", replaced("|timeout", "")),
		Entry("answers that are too late are good", replaced(`le="+Inf"`, `le="none"`)),
		Entry("answers in time are too late", replaced("vector(1)", "vector(0)")),
		Entry("a client's errors count", replaced("server_error|", "client_error|server_error|")),
	)
})

var _ = Describe("the dashboard for Grafana", func() {
	for name := range manifests {
		It("of "+name+" has queries that Prometheus parses", func() {
			exprs, _ := expressions(export("grafana", manifest(name)))
			said, ok := promtool("", "check", "rules", file("dashboard.yaml", []byte(asRules(exprs))))
			Expect(ok).To(BeTrue(), said)
		})
	}

	It("would be found out with a query that is none", func() {
		said, ok := promtool("", "check", "rules", file("dashboard.yaml", []byte(asRules([]string{"sum(rate(x[5m])"}))))
		Expect(ok).To(BeFalse(), said)
	})
})

var (
	metricUse = regexp.MustCompile(`(stella_\w+)(?:\{([^}]*)\})?`)
	labelUse  = regexp.MustCompile(`(\w+)=~?"`)
	metricHas = regexp.MustCompile(`(?m)^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$`)
)

var _ = Describe("a gateway that runs", func() {
	It("has every metric, with every label, that alerts and dashboards name; and what it exposes is sound", func(ctx SpecContext) {
		s := startStack(true)
		m := manifest("billing")
		for _, c := range readHTTP(export("http", m), map[string]string{"host": s.url, "token": s.token}) {
			c.do(ctx)
		}
		exposed := scrape(ctx, s.admin+"/metrics")
		said, ok := promtool(exposed, "check", "metrics")
		Expect(ok).To(BeTrue(), said)

		labels := map[string]string{} // by metric, all labels that a series of it has
		for _, series := range metricHas.FindAllStringSubmatch(exposed, -1) {
			labels[series[1]] += "," + series[2]
		}
		exprs, variables := expressions(export("grafana", m))
		uses := append(append(exprs, variables...), string(export("prometheus", m)))
		named := 0
		for _, use := range metricUse.FindAllStringSubmatch(strings.Join(uses, "\n"), -1) {
			named++
			Expect(labels).To(HaveKey(use[1]))
			for _, label := range labelUse.FindAllStringSubmatch(use[2], -1) {
				Expect(labels[use[1]]).To(ContainSubstring(","+label[1]+`="`), use[0])
			}
		}
		Expect(named).To(BeNumerically(">", 20))
		for _, e := range m.Endpoints { // the labels have the values that alerts and dashboards compare with
			Expect(exposed).To(MatchRegexp(`stella_gateway_requests_total\{endpoint="%s",method="%s",outcome="\w+",service="billing",version="%s"\}`,
				regexp.QuoteMeta(e.Path), e.Method, regexp.QuoteMeta(m.Version)))
		}
	})
})

// scrape is a page as text.
func scrape(ctx context.Context, url string) string {
	GinkgoHelper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	resp, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	Expect(resp.StatusCode).To(Equal(http.StatusOK))
	text, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
