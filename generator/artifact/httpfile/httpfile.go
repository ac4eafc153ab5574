// Package httpfile writes requests that editors send: the form that the REST clients of VS Code and JetBrains read.
package httpfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/artifact/example"
	"github.com/stella-ops/router/spec"
)

// Requests are one request for each endpoint of m, with values that its constraints take.
func Requests(m *spec.Manifest, host string) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Requests to %s %s. A token for development is what the gateway's --dev-token-file holds.\n\n@host = %s\n@token = \n",
		m.Service, m.Version, host)
	for i := range m.Endpoints {
		if err := request(&out, m, &m.Endpoints[i]); err != nil {
			return nil, fmt.Errorf("httpfile: %s %s: %w", m.Endpoints[i].Method, m.Endpoints[i].Path, err)
		}
	}
	return out.Bytes(), nil
}

func request(out *bytes.Buffer, m *spec.Manifest, e *spec.Endpoint) error {
	target, err := targetOf(m, e)
	if err != nil {
		return err
	}
	title := sentence(e.Doc)
	if title == "" {
		title = e.Handler
	}
	fmt.Fprintf(out, "\n### %s\n%s {{host}}%s\n", title, e.Method, target)
	if e.Public == "" {
		out.WriteString("Authorization: Bearer {{token}}\n")
	}
	if e.Kind == spec.KindStream {
		out.WriteString("Accept: application/x-ndjson\n")
	}
	var cookies []string
	for _, p := range e.Params {
		switch {
		case p.In == spec.InHeader && p.Required:
			fmt.Fprintf(out, "%s: %s\n", p.Name, example.Text(m, p.Schema))
		case p.In == spec.InCookie && p.Required:
			cookies = append(cookies, p.Name+"="+example.Text(m, p.Schema))
		}
	}
	if len(cookies) > 0 {
		fmt.Fprintf(out, "Cookie: %s\n", strings.Join(cookies, "; "))
	}
	return body(out, m, e)
}

// sentence is the first sentence of a text, on one line.
func sentence(doc string) string {
	paragraph, _, _ := strings.Cut(doc, "\n\n")
	line := strings.Join(strings.Fields(paragraph), " ")
	if first, _, more := strings.Cut(line, ". "); more {
		return first + "."
	}
	return line
}

// targetOf is the path with its parameters, and what of the query is required.
func targetOf(m *spec.Manifest, e *spec.Endpoint) (string, error) {
	p, err := spec.ParsePattern(e.Path)
	if err != nil {
		return "", err
	}
	var values []string
	for _, name := range p.Params() {
		text := "text"
		for _, param := range e.Params {
			if param.In == spec.InPath && param.Name == name {
				text = example.Text(m, param.Schema)
			}
		}
		values = append(values, text)
	}
	query := url.Values{}
	for _, param := range e.Params {
		if param.In == spec.InQuery && param.Required {
			query.Set(param.Name, example.Text(m, param.Schema))
		}
	}
	target := p.Fill(values)
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target, nil
}

// boundary separates the parts of a form.
const boundary = "stella-boundary"

func body(out *bytes.Buffer, m *spec.Manifest, e *spec.Endpoint) error {
	if e.Request == nil {
		return nil
	}
	value := example.Value(m, e.Request)
	fields, _ := value.(map[string]any)
	switch e.Consumes {
	case spec.MediaForm:
		form := url.Values{}
		for name, v := range fields {
			form.Set(name, fmt.Sprint(one(v)))
		}
		fmt.Fprintf(out, "Content-Type: %s\n\n%s\n", spec.MediaForm, form.Encode())
	case spec.MediaMultipart:
		fmt.Fprintf(out, "Content-Type: %s; boundary=%s\n\n", spec.MediaMultipart, boundary)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			file := ""
			if s := property(m, e.Request, name); s != nil && (s.Format == "binary" || s.Items != nil && s.Items.Format == "binary") {
				file = `; filename="example.txt"`
			}
			fmt.Fprintf(out, "--%s\nContent-Disposition: form-data; name=%q%s\n\n%v\n", boundary, name, file, one(fields[name]))
		}
		fmt.Fprintf(out, "--%s--\n", boundary)
	default:
		out.WriteString("Content-Type: application/json\n\n")
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(value) //nolint:wrapcheck // Requests does
	}
	return nil
}

// one is a field's value: the first of several.
func one(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return v
}

func property(m *spec.Manifest, s *spec.Schema, name string) *spec.Schema {
	if s.Ref != "" {
		s = m.Schemas[s.Ref]
	}
	return s.Properties[name]
}
