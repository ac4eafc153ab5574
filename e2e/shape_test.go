package e2e

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

const (
	events = "text/event-stream"
	lines  = "application/x-ndjson"
)

var _ = everyForm("a typed stream", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	DescribeTable("is written as Accept wants it",
		func(accept, mediaType, body string) {
			a := call(http.MethodGet, s.url("/ticks?count=3"), "", header("Accept", accept))
			Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			Expect(a.Header.Get("Content-Type")).To(Equal(mediaType))
			Expect(a.Header.Get("Vary")).To(ContainSubstring("Accept"))
			Expect(a.body).To(Equal(body))
		},
		Entry("events", events, events, "data: {\"n\":0}\n\ndata: {\"n\":1}\n\ndata: {\"n\":2}\n\n"),
		Entry("lines", lines, lines, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n"),
		Entry("lines where anything will do", "*/*", lines, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n"),
		Entry("the one that is wanted more", lines+";q=0.5, "+events, events, "data: {\"n\":0}\n\ndata: {\"n\":1}\n\ndata: {\"n\":2}\n\n"),
	)

	It("is 406 where Accept wants neither, and the handler is not called", func() {
		tag := newTag()
		a := call(http.MethodGet, s.url("/ticks?count=3&tag="+tag), "", header("Accept", "text/html"))
		Expect(a.StatusCode).To(Equal(http.StatusNotAcceptable))
		Expect(a.problem().Code).To(Equal("not_acceptable"))
		Expect(s.events(tag)).To(BeEmpty())
	})

	It("may be empty", func() {
		a := call(http.MethodGet, s.url("/ticks"), "")
		Expect(a.StatusCode).To(Equal(http.StatusOK))
		Expect(a.Header.Get("Content-Type")).To(Equal(lines))
		Expect(a.body).To(BeEmpty())
	})

	It("is a problem if it fails before its first item", func() {
		a := call(http.MethodGet, s.url("/ticks?count=3&fail=first"), "", header("Accept", events))
		Expect(a.StatusCode).To(Equal(http.StatusConflict))
		Expect(a.problem().Code).To(Equal("no_ticks"))
	})

	DescribeTable("that fails later says so in its last item, and is broken off behind it",
		func(accept, items string) {
			a, err := try(http.MethodGet, s.url("/ticks?count=2&fail=last"), http.NoBody, header("Accept", accept))
			Expect(err).To(MatchError(io.ErrUnexpectedEOF), "%s", a.body)
			noted.add(a)
			Expect(a.StatusCode).To(Equal(http.StatusOK))
			Expect(a.body).To(HavePrefix(items))
			Expect(a.body).To(ContainSubstring(`"requestId":"` + a.Header.Get("X-Request-Id") + `"`))
			Expect(a.body).To(HaveSuffix("\n"))
			Expect(a.body).NotTo(ContainSubstring("secret"))
		},
		Entry("as an event", events, "data: {\"n\":0}\n\ndata: {\"n\":1}\n\nevent: error\ndata: {"),
		Entry("as a line", lines, "{\"n\":0}\n{\"n\":1}\n{\"error\":{"),
	)

	It("answers HEAD with the head of a GET, and is not ranged", func() {
		tag := newTag()
		a := call(http.MethodHead, s.url("/ticks?count=-1&tag="+tag), "", header("Accept", events))
		Expect(a.StatusCode).To(Equal(http.StatusOK))
		Expect(a.Header.Get("Content-Type")).To(Equal(events))
		Expect(a.body).To(BeEmpty())
		Expect(s.events(tag)).To(HaveLen(1), "entered, and never ranged")
	})

	It("shows items while it goes on, and ends its context within milliseconds when the client leaves", func() {
		tag := newTag()
		conn, r := raw(s.http, "GET /ticks?count=-1&tag="+tag+" HTTP/1.1\r\nHost: x\r\nAccept: "+events+"\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = resp.Body.Close() }()
		body := bufio.NewReader(resp.Body)
		for _, want := range []string{"data: {\"n\":0}\n", "\n", "data: {\"n\":1}\n", "\n"} {
			Expect(body.ReadString('\n')).To(Equal(want))
		}
		Expect(s.events(tag)).To(HaveLen(1))
		gone := time.Now()
		Expect(conn.Close()).To(Succeed())
		e := s.left(tag)
		Expect(after(e, gone)).To(BeNumerically("<", prompt))
		Expect(e.Cause).To(Equal(spec.CodeClientGone.String()))
	})
})

var _ = everyForm("a net/http handler", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	It("sees a request and answers it, flushing and not hijacking", func() {
		a := call(http.MethodPost, s.url("/legacy/7%20b?q=1"), strings.Repeat("x", 100_000), header("Content-Type", "text/plain"))
		Expect(a.StatusCode).To(Equal(http.StatusAccepted), "%s", a.body)
		Expect(a.Header.Get("X-Legacy")).To(Equal("yes"))
		first, second, _ := strings.Cut(a.body, "\n")
		Expect(first).To(Equal("100000 bytes"))
		Expect(second).To(MatchJSON(`{"pattern":"POST /legacy/{id}","id":"7 b","q":"1","form":"text/plain","flushes":true,"hijacks":false}`))
	})

	It("that gives up in the middle of its answer has it broken off", func() {
		a, err := try(http.MethodGet, s.url("/broken"), http.NoBody)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
		noted.add(a)
		Expect(a.StatusCode).To(Equal(http.StatusOK))
		Expect(a.body).To(Equal("so far"))
	})
})
