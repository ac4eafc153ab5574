package bridge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/stella-ops/router/spec"
)

// sizes of bodies, around the sizes at which net/http, the bridge or the session change what they do.
var sizes = []int{0, 1, 2, 100, 511, 512, 513, 2047, 2048, 2049, 4096, 4097, 16383, 16384, 16385, 65535, 65537, 100_000, largest}

// segments of paths: as the gateway passes them on, and others that mean the same as such.
var (
	segments = []string{
		"a", "B", "index.html", "b%C3%A4", "c;d=e", "x+y", "1%2B1", "~me", "%20", "a:b", "u@h", "$1", "(x)", "%25", "%3Fq", "a,b", "...", "a%3Db", "*", "!",
	}
	otherSegments = []string{"%41", "b%c3%a4", "%7Eme", `"q"`, "a%2db", "a|b", "{x}"}
)

// queries as they come, good and bad.
var queries = []string{
	"", "?q=1", "?q=1&q=2", "?a=%20+b", "?%zz", "?x;y", "?=&&", "?u=%C3%A4", "?a=?b", "?a[]=1", `?a="b"`, "?a=b/c%2Fd", "?a=" + strings.Repeat("x", 2000),
}

// fieldLines are fields of requests: odd and legal, and those that the gateway does not pass on.
var fieldLines = []string{
	"X-Many: 1", "X-Many: 2", "x-many: 3", "x-LOWER: v", "X-Empty:", "X-Padded: \t padded \t ", "X-Tab: a\tb", "X-Colon: a:b:c", `X-Quoted: "a, b"`,
	"X-Latin: caf\xe9", "X-Utf8: grüße", "!#$%&'*+.^`|~: odd", "X-1: 1", "X-Long: " + strings.Repeat("long ", 800),
	"Cookie: a=b; c=d", "Cookie: e=f", "Cookie: bad", "Accept: text/*, */*;q=0.1", "Accept-Encoding: gzip, br", "Accept-Language: de", "User-Agent: test/1",
	"User-Agent:", `If-None-Match: "x"`, "If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT", "Range: bytes=0-1", "Authorization: Basic YTpi",
	"Content-Type: text/plain; charset=utf-8", "Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=b",
	"Content-Encoding: gzip", "Content-Language: de", "Origin: https://elsewhere.example", "Referer: https://elsewhere.example/", "Via: 1.1 p", "Date: today",
	"Pragma: no-cache", "Last-Event-Id: 7", "Sec-Fetch-Mode: cors", "Sec-Websocket-Key: x", "Server: mine", "Warning: 1",
	// These end at the gateway.
	"Te: trailers", "Connection: keep-alive", "Connection: close", "Connection: X-Hop", "X-Hop: 1", "X_Under: 1", "X-User-Id: mallory", "Forwarded: for=1",
	"X-Forwarded-For: 192.0.2.1", "X-Real-Ip: 192.0.2.1", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Baggage: a=b",
	"X-Request-Id: mine", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Upgrade: websocket", "Stella-Anything: 1", "X-Stella-Anything: 1",
}

// statuses that a handler may answer with.
var statuses = []int{
	200, 200, 200, 201, 202, 203, 204, 204, 205, 206, 226, 299, 300, 301, 302, 303, 304, 304, 307, 308, 399, 400, 401, 403, 404, 405, 409, 410, 412, 413, 416, 418,
	422, 429, 451, 499, 500, 501, 502, 503, 504, 599,
}

// fieldValues are fields of answers. A Content-Length that is none is not among them: net/http sends it where nothing takes its place.
var fieldValues = []step{
	{Name: "X-Out", Values: []string{"1"}}, {Name: "X-Out", Values: []string{"1", "2", ""}}, {Name: "x-lower-out", Values: []string{"v"}},
	{Name: "X-Lower-Out", Values: []string{"w"}}, {Name: "X-Lines", Values: []string{" a\r\nX-Injected: b\n"}}, {Name: "not a name", Values: []string{"1"}},
	{Name: "", Values: []string{"1"}}, {Name: "X-Empty", Values: []string{""}}, {Name: "X-None"}, {Name: "X-Latin", Values: []string{"caf\xe9"}},
	{Name: "X-Padded", Values: []string{" \tpadded\t "}}, {Name: "X-Long", Values: []string{strings.Repeat("long ", 800)}},
	{Name: "Set-Cookie", Values: []string{"a=1", "b=2; Path=/; HttpOnly"}}, {Name: "Vary", Values: []string{"Accept", "Origin"}},
	{Name: "Content-Type", Values: []string{"text/plain"}}, {Name: "Content-Type", Values: []string{""}}, {Name: "Content-Type"},
	{Name: "Content-Type", Values: []string{"application/json", "text/html"}}, {Name: "content-type", Values: []string{"x/y"}},
	{Name: "Content-Encoding", Values: []string{"br"}}, {Name: "Content-Encoding", Values: []string{""}}, {Name: "Content-Language", Values: []string{"de"}},
	{Name: "Content-Disposition", Values: []string{`attachment; filename="f"`}}, {Name: "Content-Range", Values: []string{"bytes 0-1/2"}},
	{Name: "Etag", Values: []string{`"e"`}}, {Name: "Last-Modified", Values: []string{"Fri, 02 Jan 2026 03:04:05 GMT"}}, {Name: "Location", Values: []string{"/else"}},
	{Name: "Link", Values: []string{"</a>; rel=preload"}}, {Name: "Cache-Control", Values: []string{"no-store"}}, {Name: "Www-Authenticate", Values: []string{"Basic"}},
	{Name: "Retry-After", Values: []string{"1"}}, {Name: "Allow", Values: []string{"GET"}}, {Name: "Access-Control-Allow-Origin", Values: []string{"*"}},
	{Name: "Strict-Transport-Security", Values: []string{"max-age=1"}}, {Name: "X-Content-Type-Options", Values: []string{"nosniff"}},
	{Name: "Transfer-Encoding", Values: []string{"identity"}}, {Name: "Transfer-Encoding", Values: []string{"chunked"}},
	{Name: "Content-Length", Values: []string{"100"}}, {Name: "Content-Length", Values: []string{"0"}},
	// These end at the gateway.
	{Name: "Date", Values: []string{"Fri, 02 Jan 2026 03:04:05 GMT"}}, {Name: "Server", Values: []string{"mine"}}, {Name: "Connection", Values: []string{"close"}},
	{Name: "Alt-Svc", Values: []string{"clear"}}, {Name: "X-Request-Id", Values: []string{"mine"}}, {Name: "Keep-Alive", Values: []string{"timeout=5"}},
	{Name: "Upgrade", Values: []string{"h2c"}}, {Name: "X-Stella-Anything", Values: []string{"1"}},
}

// starts are what bodies begin with, for those who guess their type.
var starts = []string{"", "<!DOCTYPE html><p>", `{"json":true}`, "\x00\x01\x02", "\x89PNG\r\n\x1a\n", "%PDF-", "text ", "\xef\xbb\xbf", "  \n<html>"}

// generate draws a request, and what its handler does.
func generate(t *rapid.T) exchange {
	c := exchange{Ask: ask{Method: rapid.SampledFrom(spec.Methods).Draw(t, "method")}}
	c.target(t)
	c.Ask.Header = rapid.SliceOfN(rapid.SampledFrom(fieldLines), 0, 8).Draw(t, "header")
	if rapid.Bool().Draw(t, "some body") {
		c.Ask.Size = rapid.OneOf(rapid.SampledFrom(sizes), rapid.IntRange(0, largest)).Draw(t, "size")
		if rapid.Bool().Draw(t, "chunked") {
			c.Ask.Chunk = rapid.OneOf(rapid.SampledFrom([]int{1000, 4096, 1 << 20}), rapid.IntRange(100, 70_000)).Draw(t, "chunk")
		} else {
			c.Ask.Length = true
		}
		// net/http does not read what a handler has left of a body then, and so may reset the connection before its answer is read.
		c.Ask.Header = slices.DeleteFunc(c.Ask.Header, func(line string) bool { return line == "Connection: close" })
		c.Ask.Expect = rapid.IntRange(0, 3).Draw(t, "expect") == 0
		if c.Ask.Chunk > 0 {
			c.Ask.Trailer = rapid.SliceOfN(rapid.SampledFrom([]string{"X-Sum: 1", "X-Sum: 2", "X-Other:", "x-lower: v"}), 0, 3).Draw(t, "trailer")
		}
	}
	c.steps(t)
	return c
}

func (c *exchange) target(t *rapid.T) {
	c.Canonical = rapid.IntRange(0, 3).Draw(t, "canonical") > 0
	pool := segments
	if !c.Canonical {
		pool = slices.Concat(otherSegments, segments)
	}
	parts := rapid.SliceOfN(rapid.SampledFrom(pool), 0, 4).Draw(t, "path")
	if rapid.Bool().Draw(t, "item") {
		parts = append([]string{"items"}, parts...)
	}
	c.Ask.Target = "/" + strings.Join(parts, "/") + rapid.SampledFrom(queries).Draw(t, "query")
}

// steps draws what the handler does: something about the request, something about the header, and then the body.
func (c *exchange) steps(t *rapid.T) {
	add := func(s step) { c.Steps = append(c.Steps, s) }
	// A client that waits for 100 does not send the body once an answer has begun, for which such a handler may wait.
	duplex := rapid.IntRange(0, 2).Draw(t, "duplex") == 0 && !c.Ask.Expect
	if duplex {
		add(step{Do: fullDuplex})
	}
	switch rapid.IntRange(0, 5).Draw(t, "reads") {
	case 0, 1:
		add(step{Do: readAll})
	case 2:
		add(step{Do: read, N: rapid.SampledFrom(sizes).Draw(t, "n")})
	case 3:
		add(step{Do: form})
	case 4:
		add(step{Do: closeBody})
		add(step{Do: readAll})
	}
	var announced []string
	if rapid.Bool().Draw(t, "trailers") {
		announced = []string{"X-Sum", "X-Other"}
		add(step{Do: setHeader, Name: "Trailer", Values: announced})
	}
	for _, f := range rapid.SliceOfN(rapid.SampledFrom(fieldValues), 0, 4).Draw(t, "fields") {
		f.Do = rapid.SampledFrom([]action{setHeader, setHeader, addHeader, deleteHeader}).Draw(t, "how")
		if f.Name == "Content-Length" { // net/http would send two
			f.Do = setHeader
		}
		add(f)
	}
	for range rapid.IntRange(0, 6).Draw(t, "steps") {
		add(c.step(t, duplex))
	}
	c.endEarly()
	for _, name := range announced {
		add(step{Do: setTrailer, Name: name, Values: rapid.SampledFrom([][]string{nil, {""}, {"1"}, {"1", "2"}, {" a\r\nb"}}).Draw(t, "values")})
	}
	if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
		add(step{Do: lateTrailer, Name: "X-Late", Values: []string{"1"}})
	}
	c.agree()
}

// agree leaves out what contradicts something else: net/http goes by a Transfer-Encoding, and then does not notice that a
// Content-Length is wrong; and neither the end of a connection nor a Content-Length has room for trailers.
func (c *exchange) agree() {
	length := c.sets("Content-Length")
	trails := !length && slices.ContainsFunc(c.Steps, func(s step) bool { return s.Name == "Trailer" || s.Do == lateTrailer })
	c.Steps = slices.DeleteFunc(c.Steps, func(s step) bool {
		switch {
		case s.Name == "Transfer-Encoding":
			return length || trails
		case s.Name == "Trailer", s.Do == setTrailer, s.Do == lateTrailer:
			return length
		}
		return false
	})
}

// endEarly leaves out reads behind a flush of an answer that has no body: to the gateway it is whole then, and it wants nothing
// more of the call.
func (c *exchange) endEarly() {
	bodiless := c.Ask.Method == http.MethodHead || slices.ContainsFunc(c.Steps, func(s step) bool {
		return s.Do == writeHeader && (s.N == http.StatusNoContent || s.N == http.StatusNotModified)
	})
	flushed := slices.IndexFunc(c.Steps, func(s step) bool { return s.Do == flush })
	if !bodiless || flushed < 0 {
		return
	}
	rest := slices.DeleteFunc(c.Steps[flushed:], func(s step) bool { return s.Do == read || s.Do == readAll || s.Do == echo })
	c.Steps = c.Steps[:flushed+len(rest)]
}

// sets reports whether the handler sets a field.
func (c *exchange) sets(name string) bool {
	return slices.ContainsFunc(c.Steps, func(s step) bool { return s.Name == name })
}

func (c *exchange) step(t *rapid.T, duplex bool) step {
	kinds := []action{write, write, write, writeString, copyFrom, flush, writeHeader, writeHeader, setHeader}
	if duplex { // without, net/http ends the reading when it begins to answer
		kinds = append(kinds, echo, echo, read, readAll)
	}
	if rapid.IntRange(0, 15).Draw(t, "fails") == 0 {
		kinds = []action{abort, fail}
	}
	s := step{Do: rapid.SampledFrom(kinds).Draw(t, "do")}
	switch s.Do {
	case write, writeString, copyFrom:
		s.Name = rapid.SampledFrom(starts).Draw(t, "start")
		s.N = rapid.SampledFrom(sizes).Draw(t, "n")
	case read:
		s.N = rapid.SampledFrom(sizes).Draw(t, "n")
	case writeHeader:
		s.N = rapid.OneOf(rapid.SampledFrom(statuses), rapid.SampledFrom([]int{http.StatusProcessing, http.StatusEarlyHints})).Draw(t, "status")
	case setHeader:
		if rapid.Bool().Draw(t, "length") {
			s.Name, s.Values = "Content-Length", []string{strconv.Itoa(rapid.SampledFrom(sizes).Draw(t, "n"))}
		} else {
			f := rapid.SampledFrom(fieldValues).Draw(t, "field")
			s.Name, s.Values = f.Name, f.Values
		}
	default: // needs nothing
	}
	return s
}
