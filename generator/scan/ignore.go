package scan

import (
	"go/ast"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
)

// Ignore is one //stella:ignore and the part of a file that it speaks of.
type Ignore struct {
	Span

	Rule   diagnostic.ID
	RuleAt Span
	Reason string
	Owner  string    // who answers for it; may be empty
	Until  time.Time // the last day on which it counts; zero: it has none

	from, to int // lines
}

// Covers reports whether a finding is one that the ignore speaks of.
func (ig *Ignore) Covers(f *diagnostic.Finding) bool {
	return f.Rule == ig.Rule && f.Pos.Filename == ig.Pos.Filename && f.Pos.Line >= ig.from && f.Pos.Line <= ig.to
}

// Expired reports whether the last day of the ignore is before a day.
func (ig *Ignore) Expired(today time.Time) bool { return !ig.Until.IsZero() && ig.Until.Before(today) }

// ignoresOf reads a directive on own, if it is an ignore. There is none if there are findings about it.
func (l *loader) ignoresOf(d *directive.Directive, own *owner, f *ast.File, group *ast.CommentGroup) []*Ignore {
	if d == nil || d.Name != "ignore" {
		return nil
	}
	rule, reason := d.Args[0], d.Args[1]
	ig := &Ignore{
		Span: spanOf(d), Rule: diagnostic.ID(rule.Text), RuleAt: Span{rule.Pos, rule.Width}, Reason: reason.Text,
		from: l.pos(group.Pos()).Line, to: l.pos(own.node.End()).Line,
	}
	if own.place == directive.OnPackage {
		ig.from, ig.to = 1, l.pos(f.FileEnd).Line
	}
	for {
		rest, last := cutLastWord(ig.Reason)
		if by, ok := strings.CutPrefix(last, "owner="); ok {
			ig.Owner = by
		} else if day, ok := strings.CutPrefix(last, "until="); ok {
			until, err := time.Parse(time.DateOnly, day)
			if err != nil {
				l.list.Addf(diagnostic.BadIgnore, reason.Pos, reason.Width, "until is %.40q, expected a day such as 2027-01-31", day)
				return nil
			}
			ig.Until = until
		} else {
			break
		}
		ig.Reason = rest
	}
	if ig.Reason == "" {
		l.list.Addf(diagnostic.BadIgnore, reason.Pos, reason.Width, "stella:ignore %s says until when or who, and not why", ig.Rule).Hint =
			"write the reason before until= and owner="
		return nil
	}
	return []*Ignore{ig}
}

func cutLastWord(s string) (rest, last string) {
	i := strings.LastIndexByte(s, ' ')
	return strings.TrimRight(s[:max(i, 0)], " "), s[i+1:]
}

// applyIgnores takes out the findings that the package's ignore directives silence, and reports those that silence
// nothing. Those of lint's rules are for lint.
func (ps *packageScan) applyIgnores(l *loader) {
	for _, ig := range ps.ignores {
		if ig.Rule.IsLint() {
			continue
		}
		rule, _ := diagnostic.Find(ig.Rule)
		if !rule.Ignorable {
			l.list.Addf(diagnostic.BadIgnore, ig.RuleAt.Pos, ig.RuleAt.Width, "%s (%s) cannot be ignored", ig.Rule, rule.Title)
			continue
		}
		before := l.list.Len()
		l.list.Remove(func(f diagnostic.Finding) bool { return ig.Covers(&f) })
		if l.list.Len() == before {
			l.list.Addf(diagnostic.BadIgnore, ig.Pos, ig.Width, "stella:ignore %s silences nothing: remove it", ig.Rule)
		}
	}
}
