package httpfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/generator/artifact/example"
	"github.com/stella-ops/router/spec"
)

// placeholder is a value of which no example was found, or that needs none.
const placeholder = "example"

// boundary separates the parts of a multipart body.
const boundary = "stella-part"

// writer fills in a call.
type writer struct {
	*call

	manifest *spec.Manifest
	query    []string // pairs
	optional []string // what may be sent besides
	cookies  []string
}

func (w *writer) write() error {
	p, err := spec.ParsePattern(w.Path)
	if err != nil {
		return err
	}
	w.notes()
	var path []string
	for _, q := range w.Params {
		values := w.values(q.Name, q.Schema)
		switch {
		case q.In == spec.InPath:
			path = append(path, values[0])
		case !q.Required:
			w.optional = append(w.optional, q.In+" "+q.Name)
		case q.In == spec.InQuery:
			for _, v := range values {
				w.query = append(w.query, pair(q.Name, v))
			}
		case q.In == spec.InHeader:
			w.header(q.Name, strings.Join(values, ", "))
		case q.In == spec.InCookie:
			w.cookies = append(w.cookies, q.Name+"="+values[0])
		}
	}
	if len(w.cookies) > 0 {
		w.header("Cookie", strings.Join(w.cookies, "; "))
	}
	w.Target = p.Fill(path)
	if len(w.query) > 0 {
		w.Target += "?" + strings.Join(w.query, "&")
	}
	if len(w.optional) > 0 {
		w.notef("May be sent besides: %s.", strings.Join(w.optional, ", "))
	}
	return w.body()
}

func (w *writer) notef(format string, args ...any) {
	w.Notes = append(w.Notes, fmt.Sprintf(format, args...))
}

func (w *writer) header(name, value string) {
	w.Headers = append(w.Headers, field{http.CanonicalHeaderKey(name), value})
}

// notes are what a caller has to know, and the headers that go with it.
func (w *writer) notes() {
	if why := client.Deprecation(w.Endpoint); why != "" {
		w.notef("Deprecated: %s", strings.Join(strings.Fields(why), " "))
	}
	if len(w.Claims) > 0 {
		claims := make([]string, len(w.Claims))
		for i, c := range w.Claims {
			claims[i] = c.String()
		}
		w.notef("The token needs %s.", strings.Join(claims, " and "))
		w.header("Authorization", "Bearer {{token}}")
	}
	if w.Queue != nil {
		w.notef("The answer is 202; the job's status is at the Location of it.")
	}
	if w.Kind == spec.KindStream {
		w.notef("The answer is a stream; ask for application/x-ndjson to get lines of JSON.")
		w.header("Accept", "text/event-stream")
	}
}

// values are what a parameter is in an example: one text, or several of an array.
func (w *writer) values(name string, s *spec.Schema) []string {
	v, err := example.Of(w.manifest, s)
	if err != nil {
		w.noExample(name, err)
		return []string{placeholder}
	}
	list, is := v.([]any)
	if !is {
		list = []any{v}
	}
	texts := []string{}
	for _, v := range list {
		texts = append(texts, text(v))
	}
	if len(texts) == 0 || texts[0] == "" {
		texts = []string{placeholder}
	}
	return texts
}

func (w *writer) noExample(name string, err error) {
	w.notef("No example of %s: %s", name, strings.TrimPrefix(err.Error(), "example: "))
}

// text is a value on one line, outside of JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.Join(strings.Fields(v), " ")
	}
	return fmt.Sprint(v)
}

// pair is a parameter of a query or form.
func pair(name, value string) string { return url.QueryEscape(name) + "=" + url.QueryEscape(value) }

func (w *writer) body() error {
	switch {
	case w.Request == nil && w.Sends():
		w.header("Content-Type", "application/octet-stream")
		w.Body = placeholder
		return nil
	case w.Request == nil:
		return nil
	}
	v, err := example.Of(w.manifest, w.Request)
	if err != nil {
		w.noExample("the body", err)
		v = map[string]any{}
	}
	switch w.Consumes {
	case spec.MediaForm:
		w.header("Content-Type", spec.MediaForm)
		w.Body = form(v)
	case spec.MediaMultipart:
		w.header("Content-Type", spec.MediaMultipart+"; boundary="+boundary)
		w.Body = w.multipart(v)
	default:
		w.header("Content-Type", "application/json")
		return w.json(v)
	}
	return nil
}

// json is the body as JSON. Editors put variables in place of {{name}}; JSON has two braces side by side in texts only, where
// one can be written otherwise.
func (w *writer) json(v any) error {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("httpfile: %w", err)
	}
	w.Body = strings.ReplaceAll(strings.TrimSpace(out.String()), "{{", `{\u007b`)
	return nil
}

// fields calls f for each text of a form, in the order of their names.
func fields(v any, f func(name string, value any)) {
	members, _ := v.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		list, is := members[name].([]any)
		if !is {
			list = []any{members[name]}
		}
		for _, item := range list {
			f(name, item)
		}
	}
}

func form(v any) string {
	var pairs []string
	fields(v, func(name string, value any) { pairs = append(pairs, pair(name, text(value))) })
	return strings.Join(pairs, "&")
}

func (w *writer) multipart(v any) string {
	var b strings.Builder
	fields(v, func(name string, value any) {
		fmt.Fprintf(&b, "--%s\nContent-Disposition: form-data; name=\"%s\"", boundary, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name))
		if w.binary(name) {
			fmt.Fprintf(&b, "; filename=\"%s.txt\"\nContent-Type: text/plain", placeholder)
		}
		fmt.Fprintf(&b, "\n\n%s\n", text(value))
	})
	return b.String() + "--" + boundary + "--"
}

// binary reports whether a member of the body is a file, or several.
func (w *writer) binary(name string) bool {
	s := w.Request
	for range w.manifest.Schemas { // a reference may lead to itself
		if s != nil && s.Ref != "" {
			s = w.manifest.Schemas[s.Ref]
		}
	}
	if s == nil || s.Properties[name] == nil {
		return false
	}
	if s = s.Properties[name]; s.Items != nil {
		s = s.Items
	}
	return s.Format == formatBinary
}

// formatBinary is the format of the bytes of a file.
const formatBinary = "binary"
