package migrate

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strings"
)

// edits are insertions into files.
type edits struct {
	fset *token.FileSet
	list map[string][]insertion
}

type insertion struct {
	offset int
	text   string
}

// document adds lines to the doc comment of what begins at pos, or gives it one. gofmt wants directives behind an empty
// line, and does not want one between them.
func (e *edits) document(doc *ast.CommentGroup, pos token.Pos, lines []string) {
	if e.list == nil {
		e.list = map[string][]insertion{}
	}
	if doc == nil {
		at := e.fset.PositionFor(pos, false)
		e.list[at.Filename] = append(e.list[at.Filename], insertion{at.Offset, strings.Join(lines, "\n") + "\n"})
		return
	}
	last := doc.List[len(doc.List)-1]
	text := "\n"
	if !isDirective(last.Text) && strings.HasPrefix(last.Text, "//") && last.Text != "//" {
		text = "\n//\n"
	}
	at := e.fset.PositionFor(last.Slash, false)
	e.list[at.Filename] = append(e.list[at.Filename], insertion{at.Offset + len(last.Text), text + strings.Join(lines, "\n")})
}

// isDirective reports whether gofmt takes a comment for a directive: //name:text without a space.
func isDirective(text string) bool {
	name, _, ok := strings.Cut(strings.TrimPrefix(text, "//"), ":")
	return ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == "" || strings.HasPrefix(text, "//nolint")
}

// files are the files as they should be.
func (e *edits) files() ([]File, error) {
	var files []File
	for _, name := range sortedKeys(e.list) {
		old, err := os.ReadFile(name) //nolint:gosec // a file of a package that was read
		if err != nil {
			return nil, fmt.Errorf("migrate: reading source: %w", err)
		}
		list := slices.Clone(e.list[name])
		slices.SortStableFunc(list, func(a, b insertion) int { return a.offset - b.offset })
		end := "\n"
		if bytes.Contains(old, []byte("\r\n")) {
			end = "\r\n"
		}
		var b bytes.Buffer
		at := 0
		for _, in := range list {
			if in.offset > len(old) {
				return nil, fmt.Errorf("%w: %s has changed while it was read", errInput, name)
			}
			b.Write(old[at:in.offset])
			b.WriteString(strings.ReplaceAll(in.text, "\n", end))
			at = in.offset
		}
		b.Write(old[at:])
		files = append(files, File{name, old, b.Bytes()})
	}
	return files, nil
}
