package breaking

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/stella-ops/router/spec"
)

// What bodies are, to those who send or get them.
const (
	mediaNone  = ""
	mediaJSON  = "application/json"
	mediaItems = "a stream of items"
	mediaBytes = "bytes that the handler reads or writes itself"
)

func reads(e *spec.Endpoint) string {
	switch {
	case e.Kind == spec.KindRaw || e.Kind == spec.KindHTTP:
		return mediaBytes
	case e.Request == nil:
		return mediaNone
	case e.Consumes != "":
		return e.Consumes
	}
	return mediaJSON
}

func writes(e *spec.Endpoint) string {
	switch {
	case e.Kind == spec.KindRaw || e.Kind == spec.KindHTTP:
		return mediaBytes
	case e.Kind == spec.KindStream:
		return mediaItems
	case e.Response == nil:
		return mediaNone
	}
	return mediaJSON
}

// otherMedia reports whether the response body is of another kind.
func (c *comparison) otherMedia(p pair) bool {
	was, is := writes(p.before), writes(p.now)
	return was != is && was != mediaNone && is != mediaNone
}

// bodiless are the methods whose requests have no body that a handler reads.
var bodiless = []string{"GET", "HEAD", "DELETE", "OPTIONS"}

// request is about the body of requests.
func (c *comparison) request(p pair) {
	if slices.Contains(bodiless, p.before.Method) && slices.Contains(bodiless, p.now.Method) {
		return
	}
	was, is := reads(p.before), reads(p.now)
	switch {
	case was == is && is == mediaBytes, was == is && is == mediaNone:
		return
	case was == mediaNone && is != mediaBytes:
		c.at(p.now, RequestBodyAdded, "request", "", is, "requests have to have a body: "+is, "")
		return
	case is == mediaNone && was != mediaBytes:
		c.at(p.now, RequestBodyRemoved, "request", was, "", "the request body was removed", "")
		return
	case was == mediaNone || is == mediaNone:
		return // what a handler reads itself may be nothing
	case was != is:
		c.at(p.now, RequestMediaTypeChanged, "request", was, is, fmt.Sprintf("the request body was %s and is %s", was, is), "")
		return
	}
	if p.before.Unknown == spec.UnknownIgnore && p.now.Unknown == "" {
		c.at(p.now, RequestBecameStrict, "unknown", spec.UnknownIgnore, "reject", "refuses members of the body that it does not know", "say unknown=ignore")
	}
	w := c.walker(p, request)
	w.strict = p.now.Unknown == ""
	w.walk(place{text: "request"}, p.before.Request, p.now.Request)
}

// answers is about what a successful call gets.
func (c *comparison) answers(p pair) {
	c.statuses(p)
	for i := range p.before.Headers {
		c.header(p, &p.before.Headers[i])
	}
	was, is := writes(p.before), writes(p.now)
	switch {
	case c.otherMedia(p):
		c.at(p.now, ResponseMediaTypeChanged, "response", was, is, fmt.Sprintf("the response body was %s and is %s", was, is), "")
	case is == mediaNone && was != mediaNone && was != mediaBytes:
		c.at(p.now, ResponseBodyRemoved, "response", was, "", "the response body was removed", "")
	case was == is:
		c.walker(p, response).walk(place{text: "response"}, p.before.Response, p.now.Response)
	}
}

// statuses is about the statuses of success.
func (c *comparison) statuses(p pair) {
	all := func(e *spec.Endpoint) []int { return append([]int{e.Status}, e.Statuses...) }
	was, is := all(p.before), all(p.now)
	var gone, added []int
	for _, s := range was {
		if !slices.Contains(is, s) {
			gone = append(gone, s)
		}
	}
	for _, s := range is {
		if !slices.Contains(was, s) {
			added = append(added, s)
		}
	}
	if len(gone) == 1 && len(added) == 1 && gone[0] == p.before.Status && added[0] == p.now.Status {
		c.at(p.now, ResponseStatusChanged, "status", strconv.Itoa(gone[0]), strconv.Itoa(added[0]),
			fmt.Sprintf("success was %d and is %d", gone[0], added[0]), "")
		return
	}
	for _, s := range gone {
		c.at(p.now, ResponseStatusRemoved, "status "+strconv.Itoa(s), "", "", fmt.Sprintf("does not answer %d any more", s), "")
	}
	for _, s := range added {
		c.at(p.now, ResponseStatusAdded, "status "+strconv.Itoa(s), "", "", fmt.Sprintf("may answer %d, too", s), "")
	}
}

// header is about one header field of answers.
func (c *comparison) header(p pair, was *spec.Param) {
	where := "response header " + quoted(was.Name)
	is := find(p.now.Headers, spec.InHeader, was.Name)
	if is == nil {
		c.at(p.now, ResponseHeaderRemoved, where, "", "", "the "+where+" was removed", "")
		return
	}
	if was.Required && !is.Required {
		c.at(p.now, ResponseHeaderChanged, where, "required", "", "the "+where+" may be missing", "")
		return
	}
	probe := &comparison{before: c.before, now: c.now}
	probe.walker(p, response).walk(place{text: where}, was.Schema, is.Schema)
	if len(probe.list) > 0 {
		first := probe.list[0]
		c.at(p.now, ResponseHeaderChanged, where, first.Old, first.New, first.Text, "")
	}
}

// errors is about the errors that the handler declares.
func (c *comparison) errors(p pair) {
	is := map[string]*spec.ErrorAnswer{}
	for i := range p.now.Errors {
		is[p.now.Errors[i].Code] = &p.now.Errors[i]
	}
	for i := range p.before.Errors {
		was := &p.before.Errors[i]
		where := "error " + quoted(was.Code)
		e, there := is[was.Code]
		delete(is, was.Code)
		switch {
		case !there:
			c.at(p.now, ErrorRemoved, where, strconv.Itoa(was.Status), "", "the "+where+" is not declared any more", "")
			continue
		case was.Status != e.Status:
			c.at(p.now, ErrorStatusChanged, where, strconv.Itoa(was.Status), strconv.Itoa(e.Status),
				fmt.Sprintf("the %s had the status %d and has %d", where, was.Status, e.Status), "")
		}
		if was.Details != nil && e.Details == nil {
			c.at(p.now, ErrorDetailsRemoved, where, "", "", "the "+where+" has no details any more", "")
			continue
		}
		c.walker(p, response).walk(place{text: where + " details"}, was.Details, e.Details)
	}
	for _, e := range p.now.Errors {
		if is[e.Code] != nil {
			c.at(p.now, ErrorAdded, "error "+quoted(e.Code), "", strconv.Itoa(e.Status),
				fmt.Sprintf("may answer the error %s with the status %d", quoted(e.Code), e.Status), "")
		}
	}
}
