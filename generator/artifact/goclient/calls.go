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
	base := w.base(p.Schema)
	switch {
	case w.hasNil(p.Schema), p.Required:
		return base
	case target.Default != nil, nullable, target.Type == spec.TypeObject, base == goFile:
		return "*" + base
	}
	return base
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
	for _, part := range c.Parts {
		if part.Text != "" {
			w.linef("r.path.WriteString(%s)", strconv.Quote(part.Text))
			continue
		}
		write := "segment"
		if part.Rest {
			write = "rest"
		}
		p := c.Params[part.Param]
		w.linef("r.%s(%s, %s)", write, strconv.Quote(p.Name), w.text(p.Schema, "in."+f.params[part.Param]))
	}
}

// writeParam writes how one parameter becomes a part of the request.
func (w *writer) writeParam(p spec.Param, value string) {
	add := map[string]string{spec.InQuery: "r.query.Add", spec.InHeader: "r.header.Add", spec.InCookie: "r.cookie"}[p.In]
	w.writeValue(p.Schema, value, p.Required, strings.HasPrefix(w.param(p), "*"), add+"("+strconv.Quote(p.Name)+", ")
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
