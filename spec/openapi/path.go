package openapi

import (
	"strconv"
	"strings"

	"github.com/stella-ops/router/spec"
)

// template is a path as a document writes it.
type template struct {
	text   string // /files/{name}/{rest}
	shape  string // text without names: what has the same is the same path to OpenAPI
	params []pathParam
}

// pathParam is a parameter of a path under the name that the document writes and under that of the endpoint.
type pathParam struct {
	written, declared string
	rest              bool
}

// newTemplate writes a pattern. OpenAPI knows no parameter that takes several segments: {rest...} becomes {rest}, after
// extra segments that are parameters of their own.
func newTemplate(pattern spec.Pattern, extra int) template {
	var text, shape strings.Builder
	var t template
	taken := names{}
	for _, name := range pattern.Params() {
		taken[name] = 1
	}
	add := func(p pathParam) {
		text.WriteString("/{" + p.written + "}")
		shape.WriteString("/{}")
		t.params = append(t.params, p)
	}
	for _, s := range pattern.Segments {
		if s.Param == "" {
			text.WriteString("/" + s.Literal)
			shape.WriteString("/" + s.Literal)
			continue
		}
		for i := 1; s.Rest && i <= extra; i++ {
			add(pathParam{written: taken.unique(s.Param + strconv.Itoa(i))})
		}
		add(pathParam{written: s.Param, declared: s.Param, rest: s.Rest})
	}
	if len(pattern.Segments) == 0 {
		text.WriteString("/")
		shape.WriteString("/")
	}
	t.text, t.shape = text.String(), shape.String()
	return t
}

// as is t written as another template of the same shape writes it.
func (t template) as(other template) template {
	params := make([]pathParam, len(t.params))
	for i, p := range t.params {
		params[i] = pathParam{written: other.params[i].written, declared: p.declared, rest: p.rest}
	}
	return template{text: other.text, shape: t.shape, params: params}
}
