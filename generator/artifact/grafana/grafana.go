// Package grafana makes a dashboard of a manifest: what a gateway counts of one service. It is the raw JSON that Grafana
// stores, with the data source as a variable, so that it can be provisioned or imported anywhere.
package grafana

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stella-ops/router/generator/artifact/prometheus"
	"github.com/stella-ops/router/spec"
)

// The parts of a dashboard that are used. Source: Grafana's documentation of the dashboard JSON model.
type (
	dashboard struct {
		ID            *int       `json:"id"` // null: Grafana's own number
		UID           string     `json:"uid"`
		Title         string     `json:"title"`
		Description   string     `json:"description,omitempty"`
		Tags          []string   `json:"tags"`
		SchemaVersion int        `json:"schemaVersion"`
		Editable      bool       `json:"editable"`
		GraphTooltip  int        `json:"graphTooltip"`
		Refresh       string     `json:"refresh"`
		Time          timeRange  `json:"time"`
		Templating    templating `json:"templating"`
		Panels        []panel    `json:"panels"`
	}
	timeRange  struct{ From, To string }
	templating struct {
		List []variable `json:"list"`
	}
	variable struct {
		Name       string      `json:"name"`
		Label      string      `json:"label"`
		Type       string      `json:"type"`
		Query      string      `json:"query"`
		Datasource *datasource `json:"datasource,omitempty"`
		Refresh    int         `json:"refresh,omitempty"`
		Multi      bool        `json:"multi,omitempty"`
		IncludeAll bool        `json:"includeAll,omitempty"`
		AllValue   string      `json:"allValue,omitempty"`
		Sort       int         `json:"sort,omitempty"`
	}
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	panel struct {
		ID          int         `json:"id"`
		Type        string      `json:"type"`
		Title       string      `json:"title"`
		Description string      `json:"description,omitempty"`
		Datasource  datasource  `json:"datasource"`
		GridPos     gridPos     `json:"gridPos"`
		FieldConfig fieldConfig `json:"fieldConfig"`
		Targets     []target    `json:"targets"`
	}
	gridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
	fieldConfig struct {
		Defaults  fieldDefaults `json:"defaults"`
		Overrides []struct{}    `json:"overrides"`
	}
	fieldDefaults struct {
		Unit string `json:"unit"`
		Min  int    `json:"min"`
	}
	target struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	}
)

// MarshalJSON writes the names as Grafana has them.
func (t timeRange) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"from": t.From, "to": t.To}) //nolint:wrapcheck // of two texts
}

// schemaVersion is that of Grafana 9, which later ones read.
const schemaVersion = 37

// Units, as Grafana names them.
const (
	perSecond = "reqps"
	seconds   = "s"
	share     = "percentunit"
	number    = "short"
	bytesRate = "Bps"
)

// chart is a panel before it has a place.
type chart struct {
	title, about, unit string
	queries            [][2]string // an expression, and what its series are called
}

// Dashboard is the service's dashboard.
func Dashboard(m *spec.Manifest) ([]byte, error) {
	source := datasource{"prometheus", "${datasource}"}
	d := dashboard{
		UID: uid(m.Service), Title: "Stella: " + m.Service, Description: m.Doc, Tags: []string{"stella", m.Service}, SchemaVersion: schemaVersion,
		Refresh: "30s", Time: timeRange{"now-6h", "now"}, GraphTooltip: 1, Editable: true,
		Templating: templating{[]variable{
			{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus"},
			selection("version", "Version", m.Service, source), selection("endpoint", "Endpoint", m.Service, source),
		}},
	}
	const (
		width, height = 12, 8
		columns       = 2
	)
	for i, c := range charts(m) {
		p := panel{
			ID: i + 1, Type: "timeseries", Title: c.title, Description: c.about, Datasource: source,
			GridPos:     gridPos{H: height, W: width, X: i % columns * width, Y: i / columns * height},
			FieldConfig: fieldConfig{fieldDefaults{c.unit, 0}, []struct{}{}},
		}
		for n, q := range c.queries {
			p.Targets = append(p.Targets, target{string(rune('A' + n)), q[0], q[1]})
		}
		d.Panels = append(d.Panels, p)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("grafana: %w", err)
	}
	return out.Bytes(), nil
}

// uid is the same for a service everywhere, and has at most Grafana's 40 characters, whatever the service is called.
func uid(service string) string {
	sum := sha256.Sum256([]byte(service))
	return "stella-" + hex.EncodeToString(sum[:12])
}

// selection lets readers choose some values of a label.
func selection(name, label, service string, source datasource) variable {
	return variable{
		Name: name, Label: label, Type: "query", Query: fmt.Sprintf("label_values(stella_gateway_requests_total{service=%q}, %s)", service, name),
		Datasource: &source, Refresh: 2, Multi: true, IncludeAll: true, AllValue: ".*", Sort: 1, //nolint:mnd // 2: when the time range changes
	}
}

func charts(m *spec.Manifest) []chart {
	of := fmt.Sprintf(`service=%q, version=~"$version", endpoint=~"$endpoint"`, m.Service)
	whole := fmt.Sprintf("service=%q", m.Service)
	requests := func(more, by string) string {
		return fmt.Sprintf("sum by (%s) (rate(stella_gateway_requests_total{%s%s}[$__rate_interval]))", by, of, more)
	}
	const each = "{{method}} {{endpoint}}"
	failed := strings.Join(prometheus.Failed, "|")
	quantile := func(q string) string {
		return fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(stella_gateway_request_duration_seconds_bucket{%s}[$__rate_interval])))", q, of)
	}
	list := []chart{
		{"Requests", "By endpoint.", perSecond, [][2]string{{requests("", "method, endpoint"), each}}},
		{"Outcomes", "What became of requests.", perSecond, [][2]string{{requests("", "outcome"), "{{outcome}}"}}},
		{"Share that failed", "Requests that the gateway had no good answer for. What callers get wrong is not among them.", share, [][2]string{{
			requests(`, outcome=~"`+failed+`"`, "method, endpoint") + " / " +
				requests("", "method, endpoint"), each,
		}}},
		{"Duration", "From a request's header to the end of its answer; streams are in it.", seconds, [][2]string{
			{quantile("0.5"), "p50"}, {quantile("0.9"), "p90"}, {quantile("0.99"), "p99"},
		}},
		{"In flight", "Requests that are being served.", number, [][2]string{
			{"sum by (method, endpoint) (stella_gateway_requests_in_flight{" + of + "})", each},
		}},
		{"Bodies", "Bytes that were read from callers, and written to them.", bytesRate, [][2]string{
			{"sum(rate(stella_gateway_request_body_bytes_total{" + of + "}[$__rate_interval]))", "requests"},
			{"sum(rate(stella_gateway_response_body_bytes_total{" + of + "}[$__rate_interval]))", "answers"},
		}},
		{"Retries", "Requests that were sent to another instance, and those that the budget denied it.", perSecond, [][2]string{
			{"sum(rate(stella_gateway_retries_total{" + of + "}[$__rate_interval]))", "sent again"},
			{"sum(rate(stella_gateway_retries_denied_total{" + of + "}[$__rate_interval]))", "denied"},
		}},
		{"Sessions", "Instances of the service that are connected, by state.", number, [][2]string{
			{"sum by (version, state) (stella_gateway_sessions{" + whole + "})", "{{version}} {{state}}"},
		}},
		{"Silence", "Time since the last HEARTBEAT of the instance that has been silent for longest.", seconds, [][2]string{
			{"max by (version) (stella_gateway_heartbeat_age_seconds{" + whole + "})", "{{version}}"},
		}},
	}
	return list
}
