package analyzer

import (
	"go/token"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/analysis"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/override"
)

// report hands a finding to the driver.
func (p *pack) report(f diagnostic.Finding) {
	d := analysis.Diagnostic{Pos: p.place(f.Pos), Category: string(f.Rule), Message: string(f.Rule) + ": " + f.Message}
	if f.Hint != "" {
		d.Message += " (" + f.Hint + ")"
	}
	if f.Width > 0 && f.Pos.IsValid() {
		d.End = d.Pos + token.Pos(f.Width)
	}
	for _, r := range f.Related {
		d.Related = append(d.Related, analysis.RelatedInformation{Pos: p.place(r.Pos), Message: r.Message})
	}
	for _, fix := range f.Fixes {
		s := analysis.SuggestedFix{Message: fix.Message}
		for _, e := range fix.Edits {
			s.TextEdits = append(s.TextEdits, analysis.TextEdit{Pos: p.place(e.Pos), End: p.place(e.End), NewText: []byte(e.New)})
		}
		d.SuggestedFixes = append(d.SuggestedFixes, s)
	}
	p.Report(d)
}

// place is a place of the pass's file set. One that is in no file becomes the package clause.
func (p *pack) place(pos token.Position) token.Pos {
	file := p.file(pos.Filename)
	if file == nil {
		return p.Files[0].Package
	}
	switch {
	case pos.Line < 1 || pos.Line > file.LineCount():
		return file.Pos(0)
	case pos.Column < 1:
		return file.LineStart(pos.Line)
	}
	return min(file.LineStart(pos.Line)+token.Pos(pos.Column-1), file.Pos(file.Size()))
}

// file is a file of the file set: files that are not compiled are added to it.
func (p *pack) file(name string) (found *token.File) {
	if f := p.files[name]; f != nil {
		return p.Fset.File(f.FileStart)
	}
	p.Fset.Iterate(func(f *token.File) bool {
		if f.Name() == name {
			found = f
		}
		return found == nil
	})
	if found != nil {
		return found
	}
	src, err := p.ReadFile(name)
	if err != nil && filepath.Base(name) == override.FileName {
		src, err = os.ReadFile(name) //nolint:gosec // beside the package; drivers hand out Go files alone
	}
	if err != nil {
		return nil // a folder, or nothing at all
	}
	found = p.Fset.AddFile(name, -1, len(src))
	found.SetLinesForContent(src)
	return found
}

// finding is one about a part of the package's source.
func (p *pack) finding(id diagnostic.ID, from, to token.Pos, message, hint string) diagnostic.Finding {
	start, end := p.Fset.PositionFor(from, false), p.Fset.PositionFor(to, false)
	f := diagnostic.Finding{Rule: id, Pos: start, Message: message, Hint: hint}
	if end.Line == start.Line {
		f.Width = end.Column - start.Column
	}
	return f
}

func (p *pack) edit(from, to token.Pos, text string) diagnostic.Edit {
	return diagnostic.Edit{Pos: p.Fset.PositionFor(from, false), End: p.Fset.PositionFor(to, false), New: text}
}
