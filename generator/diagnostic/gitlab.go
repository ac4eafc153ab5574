package diagnostic

import (
	"bytes"
	"cmp"
)

// gitlabFinding is one entry of GitLab's code quality report, with the members that GitLab requires.
type gitlabFinding struct {
	Description string         `json:"description"`
	CheckName   string         `json:"check_name"` //nolint:tagliatelle // GitLab's name
	Fingerprint string         `json:"fingerprint"`
	Severity    string         `json:"severity"`
	Location    gitlabLocation `json:"location"`
}

type gitlabLocation struct {
	Path  string      `json:"path"`
	Lines gitlabLines `json:"lines"`
}

type gitlabLines struct {
	Begin int `json:"begin"`
}

var gitlabSeverities = map[Severity]string{Error: "critical", Warning: "minor", Info: "info"}

// writeGitLab leaves out what is waived: the report has no place for it.
func writeGitLab(out *bytes.Buffer, r *Report, _ Style) error {
	list, prints := []gitlabFinding{}, r.fingerprints()
	for i, f := range r.Findings {
		if f.Waiver != "" {
			continue
		}
		list = append(list, gitlabFinding{
			Description: withHint(f), CheckName: string(f.Rule), Fingerprint: prints[i], Severity: gitlabSeverities[f.Severity],
			Location: gitlabLocation{cmp.Or(r.file(f.Pos.Filename), "."), gitlabLines{max(f.Pos.Line, 1)}},
		})
	}
	return indented(out, list)
}
