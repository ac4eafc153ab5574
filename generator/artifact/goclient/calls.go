package goclient

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

// method is the signature of a call without its name.
func (w *writer) method(c *client.Call) string {
	in := ""
	if c.Input != "" {
		in = ", in " + c.Input
	}
	return "(ctx context.Context" + in + ") " + w.results(c)
}

// results are what a call's method returns.
func (w *writer) results(c *client.Call) string {
	switch {
	case c.Kind == spec.KindStream:
		return "iter.Seq2[" + w.item(c) + ", error]"
	case c.Queue != nil:
		return "(*Job[" + w.answer(c) + "], error)"
	case c.Raw():
		return "(*RawResult, error)"
	}
	return "(*" + c.Result + ", error)"
}

// answer is the type of what a call answers in its body.
func (w *writer) answer(c *client.Call) string {
	switch {
	case c.Raw():
		return "RawBody"
	case c.Response == nil:
		return "struct{}"
	}
	return w.nilable(c.Response)
}

// item is the type of a stream's items.
func (w *writer) item(c *client.Call) string {
	item := goAny
	if c.Response != nil {
		item = w.nilable(c.Response)
	}
	if c.Events {
		return "StreamEvent[" + item + "]"
	}
	return item
}

func (w *writer) writeInterface() {
	w.comment("Client is the service " + w.Manifest.Service + ". An error is a *[Problem], or has a type of its own where a method names it, or tells why")
	w.comment("there is no answer. Idempotent calls are repeated after 502, 503 and 504, and where a connection fails.")
	w.linef("type Client interface {")
	for _, c := range w.Calls {
		w.comment(w.callDoc(c)...)
		w.linef("%s%s\n", c.Name, w.method(c))
	}
	w.linef("}\n")
}

func (w *writer) callDoc(c *client.Call) []string {
	lines := client.Lines(c.Doc)
	if len(lines) == 0 {
		lines = []string{c.Name + " is a call of the service."}
	}
	lines = append(lines, "", c.Method+" "+c.Path)
	if c.Kind == spec.KindStream {
		lines = append(lines, "", "The call is made when the sequence is ranged, and ends with the range. An error is its last item.")
	}
	if len(c.Answers) > 0 {
		names := make([]string, len(c.Answers))
		for i, e := range c.Answers {
			names[i] = "*[" + e.Name + "]"
		}
		lines = append(lines, "", "Errors: "+strings.Join(names, ", "))
	}
	if c.Stability != "" {
		lines = append(lines, "", "Stability: "+c.Stability)
	}
	if text := client.Deprecation(c.Endpoint); text != "" {
		lines = append(lines, "")
		lines = append(lines, client.Lines("Deprecated: "+text)...)
	}
	return lines
}

func (w *writer) writeCalls() {
	for _, c := range w.Calls {
		fields := w.writeInput(c)
		if c.Result != "" {
			w.writeResult(c)
		}
		w.linef("// %s implements [Client].\nfunc (c *HTTPClient) %s%s {", c.Name, c.Name, w.method(c))
		w.writeRequest(c, fields)
		w.writeAnswer(c)
		w.linef("}\n")
	}
}

// inputFields are the fields of a call's input.
type inputFields struct {
	params []string // in the order of the call's
	keyed  bool     // IdempotencyKey is the client's
}

// writeInput writes the type of what a call takes.
func (w *writer) writeInput(c *client.Call) inputFields {
	taken := client.Names{}
	taken.Reserve("Body", "ContentType", "Query", "Header", "IdempotencyKey")
	f := inputFields{keyed: c.Queue != nil}
	if c.Input == "" {
		return f
	}
	w.linef("// %s is what %s takes.\ntype %s struct {", c.Input, c.Name, c.Input)
	for _, p := range c.Params {
		if p.In == spec.InHeader && strings.EqualFold(p.Name, "Idempotency-Key") {
			f.keyed = false
		}
		field := taken.Take(client.Exported(p.Name), client.Exported(p.In+" "+p.Name))
		f.params = append(f.params, field)
		doc := append(client.Lines(p.Doc), memberDoc(p.Schema)...)
		where := p.In + " parameter " + p.Name
		if p.Required && p.In != spec.InPath {
			where += ", required"
		}
		w.comment(append(doc, where)...)
		w.linef("%s %s", field, w.param(p))
	}
	if c.Request != nil {
		w.linef("Body %s", w.nilable(c.Request))
	}
	if c.Raw() {
		w.comment("Query and Header are added to the request.")
		w.linef("Query url.Values\nHeader http.Header")
	}
	if c.Sends() && c.Request == nil {
		w.comment("Body may be nil. It is closed after the call if it is an io.Closer.")
		w.linef("Body io.Reader\nContentType string")
	}
	if f.keyed {
		w.comment("IdempotencyKey is the same with every attempt of the job. Repeat it where you repeat the request; empty means a new one.")
		w.linef("IdempotencyKey string")
	}
	w.linef("}\n")
	return f
}

// param is the type of a parameter. One that may be missing is so where it is nil, or zero where that means the same.
func (w *writer) param(p spec.Param) string {
	target, nullable := w.Resolve(p.Schema)
	if w.hasNil(p.Schema) || p.Required || target.Default == nil && !nullable && !(target.Type == spec.TypeObject) && w.base(p.Schema) != goFile {
		return w.base(p.Schema)
	}
	return "*" + w.base(p.Schema)
}

func (w *writer) writeResult(c *client.Call) {
	w.linef("// %s is what %s gives.\ntype %s struct {\nStatus int\nHeader http.Header", c.Result, c.Name, c.Result)
	for i, field := range w.answerFields(c) {
		w.comment(memberDoc(c.Headers[i].Schema)...)
		w.comment("header " + c.Headers[i].Name)
		w.linef("%s %s", field, w.base(c.Headers[i].Schema))
	}
	if hasBody(c) {
		w.linef("Body %s", w.nilable(c.Response))
	}
	w.linef("}\n")
}

func hasBody(c *client.Call) bool { return c.Response != nil && c.Method != http.MethodHead }

// answerFields are the fields for the header of a call's answer.
func (w *writer) answerFields(c *client.Call) []string {
	taken := client.Names{}
	taken.Reserve("Status", "Header", "Body")
	var out []string
	for _, h := range c.Headers {
		out = append(out, taken.Take(client.Exported(h.Name), client.Exported("header "+h.Name)))
	}
	return out
}

// writeRequest writes how a call's input becomes a request, as the variable r.
func (w *writer) writeRequest(c *client.Call, f inputFields) {
	statuses := c.Statuses()
	if c.Queue != nil {
		statuses = []int{http.StatusAccepted}
	}
	w.linef("r := newCall(%s, %s%s)", strconv.Quote(c.Name), strconv.Quote(c.Method), list(statuses))
	if c.Idempotent {
		w.linef("r.repeat = true")
	}
	for _, e := range c.Answers {
		w.linef("r.declare(%s, %d, as%s)", strconv.Quote(e.Code), e.Status, e.Name)
	}
	w.writePath(c, f)
	for i, p := range c.Params {
		if p.In != spec.InPath {
			w.writeParam(p, "in."+f.params[i])
		}
	}
	if f.keyed {
		w.linef("if in.IdempotencyKey == \"\" {\nin.IdempotencyKey = cryptorand.Text()\n}\nr.header.Set(\"Idempotency-Key\", in.IdempotencyKey)")
	}
	if c.Raw() {
		w.linef("r.extra(in.Query, in.Header)")
	}
	switch {
	case c.Request != nil && c.Consumes != "":
		w.writeForm(c)
	case c.Request != nil:
		w.linef("r.json(in.Body)")
	case c.Sends():
		w.linef("r.stream(in.ContentType, in.Body)")
	}
}

func list(numbers []int) string {
	var b strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&b, ", %d", n)
	}
	return b.String()
}

func (w *writer) writePath(c *client.Call, f inputFields) {
	literal := ""
	end := func() {
		if literal != "" {
			w.linef("r.path.WriteString(%s)", strconv.Quote(literal))
		}
		literal = ""
	}
	if len(c.Segments) == 0 {
		literal = "/"
	}
	n := 0 // path parameters are the first ones
	for _, s := range c.Segments {
		if s.Param == "" {
			literal += "/" + s.Literal
			continue
		}
		end()
		write := "segment"
		if s.Rest {
			write = "rest"
		}
		w.linef("r.%s(%s, %s)", write, strconv.Quote(s.Param), w.text(c.Params[n].Schema, "in."+f.params[n]))
		n++
	}
	end()
}

// writeParam writes how one parameter becomes a part of the request.
func (w *writer) writeParam(p spec.Param, value string) {
	add := map[string]string{spec.InQuery: "r.query.Add", spec.InHeader: "r.header.Add", spec.InCookie: "r.cookie"}[p.In]
	w.writeValue(p.Schema, value, p.Required, strings.HasPrefix(w.param(p), "*"), add+"("+strconv.Quote(p.Name)+", ")
}

// writeValue writes what adds a value as text, or each item of an array, unless it is missing. add is the call up to the text.
func (w *writer) writeValue(s *spec.Schema, value string, required, pointer bool, add string) {
	target, _ := w.Resolve(s)
	switch {
	case target.Type == spec.TypeArray && target.Items != nil:
		item := "v"
		if strings.HasPrefix(w.nilable(target.Items), "*") {
			item = "*v"
			w.linef("for _, v := range %s {\nif v == nil {\ncontinue\n}", value)
		} else {
			w.linef("for _, v := range %s {", value)
		}
		w.linef("%s%s)\n}", add, w.text(target.Items, item))
	case pointer:
		w.linef("if %s != nil {\n%s%s)\n}", value, add, w.text(s, "*"+value))
	case required:
		w.linef("%s%s)", add, w.text(s, value))
	default:
		w.linef("if %s {\n%s%s)\n}", w.notZero(s, value), add, w.text(s, value))
	}
}

// notZero is the condition under which a value is there.
func (w *writer) notZero(s *spec.Schema, value string) string {
	target, _ := w.Resolve(s)
	switch {
	case w.hasNil(s):
		return value + " != nil"
	case target.Type == spec.TypeBoolean:
		return "bool(" + value + ")"
	case target.Type == spec.TypeString && w.resolved(s) == goTime:
		return "!" + value + ".IsZero()"
	case target.Type == spec.TypeString:
		return value + ` != ""`
	}
	return value + " != 0"
}

// resolved is the type that s has behind its names.
func (w *writer) resolved(s *spec.Schema) string {
	target, _ := w.Resolve(s)
	return w.shape(target)
}

// text is a value as text.
func (w *writer) text(s *spec.Schema, value string) string {
	target, _ := w.Resolve(s)
	switch target.Type {
	case spec.TypeString:
		switch w.shape(target) {
		case goTime:
			return "formatTime(" + value + ")"
		case goBytes:
			return "formatBytes(" + value + ")"
		case goFile:
			return `""`
		}
		return "formatText(" + value + ")"
	case spec.TypeInteger:
		return "formatInt(" + value + ")"
	case spec.TypeNumber:
		return "formatFloat(" + value + ")"
	case spec.TypeBoolean:
		return "formatBool(" + value + ")"
	}
	return "formatJSON(" + value + ")"
}

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
	required := false
	for _, r := range of.Required {
		required = required || r == name
	}
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

// writeAnswer writes how a call is made, and what it returns.
func (w *writer) writeAnswer(c *client.Call) {
	switch {
	case c.Kind == spec.KindStream:
		w.linef("return stream[%s](ctx, c, r)", w.item(c))
		return
	case c.Queue != nil:
		w.linef("return enqueue[%s](ctx, c, r%s)", w.answer(c), list(c.Statuses()))
		return
	case c.Raw():
		w.linef("return c.rawResult(ctx, r)")
		return
	}
	w.linef("resp, err := c.do(ctx, r)\nif err != nil {\nreturn nil, err\n}\ndefer func() { _ = resp.Body.Close() }()")
	w.linef("out := &%s{Status: resp.StatusCode, Header: resp.Header}", c.Result)
	for i, field := range w.answerFields(c) {
		h := c.Headers[i]
		w.linef("if err := field(r, resp.Header, %s, &out.%s, %s); err != nil {\nreturn nil, err\n}", strconv.Quote(h.Name), field, w.parse(h.Schema))
	}
	if hasBody(c) {
		w.linef("if err := r.read(resp, &out.Body); err != nil {\nreturn nil, err\n}")
	}
	w.linef("return out, nil")
}

// parse is the function that reads a header field.
func (w *writer) parse(s *spec.Schema) string {
	target, _ := w.Resolve(s)
	name := w.base(s)
	switch target.Type {
	case spec.TypeString:
		switch w.shape(target) {
		case goTime:
			return "parseTime"
		case goBytes, goFile:
			return "parseJSON[" + name + "]"
		}
		return "parseText[" + name + "]"
	case spec.TypeInteger:
		return "parseInt[" + name + "]"
	case spec.TypeNumber:
		return "parseFloat[" + name + "]"
	case spec.TypeBoolean:
		return "parseBool[" + name + "]"
	}
	return "parseJSON[" + name + "]"
}
