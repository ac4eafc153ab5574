package goclient

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

// writeForm writes how a body becomes a form.
func (w *writer) writeForm(c *client.Call) {
	target, _ := w.Resolve(c.Request)
	w.linef("body := &form{fields: url.Values{}}")
	body := "in.Body"
	if strings.HasPrefix(w.nilable(c.Request), "*") {
		w.linef("if in.Body == nil {\nin.Body = new(%s)\n}", w.base(c.Request))
	}
	fields := w.fields(target)
	outer := w.typeOf(target)
	for _, name := range client.Members(target) {
		w.writeField(name, target, outer, body+"."+fields[name])
	}
	if c.Consumes == spec.MediaMultipart {
		w.linef("r.multipart(body)")
		return
	}
	w.linef("r.form(body)")
}

// typeOf is the type whose schema s is.
func (w *writer) typeOf(s *spec.Schema) *client.Type {
	for _, t := range w.Types {
		if t.Schema == s {
			return t
		}
	}
	return &client.Type{Schema: s}
}

// writeField writes how one member of a body becomes fields or files of a form.
func (w *writer) writeField(name string, of *spec.Schema, outer *client.Type, value string) {
	s := of.Properties[name]
	required := slices.Contains(of.Required, name)
	expr, _ := w.member(outer, s, required)
	if strings.HasPrefix(expr, "Optional[") {
		w.linef("if v, ok := %s.Get(); ok {", value)
		w.writePart(name, s, "v", true, false)
		w.linef("}")
		return
	}
	w.writePart(name, s, value, required, strings.HasPrefix(expr, "*"))
}

func (w *writer) writePart(name string, s *spec.Schema, value string, required, pointer bool) {
	target, _ := w.Resolve(s)
	file := target
	if target.Type == spec.TypeArray && target.Items != nil {
		file, _ = w.Resolve(target.Items)
	}
	quoted := strconv.Quote(name)
	isFile := file.Type == spec.TypeString && w.shape(file) == goFile
	switch {
	case isFile && file != target && strings.HasPrefix(w.nilable(target.Items), "*"):
		w.linef("for _, v := range %s {\nif v != nil {\nbody.file(%s, *v)\n}\n}", value, quoted)
	case isFile && file != target:
		w.linef("for _, v := range %s {\nbody.file(%s, v)\n}", value, quoted)
	case isFile && pointer:
		w.linef("if %s != nil {\nbody.file(%s, *%s)\n}", value, quoted, value)
	case isFile:
		w.linef("body.file(%s, %s)", quoted, value)
	default:
		w.writeValue(s, value, required, pointer, "body.fields.Add("+quoted+", ")
	}
}
