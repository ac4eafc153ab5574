// Package httpfile writes a call of each endpoint as a file that HTTP clients of editors run: those of Visual Studio Code
// and of JetBrains. Values are examples that keep to the schemas. Start at [Render].
package httpfile

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/templates"
)

// file is what the template sees.
type file struct {
	*spec.Manifest

	URL   string
	Calls []*call
}

// call is one request of the file.
type call struct {
	*client.Call

	Notes   []string // comments
	Target  string   // path and query
	Headers []field
	Body    string
}

type field struct{ Name, Value string }

// Render writes the calls of a manifest to a gateway at url.
func Render(m *spec.Manifest, url string) ([]byte, error) {
	model, err := client.New(m)
	if err != nil {
		return nil, err
	}
	f := file{Manifest: m, URL: strings.TrimSuffix(url, "/")}
	for _, c := range model.Calls {
		w := &writer{manifest: m, call: &call{Call: c}}
		if err := w.write(); err != nil {
			return nil, err
		}
		f.Calls = append(f.Calls, w.call)
	}
	const name = "api.http.tmpl"
	t, err := template.ParseFS(templates.FS, "httpfile/"+name)
	if err != nil {
		return nil, fmt.Errorf("httpfile: %w", err)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, f); err != nil {
		return nil, fmt.Errorf("httpfile: %w", err)
	}
	return out.Bytes(), nil
}

// Title is the first sentence of an endpoint's documentation, as one line of a comment. What begins with @ would be an
// instruction to the editor.
func (c *call) Title() string {
	first, _, _ := strings.Cut(strings.Join(client.Lines(c.Doc), "\n"), "\n\n")
	if first = strings.TrimLeft(strings.Join(strings.Fields(first), " "), "@#/ "); first == "" {
		return c.Name
	}
	return first
}
