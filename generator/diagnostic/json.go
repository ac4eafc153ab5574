package diagnostic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/token"
)

// jsonSchema is the form of the json and ndjson formats. Members may be added to it; none changes its meaning.
const jsonSchema = "stella.findings/v1"

type jsonReport struct {
	Schema   string        `json:"schema"`
	Tool     jsonTool      `json:"tool"`
	Findings []jsonFinding `json:"findings"`
	Summary  jsonSummary   `json:"summary"`
}

type jsonTool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type jsonSummary struct {
	Counts

	Omitted int `json:"omitted"`
}

type jsonFinding struct {
	Rule        ID            `json:"rule"`
	Name        string        `json:"name,omitempty"`
	Category    string        `json:"category,omitempty"`
	Severity    string        `json:"severity"`
	Message     string        `json:"message"`
	Hint        string        `json:"hint,omitempty"`
	Endpoint    string        `json:"endpoint,omitempty"`
	Place       *jsonPlace    `json:"place,omitempty"`
	Related     []jsonRelated `json:"related,omitempty"`
	Fixes       []jsonFix     `json:"fixes,omitempty"`
	Waiver      string        `json:"waiver,omitempty"`
	Fingerprint string        `json:"fingerprint"`
}

// jsonPlace is a place. Line and column count from 1, the column in bytes; both are absent for a file as a whole.
type jsonPlace struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Width  int    `json:"width,omitempty"`
}

type jsonRelated struct {
	Place   *jsonPlace `json:"place,omitempty"`
	Message string     `json:"message"`
}

type jsonFix struct {
	Message string     `json:"message"`
	Edits   []jsonEdit `json:"edits"`
}

// jsonEdit replaces the bytes of a file from one offset up to another.
type jsonEdit struct {
	File string `json:"file"`
	From int    `json:"from"`
	To   int    `json:"to"`
	New  string `json:"new"`
}

const toolName = "stellagen"

func writeJSON(out *bytes.Buffer, r *Report, _ Style) error {
	return indented(out, jsonReport{
		Schema: jsonSchema, Tool: jsonTool{toolName, r.Version}, Findings: r.json(),
		Summary: jsonSummary{r.Count(), r.Omitted},
	})
}

// indented writes JSON for people, too.
func indented(out *bytes.Buffer, v any) error { return encode(out, "  ", v) }

// encode writes JSON that is read as it stands: <, > and & are themselves.
func encode(out *bytes.Buffer, indent string, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("making JSON: %w", err)
	}
	return nil
}

func (r *Report) json() []jsonFinding {
	list := make([]jsonFinding, len(r.Findings))
	prints := r.fingerprints()
	for i, f := range r.Findings {
		rule := r.rule(f.Rule)
		j := jsonFinding{
			Rule: f.Rule, Name: rule.Name, Category: rule.Category, Severity: f.Severity.String(), Message: f.Message, Hint: f.Hint,
			Endpoint: f.Endpoint, Place: r.jsonPlace(f.Pos, f.Width), Waiver: f.Waiver, Fingerprint: prints[i],
		}
		for _, rel := range f.Related {
			j.Related = append(j.Related, jsonRelated{r.jsonPlace(rel.Pos, 0), rel.Message})
		}
		for _, fix := range f.Fixes {
			jf := jsonFix{Message: fix.Message, Edits: []jsonEdit{}}
			for _, e := range fix.Edits {
				jf.Edits = append(jf.Edits, jsonEdit{r.file(e.Pos.Filename), e.Pos.Offset, e.End.Offset, e.New})
			}
			j.Fixes = append(j.Fixes, jf)
		}
		list[i] = j
	}
	return list
}

func (r *Report) jsonPlace(pos token.Position, width int) *jsonPlace {
	if pos.Filename == "" {
		return nil
	}
	if !pos.IsValid() {
		return &jsonPlace{File: r.file(pos.Filename)}
	}
	return &jsonPlace{File: r.file(pos.Filename), Line: pos.Line, Column: pos.Column, Width: width}
}
