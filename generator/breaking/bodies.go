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
func (c *comparison) otherMedia(p Pair) bool {
	was, is := writes(p.Before), writes(p.Now)
	return was != is && was != mediaNone && is != mediaNone
}

// bodiless are the methods whose requests have no body that a handler reads.
var bodiless = []string{"GET", "HEAD", "DELETE", "OPTIONS"}

// request is about the body of requests.
func (c *comparison) request(p Pair) {
	if slices.Contains(bodiless, p.Before.Method) && slices.Contains(bodiless, p.Now.Method) {
		return
	}
	was, is := reads(p.Before), reads(p.Now)
	switch {
	case was == is && is == mediaBytes, was == is && is == mediaNone:
		return
	case was == mediaNone && is != mediaBytes:
		c.at(p.Now, RequestBodyAdded, "request", "", is, "requests have to have a body: "+is, "")
		return
	case is == mediaNone && was != mediaBytes:
		c.at(p.Now, RequestBodyRemoved, "request", was, "", "the request body was removed", "")
		return
	case was == mediaNone || is == mediaNone:
		return // what a handler reads itself may be nothing
	case was != is:
		c.at(p.Now, RequestMediaTypeChanged, "request", was, is, fmt.Sprintf("the request body was %s and is %s", was, is), "")
		return
	}
	if p.Before.Unknown == spec.UnknownIgnore && p.Now.Unknown == "" {
		c.at(p.Now, RequestBecameStrict, "unknown", spec.UnknownIgnore, "reject", "refuses members of the body that it does not know", "say unknown=ignore")
	}
	w := c.walker(p, request)
	w.strict = p.Now.Unknown == ""
	w.walk(place{text: "request"}, p.Before.Request, p.Now.Request)
}

// answers is about what a successful call gets.
func (c *comparison) answers(p Pair) {
	c.statuses(p)
	for i := range p.Before.Headers {
		c.header(p, &p.Before.Headers[i])
	}
	was, is := writes(p.Before), writes(p.Now)
	switch {
	case c.otherMedia(p):
		c.at(p.Now, ResponseMediaTypeChanged, "response", was, is, fmt.Sprintf("the response body was %s and is %s", was, is), "")
	case is == mediaNone && was != mediaNone && was != mediaBytes:
		c.at(p.Now, ResponseBodyRemoved, "response", was, "", "the response body was removed", "")
	case was == is:
		c.walker(p, response).walk(place{text: "response"}, p.Before.Response, p.Now.Response)
	}
}

// statuses is about the statuses of success.
func (c *comparison) statuses(p Pair) {
	all := func(e *spec.Endpoint) []int { return append([]int{e.Status}, e.Statuses...) }
	was, is := all(p.Before), all(p.Now)
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
	if len(gone) == 1 && len(added) == 1 && gone[0] == p.Before.Status && added[0] == p.Now.Status {
		c.at(p.Now, ResponseStatusChanged, "status", strconv.Itoa(gone[0]), strconv.Itoa(added[0]),
			fmt.Sprintf("success was %d and is %d", gone[0], added[0]), "")
		return
	}
	for _, s := range gone {
		c.at(p.Now, ResponseStatusRemoved, "status "+strconv.Itoa(s), "", "", fmt.Sprintf("does not answer %d any more", s), "")
	}
	for _, s := range added {
		c.at(p.Now, ResponseStatusAdded, "status "+strconv.Itoa(s), "", "", fmt.Sprintf("may answer %d, too", s), "")
	}
}

// header is about one header field of answers.
func (c *comparison) header(p Pair, was *spec.Param) {
	where := "response header " + quoted(was.Name)
	is := find(p.Now.Headers, spec.InHeader, was.Name)
	if is == nil {
		c.at(p.Now, ResponseHeaderRemoved, where, "", "", "the "+where+" was removed", "")
		return
	}
	if was.Required && !is.Required {
		c.at(p.Now, ResponseHeaderChanged, where, "required", "", "the "+where+" may be missing", "")
		return
	}
	probe := &comparison{before: c.before, now: c.now}
	probe.walker(p, response).walk(place{text: where}, was.Schema, is.Schema)
	if len(probe.list) > 0 {
		first := probe.list[0]
		c.at(p.Now, ResponseHeaderChanged, where, first.Old, first.New, first.Text, "")
	}
}

// errors is about the errors that the handler declares.
func (c *comparison) errors(p Pair) {
	is := map[string]*spec.ErrorAnswer{}
	for i := range p.Now.Errors {
		is[p.Now.Errors[i].Code] = &p.Now.Errors[i]
	}
	for i := range p.Before.Errors {
		was := &p.Before.Errors[i]
		where := "error " + quoted(was.Code)
		e, there := is[was.Code]
		delete(is, was.Code)
		switch {
		case !there:
			c.at(p.Now, ErrorRemoved, where, strconv.Itoa(was.Status), "", "the "+where+" is not declared any more", "")
			continue
		case was.Status != e.Status:
			c.at(p.Now, ErrorStatusChanged, where, strconv.Itoa(was.Status), strconv.Itoa(e.Status),
				fmt.Sprintf("the %s had the status %d and has %d", where, was.Status, e.Status), "")
		}
		if was.Details != nil && e.Details == nil {
			c.at(p.Now, ErrorDetailsRemoved, where, "", "", "the "+where+" has no details any more", "")
			continue
		}
		c.walker(p, response).walk(place{text: where + " details"}, was.Details, e.Details)
	}
	for _, e := range p.Now.Errors {
		if is[e.Code] != nil {
			c.at(p.Now, ErrorAdded, "error "+quoted(e.Code), "", strconv.Itoa(e.Status),
				fmt.Sprintf("may answer the error %s with the status %d", quoted(e.Code), e.Status), "")
		}
	}
}
