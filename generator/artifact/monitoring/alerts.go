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
	recordWithin    = "stella:slo_within:edge"
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
func (*page) Within() string    { return recordWithin }

func (*page) ErrorRatio(window string) string { return recordErrors + window }

// Bad is how many requests failed or came too late within a window; of is rate or increase. What came too late are all
// good answers but for those in the bucket that ends where the objective does. An instance of a gateway that knows another
// time, since a version of the service promises another, has no such bucket, and none of its answers is too late.
func (p *page) Bad(of, window string) string {
	in := func(series string) string { return of + "(" + series + "[" + window + "])" }
	failed := in(metricRequests + selector(p.Manifest, Errors()))
	if len(p.EdgeSeries()) == 0 {
		return failed
	}
	return failed + " or " + in(metricDuration+"_bucket"+selector(p.Manifest, Good(), `le="+Inf"`)) + " - ignoring (le) (" +
		in(metricDuration+"_bucket"+selector(p.Manifest, Good())) + " * on (service, method, endpoint, le) group_left () " + recordWithin + p.Of() + ")"
}

// Counted are the requests that count at all.
func (p *page) Counted() string {
	return metricRequests + selector(p.Manifest, append(Good(), Errors()...))
}

// Objectives as one expression, so that there is one rule however many endpoints there are.
func (p *page) ObjectiveSeries() []string {
	var series []string
	for _, o := range p.Objectives {
		series = append(series, o.series(o.Ratio()))
	}
	return series
}

// EdgeSeries as one expression: the bucket in which the answers of each endpoint have to be, of those that promise a time.
func (p *page) EdgeSeries() []string {
	var series []string
	for _, o := range p.Objectives {
		for _, edge := range o.Edges() {
			series = append(series, fmt.Sprintf(`label_replace(%s, "le", %s, "", "")`, o.series("1"), quote(edge)))
		}
	}
	return series
}

// series is a number with the labels of the endpoint.
func (o objective) series(value string) string {
	return fmt.Sprintf(`label_replace(label_replace(vector(%s), "method", %s, "", ""), "endpoint", %s, "", "")`,
		value, quote(o.Method), quote(strings.ReplaceAll(o.Path, "$", "$$"))) // $ would name a group
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

func (p *page) Description(b burn, value string) string {
	late, means := "", ""
	if len(p.EdgeSeries()) > 0 {
		late, means = " or came too late", ", or if it takes longer than the endpoint's within"
	}
	return fmt.Sprintf("%s of the requests of the last %s failed%s. After %s at the limit, %s of the budget of 30 days is gone. "+
		"A request fails with the outcome %s%s.", value, b.Long, late, b.Long, b.Spent, strings.Join(Errors(), ", "), means)
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
