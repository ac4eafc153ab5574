package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The parts of Grafana's format that a dashboard here is made of, in the form in which provisioning reads it. Grafana's own
// "export for sharing" is another form, which provisioning does not read.

type dashboard struct {
	ID            *int       `json:"id"` // null: Grafana gives it one
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Version       int        `json:"version"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"` // 1: all panels share a crosshair
	Refresh       string     `json:"refresh"`
	Timezone      string     `json:"timezone"`
	Time          timeRange  `json:"time"`
	Annotations   annotation `json:"annotations"`
	Links         []any      `json:"links"`
	Templating    templating `json:"templating"`
	Panels        []drawn    `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type annotation struct {
	List []any `json:"list"`
}

type templating struct {
	List []variable `json:"list"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// variable is something that the reader may choose. Query is a text or a query.
type variable struct {
	Name       string   `json:"name"`
	Label      string   `json:"label"`
	Type       string   `json:"type"`
	Datasource *source  `json:"datasource,omitempty"`
	Definition string   `json:"definition,omitempty"`
	Query      any      `json:"query"`
	Hide       int      `json:"hide"`
	Refresh    int      `json:"refresh"` // 1: when the dashboard is loaded, 2: when its time range changes
	Sort       int      `json:"sort"`
	Multi      bool     `json:"multi"`
	IncludeAll bool     `json:"includeAll"`
	AllValue   string   `json:"allValue,omitempty"`
	Regex      string   `json:"regex"`
	Options    []any    `json:"options"`
	Current    *current `json:"current,omitempty"`
}

type query struct {
	Query string `json:"query"`
	RefID string `json:"refId"`
}

type current struct {
	Selected bool     `json:"selected"`
	Text     []string `json:"text"`
	Value    []string `json:"value"`
}

// drawn is a panel as Grafana reads it.
type drawn struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  source      `json:"datasource"`
	GridPos     gridPos     `json:"gridPos"`
	FieldConfig fieldConfig `json:"fieldConfig"`
	Options     any         `json:"options"`
	Targets     []promQuery `json:"targets"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type fieldConfig struct {
	Defaults  defaults `json:"defaults"`
	Overrides []any    `json:"overrides"`
}

type defaults struct {
	Unit   string  `json:"unit"`
	Min    int     `json:"min"`
	Custom *custom `json:"custom,omitempty"`
}

type custom struct {
	DrawStyle   string    `json:"drawStyle"`
	FillOpacity int       `json:"fillOpacity"`
	ShowPoints  string    `json:"showPoints"`
	Stacking    *stacking `json:"stacking,omitempty"`
}

type stacking struct {
	Mode  string `json:"mode"`
	Group string `json:"group"`
}

type statOptions struct {
	ReduceOptions reduceOptions `json:"reduceOptions"`
	GraphMode     string        `json:"graphMode"`
	ColorMode     string        `json:"colorMode"`
}

type reduceOptions struct {
	Calcs  []string `json:"calcs"`
	Fields string   `json:"fields"`
	Values bool     `json:"values"`
}

type seriesOptions struct {
	Legend  legend  `json:"legend"`
	Tooltip tooltip `json:"tooltip"`
}

type legend struct {
	DisplayMode string `json:"displayMode"`
	Placement   string `json:"placement"`
	ShowLegend  bool   `json:"showLegend"`
}

type tooltip struct {
	Mode string `json:"mode"`
	Sort string `json:"sort"`
}

type promQuery struct {
	RefID        string `json:"refId"`
	Datasource   source `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	EditorMode   string `json:"editorMode"`
	Range        bool   `json:"range"`
}

// chosen is the data source that the reader has chosen.
func chosen() source { return source{Type: "prometheus", UID: "${datasource}"} }

// drawn is p with this number at this place.
func (p panel) drawn(id int, at gridPos) drawn {
	d := drawn{
		ID: id, Title: p.title, Description: p.doc, Datasource: chosen(), GridPos: at,
		FieldConfig: fieldConfig{Defaults: defaults{Unit: p.unit}, Overrides: []any{}},
	}
	for i, t := range p.targets {
		d.Targets = append(d.Targets, promQuery{
			RefID: string(rune('A' + i)), Datasource: chosen(), Expr: t.expr, LegendFormat: t.legend, EditorMode: "code", Range: true,
		})
	}
	if p.single {
		d.Type = "stat"
		d.Options = statOptions{ReduceOptions: reduceOptions{Calcs: []string{"lastNotNull"}}, GraphMode: "area", ColorMode: "none"}
		return d
	}
	d.Type = "timeseries"
	d.Options = seriesOptions{
		Legend:  legend{DisplayMode: "list", Placement: "bottom", ShowLegend: true},
		Tooltip: tooltip{Mode: "multi", Sort: "desc"},
	}
	d.FieldConfig.Defaults.Custom = &custom{DrawStyle: "line", ShowPoints: "never"}
	if p.stacked {
		d.FieldConfig.Defaults.Custom.FillOpacity, d.FieldConfig.Defaults.Custom.Stacking = 20, &stacking{Mode: "normal", Group: "A"}
	}
	return d
}

func (d dashboard) encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("monitoring: %w", err)
	}
	return out.Bytes(), nil
}
