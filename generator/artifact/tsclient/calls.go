package tsclient

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

func decimal(n int) string { return strconv.Itoa(n) }

// inputs are the names of a call's parameters in its input, in the order of the call's. A name that is taken gets where
// the parameter is before it.
func inputs(c *client.Call) []string {
	taken := client.Names{}
	taken.Reserve("body", "contentType", "headers", "idempotencyKey", "query")
	out := make([]string, len(c.Params))
	for i, p := range c.Params {
		out[i] = taken.Take(p.Name, client.Camel(p.In+" "+p.Name))
	}
	return out
}

// keyed reports whether the client sends a key of a job.
func keyed(c *client.Call) bool {
	for _, p := range c.Params {
		if p.In == spec.InHeader && strings.EqualFold(p.Name, "Idempotency-Key") {
			return false
		}
	}
	return c.Queue != nil
}

func (w *writer) writeInput(c *client.Call) {
	if c.Input == "" {
		return
	}
	w.comment("", "What "+c.Name+" takes.")
	extends := ""
	if c.Raw() {
		extends = " extends RawInput"
	}
	w.linef("export interface %s%s {", c.Input, extends)
	for i, name := range inputs(c) {
		p := c.Params[i]
		lines := client.Lines(p.Doc)
		if text := client.Constraints(p.Schema); text != "" {
			lines = append(lines, client.Lines("("+text+")")...)
		}
		w.comment("  ", append(lines, "The "+p.In+" parameter "+p.Name+".")...)
		w.linef("  %s%s: %s;", key(name), optional(p.Required), w.expr(p.Schema))
	}
	switch {
	case c.Request != nil:
		w.linef("  body: %s;", w.expr(c.Request))
	case c.Sends():
		w.linef("  body?: BodyInit;\n  contentType?: string;")
	}
	if keyed(c) {
		w.comment("  ", "The same with every attempt of the job. Repeat it where you repeat the request; without it, it is a new one.")
		w.linef("  idempotencyKey?: string;")
	}
	w.linef("}\n")
}

// requiresInput reports whether a call cannot be made without input.
func requiresInput(c *client.Call) bool {
	for _, p := range c.Params {
		if p.Required {
			return true
		}
	}
	return c.Request != nil
}

func (w *writer) writeClient() {
	w.comment("", "Calls the service "+w.Manifest.Service+". What fails throws: ProblemError or a class of its own for an error answer, the platform's",
		"error where there is no answer, and the signal's reason where the call is aborted. Idempotent calls are repeated after 502,",
		"503 and 504, and where a connection fails.")
	w.linef("export class Client {\n  readonly #caller: Caller;\n\n  constructor(options: ClientOptions = {}) {\n    this.#caller = new Caller(options);\n  }")
	taken := client.Names{}
	taken.Reserve("constructor")
	for _, c := range w.Calls {
		w.writeCall(c, taken.Take(client.Camel(c.Name), client.Camel("call "+c.Name)))
	}
	w.linef("}")
}

func (w *writer) callDoc(c *client.Call) []string {
	lines := client.Lines(c.Doc)
	lines = append(lines, "", c.Method+" "+c.Path)
	if c.Kind == spec.KindStream {
		lines = append(lines, "", "The call is made when the answer is iterated, and ends with the iteration.")
	}
	for _, e := range c.Answers {
		lines = append(lines, "@throws {"+e.Name+"}")
	}
	if c.Stability != "" {
		lines = append(lines, "@"+c.Stability)
	}
	if text := client.Deprecation(c.Endpoint); text != "" {
		lines = append(lines, client.Lines("@deprecated "+text)...)
	}
	if lines[0] == "" {
		lines = lines[1:]
	}
	return lines
}

// returns is the type that a call's method returns.
func (w *writer) returns(c *client.Call) string {
	switch {
	case c.Kind == spec.KindStream:
		return "AsyncGenerator<" + w.item(c) + ", void, undefined>"
	case c.Queue != nil:
		return "Promise<Job<" + w.answer(c) + ">>"
	case c.Raw():
		return "Promise<Response>"
	}
	return "Promise<" + w.result(c) + ">"
}

func (w *writer) item(c *client.Call) string {
	if c.Events {
		return "StreamEvent<" + w.expr(c.Response) + ">"
	}
	return w.expr(c.Response)
}

// answer is the type of a call's body.
func (w *writer) answer(c *client.Call) string {
	switch {
	case c.Raw():
		return "Response"
	case !hasBody(c):
		return "undefined"
	case len(c.Endpoint.Statuses) > 0:
		return w.expr(c.Response) + " | undefined"
	}
	return w.expr(c.Response)
}

func hasBody(c *client.Call) bool {
	return c.Response != nil && c.Method != http.MethodHead && c.Status != http.StatusNoContent
}

func (w *writer) result(c *client.Call) string {
	if len(c.Headers) == 0 {
		return "Result<" + w.answer(c) + ">"
	}
	fields := make([]string, len(c.Headers))
	for i, h := range c.Headers {
		fields[i] = key(h.Name) + ": " + w.base(h.Schema) + " | undefined"
	}
	return "Result<" + w.answer(c) + ", { " + strings.Join(fields, "; ") + " }>"
}

func (w *writer) writeCall(c *client.Call, name string) {
	w.linef("")
	w.comment("  ", w.callDoc(c)...)
	async := "async "
	if c.Kind == spec.KindStream {
		async = "async *"
	}
	var args []string
	if c.Input != "" {
		def := " = {}"
		if requiresInput(c) {
			def = ""
		}
		args = append(args, "input: "+c.Input+def)
	}
	args = append(args, "options?: CallOptions")
	w.linef("  %s%s(%s): %s {", async, name, strings.Join(args, ", "), w.returns(c))
	w.writeRequest(c, name)
	switch {
	case c.Kind == spec.KindStream:
		w.linef("    yield* this.#caller.stream<%s>(call, options);", w.item(c))
	case c.Queue != nil:
		w.writeEnqueue(c)
	case c.Raw():
		w.linef("    return await this.#caller.do(call, options);")
	default:
		w.linef("    return await this.#caller.result(call, options, %s, %t);", w.fields(c), hasBody(c))
	}
	w.linef("  }")
}

func numbers(list []int) string {
	text := make([]string, len(list))
	for i, n := range list {
		text[i] = strconv.Itoa(n)
	}
	return "[" + strings.Join(text, ", ") + "]"
}

// writeRequest writes how a call's input becomes a request, as the constant call.
func (w *writer) writeRequest(c *client.Call, name string) {
	statuses := c.Statuses()
	if c.Queue != nil {
		statuses = []int{http.StatusAccepted}
	}
	declared := ""
	if len(c.Answers) > 0 {
		list := make([]string, len(c.Answers))
		for i, e := range c.Answers {
			list[i] = quote(strconv.Itoa(e.Status)+" "+e.Code) + ": " + e.Name
		}
		declared = ", { " + strings.Join(list, ", ") + " }"
	}
	w.linef("    const call = newCall(%s, %s, %s%s);", quote(name), quote(c.Method), numbers(statuses), declared)
	if c.Idempotent {
		w.linef("    call.repeat = true;")
	}
	if c.Raw() {
		w.linef("    call.raw = true;")
	}
	in := inputs(c)
	w.linef("    call.path = %s;", path(c, name, in))
	for i, p := range c.Params {
		if p.In != spec.InPath {
			add := map[string]string{spec.InQuery: "call.query.append(", spec.InHeader: "call.headers.append(", spec.InCookie: "addCookie(call.headers, "}[p.In]
			w.linef("    add(%s, (v) => %s%s, v));", access("input", in[i]), add, quote(p.Name))
		}
	}
	if keyed(c) {
		w.linef(`    call.headers.set("Idempotency-Key", input.idempotencyKey || newKey());`)
	}
	w.writeBody(c)
}

func path(c *client.Call, name string, in []string) string {
	out := make([]string, len(c.Parts))
	for i, part := range c.Parts {
		if part.Text != "" {
			out[i] = quote(part.Text)
			continue
		}
		write := "segment"
		if part.Rest {
			write = "rest"
		}
		out[i] = write + "(" + quote(name) + ", " + quote(c.Params[part.Param].Name) + ", text(" + access("input", in[part.Param]) + "))"
	}
	return strings.Join(out, " + ")
}

func (w *writer) writeBody(c *client.Call) {
	switch {
	case c.Request != nil && c.Consumes != "":
		w.writeForm(c)
	case c.Request != nil:
		w.linef("    setJSON(call, input.body);")
	case c.Sends():
		w.linef("    addRaw(call, input);")
	case c.Raw():
		w.linef("    addRaw(call, { ...(input.query && { query: input.query }), ...(input.headers && { headers: input.headers }) });")
	}
}

func (w *writer) writeForm(c *client.Call) {
	kind := "FormData"
	if c.Consumes == spec.MediaForm {
		kind = "URLSearchParams"
	}
	w.linef("    const form = new %s();", kind)
	target, nullable := w.Resolve(c.Request)
	body := "input.body"
	if nullable && len(target.Properties) > 0 {
		w.linef("    const body = input.body ?? ({} as %s);", w.base(c.Request))
		body = "body"
	}
	for _, name := range client.Members(target) {
		s, _ := w.Resolve(target.Properties[name])
		value := access(body, name)
		item := s
		if s.Type == spec.TypeArray && s.Items != nil {
			item, _ = w.Resolve(s.Items)
		}
		if c.Consumes == spec.MediaMultipart && len(item.Enum) == 0 && w.shape(item) == tsBlob {
			w.linef("    for (const v of [%s].flat()) if (!missing(v)) form.append(%s, v);", value, quote(name))
			continue
		}
		w.linef("    add(%s, (v) => form.append(%s, v));", value, quote(name))
	}
	w.linef("    call.body = form;")
}

func (w *writer) writeEnqueue(c *client.Call) {
	w.linef("    const status = (await decode(call, await this.#caller.do(call, options), true)) as JobStatus;")
	read := "async (of, response) => (await decode(of, response, " + strconv.FormatBool(hasBody(c)) + ")) as " + w.answer(c)
	if c.Raw() {
		read = "async (_, response) => response"
	}
	w.linef("    return new Job<%s>(this.#caller, call, %s, status, %s);", w.answer(c), numbers(c.Statuses()), read)
}

// fields is the function that reads the header fields of a call's answer.
func (w *writer) fields(c *client.Call) string {
	if len(c.Headers) == 0 {
		return "() => ({})"
	}
	list := make([]string, len(c.Headers))
	for i, h := range c.Headers {
		list[i] = key(h.Name) + ": field<" + w.base(h.Schema) + ">(headers, " + quote(h.Name) + ", " + w.parse(h.Schema) + ")"
	}
	return "(headers) => ({ " + strings.Join(list, ", ") + " })"
}

// parse is the function that reads a value from text.
func (w *writer) parse(s *spec.Schema) string {
	target, _ := w.Resolve(s)
	switch target.Type {
	case spec.TypeString:
		return "(v) => v"
	case spec.TypeInteger, spec.TypeNumber:
		return "Number"
	case spec.TypeBoolean:
		return `(v) => v === "true"`
	}
	return "JSON.parse"
}
