package reference

import (
	"bytes"
	"fmt"
	"go/doc/comment"
	"html/template"
	"strings"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/templates"
)

// HTML writes the reference as one file that needs nothing beside itself: no script, style, font or picture comes from
// elsewhere, and its policy forbids the browser to ask for any.
func HTML(m *spec.Manifest, url string) ([]byte, error) {
	p, err := newPage(m, url)
	if err != nil {
		return nil, err
	}
	const name = "api.html.tmpl"
	t, err := template.New(name).Funcs(template.FuncMap{"doc": htmlDoc, "join": strings.Join}).ParseFS(templates.FS, "reference/"+name)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return out.Bytes(), nil
}

// Words are what the search looks at.
func (e *endpoint) Words() string {
	words := append([]string{e.Method, e.Path, e.Name, e.Summary}, e.Marks...)
	for _, f := range e.Facts {
		words = append(words, f.Text)
	}
	for _, p := range e.Params {
		words = append(words, p.Name)
	}
	for _, f := range e.Errors {
		words = append(words, f.Code)
	}
	return strings.ToLower(strings.Join(words, " "))
}

// Words are what the search looks at.
func (t *namedType) Words() string {
	words := []string{t.Name, synopsis(t.Doc)}
	for _, m := range t.Rows {
		words = append(words, m.Name)
	}
	return strings.ToLower(strings.Join(words, " "))
}

// htmlDoc is a doc comment of Go.
func htmlDoc(text string) template.HTML {
	var p comment.Parser
	printer := &comment.Printer{HeadingLevel: deepest, HeadingID: noID, DocLinkURL: noURL}
	return template.HTML(printer.HTML(p.Parse(text))) //nolint:gosec // the printer escapes the text
}
