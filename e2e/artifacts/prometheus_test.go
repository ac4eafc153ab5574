package artifacts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// promtool runs Prometheus' checker, and returns what it printed and whether it ended with 0.
func promtool(args ...string) (said string, ok bool) {
	GinkgoHelper()
	path, err := exec.LookPath("promtool")
	Expect(err).NotTo(HaveOccurred(), "promtool is missing: run scripts/install-test-deps.sh, which installs Debian's package prometheus")
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err == nil
}

// rules writes a service's alerts and their tests into a folder.
func rules(name string) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for kind, file := range map[string]string{"prometheus": "alerts.yaml", "prometheustest": "alerts_test.yaml"} {
		Expect(os.WriteFile(filepath.Join(dir, file), export(kind, manifest(name)), 0o600)).To(Succeed())
	}
	return dir
}

var _ = Describe("Prometheus", func() {
	for name := range manifests {
		It("takes the alerts of "+name+", which fire when they should", func() {
			dir := rules(name)
			said, ok := promtool("check", "rules", "--lint=all", "--lint-fatal", filepath.Join(dir, "alerts.yaml"))
			Expect(ok).To(BeTrue(), said)
			said, ok = promtool("test", "rules", filepath.Join(dir, "alerts_test.yaml"))
			Expect(ok).To(BeTrue(), said)
		})
	}

	It("would refuse others", func() {
		dir := rules("billing")
		path := filepath.Join(dir, "alerts.yaml")
		text, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "14.4", "1440")), 0o600)).To(Succeed())
		_, ok := promtool("test", "rules", filepath.Join(dir, "alerts_test.yaml"))
		Expect(ok).To(BeFalse(), "an alert that cannot fire passed its test")
		Expect(os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "sum by", "summ by")), 0o600)).To(Succeed())
		_, ok = promtool("check", "rules", path)
		Expect(ok).To(BeFalse(), "nonsense passed as PromQL")
	})
})

// query is one of a dashboard.
type query struct {
	Expr string `json:"expr"`
}

func queries(name string) []string {
	GinkgoHelper()
	var dashboard struct {
		ID     *int   `json:"id"`
		UID    string `json:"uid"`
		Panels []struct {
			Targets []query `json:"targets"`
		} `json:"panels"`
	}
	text := export("grafana", manifest(name))
	Expect(json.Unmarshal(text, &dashboard)).To(Succeed())
	Expect(dashboard.ID).To(BeNil())
	Expect(len(dashboard.UID)).To(And(BeNumerically(">", 8), BeNumerically("<=", 40)))
	var list []string
	for _, p := range dashboard.Panels {
		Expect(p.Targets).NotTo(BeEmpty())
		for _, t := range p.Targets {
			list = append(list, t.Expr)
		}
	}
	return list
}

// variables are what Grafana puts in the place of its own.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$version", ".*", "$endpoint", ".*")

// metric is a metric of ours in PromQL.
var metric = regexp.MustCompile(`\bstella_[a-z_]+`)

var _ = Describe("Grafana's dashboard", func() {
	for name := range manifests {
		It("of "+name+" asks what Prometheus understands, and of metrics that gateways have", func() {
			reference, err := os.ReadFile("../../docs/reference/metrics.md") // made of what gateways have; a test of theirs sees to that
			Expect(err).NotTo(HaveOccurred())
			var file strings.Builder
			file.WriteString("groups:\n- name: dashboard\n  rules:\n")
			for i, expr := range queries(name) {
				fmt.Fprintf(&file, "  - record: x:y:z%d\n    expr: %q\n", i, variables.Replace(expr))
				for _, m := range metric.FindAllString(expr, -1) {
					Expect(string(reference)).To(ContainSubstring("`"+strings.TrimSuffix(m, "_bucket")+"`"), m)
				}
			}
			path := filepath.Join(GinkgoT().TempDir(), "dashboard.yaml")
			Expect(os.WriteFile(path, []byte(file.String()), 0o600)).To(Succeed())
			said, ok := promtool("check", "rules", path)
			Expect(ok).To(BeTrue(), said)
		})
	}

	It("and the alerts know outcomes that gateways have", func() {
		reference, err := os.ReadFile("../../docs/reference/metrics.md")
		Expect(err).NotTo(HaveOccurred())
		found := regexp.MustCompile(`outcome=~"([a-z_|]+)"`).FindStringSubmatch(string(export("prometheus", manifest("billing"))))
		Expect(found).To(HaveLen(2))
		for outcome := range strings.SplitSeq(found[1], "|") {
			Expect(string(reference)).To(ContainSubstring("| `" + outcome + "` |"))
		}
	})
})
