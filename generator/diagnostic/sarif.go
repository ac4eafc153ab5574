package diagnostic

import (
	"bytes"
	"cmp"
	"go/token"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a SARIF log says of itself, and where rules are explained.
const (
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sarifVersion = "2.1.0"
	sarifHome    = "https://github.com/stella-ops/router"
	sarifRules   = sarifHome + "/blob/main/docs/reference/rules.md"
	sarifRoot    = "SRCROOT"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool       sarifTool                `json:"tool"`
	Columns    string                   `json:"columnKind"`
	Bases      map[string]sarifLocation `json:"originalUriBaseIds"`
	Results    []sarifResult            `json:"results"`
	Properties map[string]int           `json:"properties,omitempty"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	URI     string      `json:"informationUri"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         ID               `json:"id"`
	Name       string           `json:"name,omitempty"`
	Short      sarifText        `json:"shortDescription"`
	Full       *sarifText       `json:"fullDescription,omitempty"`
	HelpURI    string           `json:"helpUri"`
	Help       *sarifText       `json:"help,omitempty"`
	Default    sarifDefault     `json:"defaultConfiguration"`
	Properties *sarifProperties `json:"properties,omitempty"`
}

type sarifDefault struct {
	Level string `json:"level"`
}

type sarifProperties struct {
	Tags     []string `json:"tags,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifResult struct {
	Rule         ID                 `json:"ruleId"`
	Index        int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifPlace       `json:"locations,omitempty"`
	Related      []sarifPlace       `json:"relatedLocations,omitempty"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	Fixes        []sarifFix         `json:"fixes,omitempty"`
	Properties   *sarifProperties   `json:"properties,omitempty"`
}

type sarifPlace struct {
	ID       int           `json:"id,omitempty"`
	Physical sarifPhysical `json:"physicalLocation"`
	Message  *sarifText    `json:"message,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifLocation `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifLocation struct {
	URI         string     `json:"uri,omitempty"`
	Base        string     `json:"uriBaseId,omitempty"`
	Description *sarifText `json:"description,omitempty"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
	EndLine     int `json:"endLine,omitempty"`
	EndColumn   int `json:"endColumn,omitempty"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}

type sarifFix struct {
	Description sarifText     `json:"description"`
	Changes     []sarifChange `json:"artifactChanges"`
}

type sarifChange struct {
	Artifact     sarifLocation      `json:"artifactLocation"`
	Replacements []sarifReplacement `json:"replacements"`
}

type sarifReplacement struct {
	Deleted  sarifRegion `json:"deletedRegion"`
	Inserted sarifText   `json:"insertedContent"`
}

var sarifLevels = map[Severity]string{Error: "error", Warning: "warning", Info: "note"}

func writeSARIF(out *bytes.Buffer, r *Report, _ Style) error {
	ids := map[ID]int{}
	for _, f := range r.Findings {
		ids[f.Rule] = 0
	}
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: toolName, Version: r.Version, URI: sarifHome, Rules: []sarifRule{}}},
		Columns: "unicodeCodePoints",
		Bases:   map[string]sarifLocation{sarifRoot: {Description: &sarifText{Text: "the folder that the command ran in"}}},
		Results: []sarifResult{},
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		ids[id] = len(run.Tool.Driver.Rules)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, r.sarifRule(id))
	}
	for i, fingerprint := range r.fingerprints() {
		f := r.Findings[i]
		run.Results = append(run.Results, r.sarifResult(f, ids[f.Rule], fingerprint))
	}
	if r.Omitted > 0 {
		run.Properties = map[string]int{"omitted": r.Omitted}
	}
	return indented(out, sarifLog{sarifSchema, sarifVersion, []sarifRun{run}})
}

func (r *Report) sarifRule(id ID) sarifRule {
	rule := r.rule(id)
	s := sarifRule{
		ID: id, Name: rule.Name, Short: sarifText{Text: rule.Title}, Default: sarifDefault{sarifLevels[rule.Severity]},
		HelpURI: sarifRules + "#" + strings.ToLower(string(id)),
	}
	if rule.Text != "" {
		s.Full = &sarifText{Text: rule.Text}
		s.Help = &sarifText{Text: rule.Text, Markdown: "**" + string(id) + ": " + markdownCell.Replace(rule.Title) + "**\n\n" + markdownCell.Replace(rule.Text)}
	}
	if rule.Category != "" {
		s.Properties = &sarifProperties{Tags: []string{rule.Category}}
	}
	return s
}

func (r *Report) sarifResult(f Finding, index int, fingerprint string) sarifResult {
	s := sarifResult{
		Rule: f.Rule, Index: index, Level: sarifLevels[f.Severity], Message: sarifText{Text: withHint(f)},
		Fingerprints: map[string]string{"stella/v1": fingerprint},
	}
	if f.Pos.Filename != "" {
		s.Locations = []sarifPlace{{Physical: r.sarifPlace(f.Pos, f.Width)}}
	}
	for i, rel := range f.Related {
		if rel.Pos.Filename != "" {
			s.Related = append(s.Related, sarifPlace{i + 1, r.sarifPlace(rel.Pos, 1), &sarifText{Text: rel.Message}})
		}
	}
	if f.Waiver != "" {
		s.Suppressions = []sarifSuppression{{"external", f.Waiver}}
	}
	for _, fix := range f.Fixes {
		if changes := r.sarifChanges(fix); len(changes) > 0 {
			s.Fixes = append(s.Fixes, sarifFix{sarifText{Text: fix.Message}, changes})
		}
	}
	if f.Endpoint != "" {
		s.Properties = &sarifProperties{Endpoint: f.Endpoint}
	}
	return s
}

func (r *Report) sarifPlace(pos token.Position, width int) sarifPhysical {
	p := sarifPhysical{Artifact: r.sarifFile(pos.Filename)}
	if !pos.IsValid() {
		return p
	}
	p.Region = &sarifRegion{StartLine: pos.Line, StartColumn: max(pos.Column, 1), EndColumn: max(pos.Column, 1) + max(width, 1)}
	if line, ok := r.line(pos); ok {
		from, to := span(line, pos.Column, width)
		p.Region.StartColumn = utf8.RuneCount(line[:from]) + 1
		p.Region.EndColumn = p.Region.StartColumn + utf8.RuneCount(line[from:to])
	}
	return p
}

// sarifFile names a file by the folder that the command ran in, or whole if it is elsewhere: an address with .. in it
// must not be relative to a base.
func (r *Report) sarifFile(name string) sarifLocation {
	shown := r.file(name)
	if filepath.IsAbs(name) && (filepath.IsAbs(shown) || shown == ".." || strings.HasPrefix(shown, "../")) {
		return sarifLocation{URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(name)}).String()}
	}
	return sarifLocation{URI: (&url.URL{Path: shown}).String(), Base: sarifRoot}
}

// sarifChanges are a fix's edits by file. Without the source of one, the fix cannot be told.
func (r *Report) sarifChanges(fix Fix) []sarifChange {
	edits := map[string][]Edit{}
	for _, e := range fix.Edits {
		edits[e.Pos.Filename] = append(edits[e.Pos.Filename], e)
	}
	var changes []sarifChange
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		if r.Source == nil {
			return nil
		}
		src, err := r.Source(name)
		if err != nil {
			return nil
		}
		change := sarifChange{Artifact: r.sarifFile(name)}
		slices.SortStableFunc(edits[name], func(a, b Edit) int { return cmp.Compare(a.Pos.Offset, b.Pos.Offset) })
		for _, e := range edits[name] {
			var region sarifRegion
			region.StartLine, region.StartColumn = lineColumn(src, e.Pos.Offset)
			region.EndLine, region.EndColumn = lineColumn(src, e.End.Offset)
			change.Replacements = append(change.Replacements, sarifReplacement{region, sarifText{Text: e.New}})
		}
		changes = append(changes, change)
	}
	return changes
}

// lineColumn counts lines and code points from 1.
func lineColumn(src []byte, offset int) (line, column int) {
	before := src[:min(max(offset, 0), len(src))]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[begin:]) + 1
}
