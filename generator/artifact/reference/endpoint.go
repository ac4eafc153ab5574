package reference

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

const (
	mediaStream = "text/event-stream or application/x-ndjson"
	mediaAny    = "any media type"
)

func (r *reader) endpoint(c *client.Call) *endpoint {
	e := &endpoint{
		ID: r.ids.take(c.Method + "-" + c.Path), Method: c.Method, Path: c.Path, Name: c.Name,
		Doc: c.Doc, Summary: cmp.Or(synopsis(c.Doc), c.Name), Marks: marks(c), Facts: facts(c),
	}
	for _, p := range c.Params {
		e.Params = append(e.Params, r.param(p))
	}
	for _, h := range c.Headers {
		e.Headers = append(e.Headers, r.param(h))
	}
	switch {
	case c.Request != nil:
		e.Request = r.body(cmp.Or(c.Consumes, mediaJSON), c.Request)
	case c.Sends():
		e.Request = &body{Media: mediaAny, Type: typeText{{Text: "bytes"}}}
	}
	e.Responses = r.answers(c)
	for _, a := range c.Errors {
		e.Errors = append(e.Errors, failure{Code: a.Code, Status: a.Status, Doc: a.Doc, Details: r.typeOf(a.Details)})
	}
	return e
}

func (r *reader) param(p spec.Param) row {
	return row{
		Name: p.Name, In: p.In, Required: p.Required, Type: r.typeOf(p.Schema), Constraints: constraints(p.Schema),
		Doc: cmp.Or(p.Doc, p.Schema.Doc),
	}
}

// answers are those of success. The gateway answers a call that becomes a job; what the handler answers is its result.
func (r *reader) answers(c *client.Call) []answer {
	var list []answer
	if c.Queue != nil {
		list = append(list, answer{http.StatusAccepted, "the call is a job now, and Location leads to what becomes of it", nil})
	}
	for i, status := range c.Statuses() {
		a := answer{Status: status, Title: http.StatusText(status)}
		if c.Queue != nil {
			a.Title = "the job's result: " + a.Title
		}
		switch {
		case c.Method == http.MethodHead, status == http.StatusNoContent, status == http.StatusResetContent, status == http.StatusNotModified:
		case c.Kind == spec.KindStream:
			a.Body = r.body(mediaStream, c.Response)
			a.Body.Type = append(typeText{{Text: "stream, each item a "}}, a.Body.Type...)
			if c.Events {
				a.Body.Type = append(a.Body.Type, part{Text: ", with an id and a name"})
			}
		case c.Response != nil:
			a.Body = r.body(mediaJSON, c.Response)
			if i > 0 { // it was shown with the first status
				a.Body.Rows, a.Body.Example = nil, ""
			}
		case c.Raw():
			a.Body = &body{Media: mediaAny, Type: typeText{{Text: "bytes"}}}
		}
		list = append(list, a)
	}
	return list
}

// marks are what a reader should know before anything else.
func marks(c *client.Call) []string {
	var list []string
	if c.Deprecated != "" || c.Sunset != "" {
		list = append(list, "Deprecated: "+strings.Join(strings.Fields(client.Deprecation(c.Endpoint)), " "))
	}
	if c.Stability != "" {
		list = append(list, strings.ToUpper(c.Stability[:1])+c.Stability[1:]+": it may change")
	}
	return list
}

// facts are what holds for all calls.
func facts(c *client.Call) []fact {
	var list []fact
	add := func(is bool, name, text string) {
		if is {
			list = append(list, fact{name, text})
		}
	}
	claims := make([]string, len(c.Claims))
	for i, claim := range c.Claims {
		claims[i] = claim.String()
	}
	add(len(claims) > 0, "Claims", "the caller's token has to hold "+strings.Join(claims, " and "))
	add(c.Public != "", "Public", c.Public)
	timeout := directive.Spell(c.Limits.Timeout())
	streams := c.Kind == spec.KindStream || c.Stream != spec.StreamNone
	switch {
	case c.Queue != nil:
		add(true, "Queue", "calls are jobs: up to "+itoa(c.Queue.Attempts)+" attempts of at most "+timeout+
			"; one that is silent for "+directive.Spell(time.Duration(c.Queue.LeaseMS)*time.Millisecond)+" counts as lost")
	case c.Stream == spec.StreamUpgrade:
		add(true, "WebSocket", "opened by HTTP/1.1 with Upgrade: websocket")
		add(true, "Timeout", "it is accepted within "+timeout+"; nothing may move either way for "+directive.Spell(c.Limits.Idle()))
	case streams:
		add(true, "Timeout", "it is answered within "+timeout+"; a stream may be silent for "+directive.Spell(c.Limits.Idle()))
	default:
		add(true, "Timeout", "it is answered within "+timeout)
	}
	add(c.Request != nil || c.Sends(), "Largest request body", directive.SpellSize(c.Limits.MaxBodyBytes))
	add(c.Stream == spec.StreamRequest || c.Stream == spec.StreamBoth, "Request body", "streamed: the handler reads it as it comes")
	add(c.Stream == spec.StreamResponse || c.Stream == spec.StreamBoth, "Answer", "streamed: it arrives as it is made")
	repeat := "not safe: a second call has a second effect"
	if c.Idempotent {
		repeat = "safe: a second call has no further effect"
	}
	add(true, "Repeating a call", repeat)
	add(c.Request != nil && c.Unknown == spec.UnknownIgnore, "Unknown members", "passed over")
	add(c.Request != nil && c.Unknown == "", "Unknown members", "refused")
	within := ""
	if c.WithinMS > 0 {
		within = " within " + directive.Spell(time.Duration(c.WithinMS)*time.Millisecond)
	}
	add(c.SLO != "", "Objective", c.SLO+" % of the calls are answered well"+within)
	add(len(c.Tags) > 0, "Tags", strings.Join(c.Tags, ", "))
	return list
}
