package breaking

import (
	"go/token"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// Subject is the manifest that is reviewed.
type Subject struct {
	Manifest *spec.Manifest
	File     string // that findings are about
	Source   []byte // of the file
}

// Baseline is a manifest that others rely on.
type Baseline struct {
	Name     string // as the user gave it
	Manifest *spec.Manifest
}

// Config is how a review is made.
type Config struct {
	Rules   Selection
	Waivers *Waivers  // nil: there are none
	Today   time.Time // days are counted in its location
}

// Report is what a review has found.
type Report struct {
	Findings []diagnostic.Finding // what is waived is among them, and says so
	Advice   []Advice             // for each baseline
}

// Review compares a manifest with each of its baselines.
func Review(subject Subject, baselines []Baseline, cfg Config) Report {
	var report Report
	lines := endpointLines(subject.Source)
	at := map[string]int{} // by fingerprint and message
	against := map[int][]string{}
	for _, b := range baselines {
		cfg.Waivers.know(b.Manifest, subject.Manifest)
		changes, advice := cfg.review(b.Manifest, subject.Manifest)
		advice.Baseline = b.Name
		report.Advice = append(report.Advice, advice)
		for _, c := range changes {
			f := finding(c, subject, lines, cfg)
			key := f.Fingerprint + f.Message
			i, ok := at[key]
			if !ok {
				i = len(report.Findings)
				at[key] = i
				report.Findings = append(report.Findings, f)
			}
			against[i] = append(against[i], b.Name)
		}
	}
	if len(baselines) > 1 {
		for i := range report.Findings {
			report.Findings[i].Message += ", against " + strings.Join(against[i], ", ")
		}
	}
	return report
}

// review returns the selected changes between two manifests, and what follows for the version from those that are not
// waived.
func (cfg Config) review(before, now *spec.Manifest) ([]Change, Advice) {
	all := Compare(before, now, Scope{Today: cfg.Today, Experimental: cfg.Rules.experimental})
	broken := slices.ContainsFunc(all, func(c Change) bool {
		return breaks(c) && cfg.Waivers.reason(c, now.Service, cfg.Today) == ""
	})
	advice, version := advise(before, now, broken)
	all = slices.DeleteFunc(append(all, version...), func(c Change) bool { return !cfg.Rules.Has(c.Rule) })
	return all, advice
}

func finding(c Change, subject Subject, lines map[string]int, cfg Config) diagnostic.Finding {
	service := subject.Manifest.Service
	f := diagnostic.Finding{
		Rule: c.Rule, Severity: c.Severity, Message: c.Message(), Hint: c.Hint, Fingerprint: c.Fingerprint(service),
		Waiver: cfg.Waivers.reason(c, service, cfg.Today),
		Pos:    token.Position{Filename: subject.File, Line: 1, Column: 1},
	}
	if len(c.Endpoints) > 0 {
		f.Endpoint = c.Endpoints[0]
		if line, ok := lines[f.Endpoint]; ok {
			f.Pos.Line = line
		}
	} else if line, ok := lines[c.Where]; ok {
		f.Pos.Line = line
	}
	if subject.File == "" {
		f.Pos = token.Position{}
	}
	return f
}

// endpointLines are the lines at which a manifest's endpoints are, by name; and those of its own version and service.
// Canonical JSON has one member a line, and says the method before the path.
func endpointLines(source []byte) map[string]int {
	const own, endpoint = `  "`, `      "`
	lines := map[string]int{}
	n, method := 0, ""
	for line := range strings.Lines(string(source)) {
		n++
		key, value, _ := strings.Cut(strings.TrimRight(line, ",\n"), `": `)
		value = strings.Trim(value, `"`)
		switch key {
		case endpoint + "method":
			method = value
		case endpoint + "path":
			lines[method+" "+value] = n
		case own + "version", own + "service":
			lines[strings.TrimPrefix(key, own)] = n
		}
	}
	return lines
}
