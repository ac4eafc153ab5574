package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/templates"
)

// Names of what the rules make.
const (
	recordObjective = "stella:slo_objective:ratio"
	recordErrors    = "stella:slo_errors:ratio_rate" // and the window
	alertName       = "StellaErrorBudgetBurn"
	rulesFile       = "alerts.yaml"
)

// minErrors is how many errors there have to be within the long window. Without it one error in a quiet hour would wake
// somebody.
const minErrors = 5

// page is what the templates see.
type page struct {
	*spec.Manifest

	Objectives []objective
	Cases      []testCase // of the unit tests
}

func (*page) Alert() string     { return alertName }
func (*page) RulesFile() string { return rulesFile }
func (*page) MinErrors() int    { return minErrors }
func (*page) Burns() []burn     { return burns }
func (*page) Windows() []string { return windows }
func (*page) Errors() string    { return wrapped(Errors()) }
func (*page) Uncounted() string { return wrapped(Uncounted()) }
func (*page) Objective() string { return recordObjective }

func (*page) ErrorRatio(window string) string { return recordErrors + window }

// Failed counts requests that failed, Counted those that count at all.
func (p *page) Failed() string { return metricRequests + selector(p.Manifest, Errors()) }
func (p *page) Counted() string {
	return metricRequests + selector(p.Manifest, append(Good(), Errors()...))
}

// Objectives as one expression, so that there is one rule however many endpoints there are.
func (p *page) ObjectiveSeries() []string {
	var series []string
	for _, o := range p.Objectives {
		series = append(series, fmt.Sprintf(`label_replace(label_replace(vector(%s), "method", %s, "", ""), "endpoint", %s, "", "")`,
			o.Ratio(), quote(o.Method), quote(strings.ReplaceAll(o.Path, "$", "$$")))) // $ would name a group
	}
	return series
}

// Of are the labels that select a recorded series of this service.
func (p *page) Of() string { return "{service=" + quote(p.Service) + "}" }

// Summary and Description of an alert, with what stands in them of the series.
func (*page) Summary(b burn, service, method, endpoint string) string {
	speed := b.Factor + " times as fast as it may"
	if b.Factor == "1" {
		speed = "faster than it may"
	}
	return fmt.Sprintf("%s %s of %s spends its error budget %s", method, endpoint, service, speed)
}

func (*page) Description(b burn, value string) string {
	return fmt.Sprintf("%s of the requests of the last %s failed. After %s at the limit, %s of the budget of 30 days is gone. "+
		"A request fails with the outcome %s.", value, b.Long, b.Long, b.Spent, strings.Join(Errors(), ", "))
}

// Alerts writes rules for Prometheus: what share of each endpoint's requests fails over several windows, the endpoints'
// objectives, and alerts where an error budget is spent too fast. There are as many rules for one endpoint as for many.
func Alerts(m *spec.Manifest) ([]byte, error) {
	p, err := newPage(m)
	if err != nil {
		return nil, err
	}
	return p.render("alerts.yaml.tmpl")
}

func newPage(m *spec.Manifest) (*page, error) {
	list, err := objectives(m)
	return &page{Manifest: m, Objectives: list}, err
}

func (p *page) render(name string) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"yaml": yamlText}).ParseFS(templates.FS, "monitoring/"+name)
	if err != nil {
		return nil, fmt.Errorf("monitoring: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("monitoring: %w", err)
	}
	return out.Bytes(), nil
}

// wrapped is a list in a comment.
func wrapped(words []string) string {
	const width = 100
	var b strings.Builder
	column := 0
	for i, w := range words {
		switch {
		case i == 0:
		case column+len(w) > width:
			b.WriteString(",\n#   ")
			column = 0
		default:
			b.WriteString(", ")
		}
		b.WriteString(w)
		column += len(w) + 2
	}
	return b.String()
}

// yamlText is a text as YAML reads it, whatever is in it: a string of JSON is one of YAML.
func yamlText(s string) (string, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", fmt.Errorf("monitoring: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}
