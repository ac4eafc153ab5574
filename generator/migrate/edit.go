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
	block  bool // behind the block comment that begins at the offset
	own    bool // on a line of its own: what stands before the offset on its line stays where it is
}

// document adds lines to the doc comment of what begins at pos, or gives it one. gofmt wants directives behind an empty
// line, and does not want one between them.
func (e *edits) document(doc *ast.CommentGroup, pos token.Pos, lines []string) {
	if e.list == nil {
		e.list = map[string][]insertion{}
	}
	if doc == nil {
		at := e.fset.PositionFor(pos, false)
		e.list[at.Filename] = append(e.list[at.Filename], insertion{offset: at.Offset, text: strings.Join(lines, "\n") + "\n", own: true})
		return
	}
	last := doc.List[len(doc.List)-1]
	text := "\n"
	if !isDirective(last.Text) && strings.HasPrefix(last.Text, "//") && last.Text != "//" {
		text = "\n//\n"
	}
	at := e.fset.PositionFor(last.Slash, false)
	in := insertion{offset: at.Offset, text: text + strings.Join(lines, "\n"), block: strings.HasPrefix(last.Text, "/*")}
	if !in.block { // the text of a block has lost its carriage returns, hence its length is not that in the file
		in.offset += len(last.Text)
	}
	e.list[at.Filename] = append(e.list[at.Filename], in)
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
			kept, from, ok := in.within(old)
			if !ok {
				return nil, fmt.Errorf("%w: %s has changed while it was read", errInput, name)
			}
			b.Write(old[at:kept])
			b.WriteString(strings.ReplaceAll(in.text, "\n", end))
			at = from
		}
		b.Write(old[at:])
		files = append(files, File{name, old, b.Bytes()})
	}
	return files, nil
}

// within finds where a file's text stops before what is inserted, and where it goes on.
func (in *insertion) within(old []byte) (kept, from int, ok bool) {
	if in.offset > len(old) {
		return 0, 0, false
	}
	switch before := old[:in.offset]; {
	case in.block:
		i := bytes.Index(old[in.offset:], []byte("*/"))
		kept = in.offset + i + len("*/")
		return kept, kept, i >= 0
	case in.own && len(bytes.TrimLeft(before[bytes.LastIndexByte(before, '\n')+1:], " \t")) > 0: // /* F is. */ func F() {}
		in.text = "\n" + in.text
		return len(bytes.TrimRight(before, " \t")), in.offset, true
	}
	return in.offset, in.offset, true
}
