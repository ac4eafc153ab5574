package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// The rows of the table of bad input that one stack can take, one after the other, without harm to the next.
var _ = everyForm("bad input", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	Describe("finding the endpoint", func() {
		It("answers 404 for an unknown path", func() {
			mark := s.tap.mark()
			a := call(http.MethodGet, s.url("/nowhere"), "")
			Expect(a.StatusCode).To(Equal(http.StatusNotFound))
			Expect(a.problem().Origin).To(Equal("gateway"))
			Expect(s.tap.requests(mark)).To(BeZero())
		})

		It("answers 405 with Allow for a known path and another method", func() {
			mark := s.tap.mark()
			a := call(http.MethodDelete, s.url("/items/1"), "")
			Expect(a.StatusCode).To(Equal(http.StatusMethodNotAllowed))
			Expect(allowed(a)).To(ConsistOf("GET", "HEAD", "PUT", "OPTIONS"))
			Expect(a.problem().Origin).To(Equal("gateway"))
			Expect(s.tap.requests(mark)).To(BeZero())
		})

		It("answers HEAD of a GET as the GET, without its body", func() {
			get := call(http.MethodGet, s.url("/items/7"), "")
			Expect(get.StatusCode).To(Equal(http.StatusOK))
			_, r := raw(s.http, "HEAD /items/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			head := respond(r, http.MethodHead)
			Expect(head.StatusCode).To(Equal(http.StatusOK))
			for _, name := range []string{"Content-Type", "Content-Length"} {
				Expect(head.Header.Get(name)).To(Equal(get.Header.Get(name)), name)
			}
			Expect(over(r)).To(Succeed(), "bytes follow the head of an answer to HEAD")
		})

		It("answers OPTIONS with 204 and Allow", func() {
			mark := s.tap.mark()
			a := call(http.MethodOptions, s.url("/items/1"), "")
			Expect(a.StatusCode).To(Equal(http.StatusNoContent))
			Expect(allowed(a)).To(ConsistOf("GET", "HEAD", "PUT", "OPTIONS"))
			Expect(a.body).To(BeEmpty())
			Expect(s.tap.requests(mark)).To(BeZero())
		})
	})

	Describe("HTTP/2 by prior knowledge", func() {
		It("serves typed calls and streams on one connection", func() {
			h2 := overHTTP2()
			for range 3 {
				resp, err := h2.Get(s.url("/items/7"))
				Expect(err).NotTo(HaveOccurred())
				Expect(resp.Body.Close()).To(Succeed())
				Expect(resp.StatusCode).To(Equal(http.StatusOK))
				Expect(resp.ProtoMajor).To(Equal(2))
				resp, err = h2.Post(s.url("/count"), "text/plain", strings.NewReader(strings.Repeat("x", 60_000)))
				Expect(err).NotTo(HaveOccurred())
				Expect(io.ReadAll(resp.Body)).To(BeEquivalentTo("60000"))
				Expect(resp.Body.Close()).To(Succeed())
			}
		})
	})

	Describe("the input of a typed handler", func() {
		DescribeTable("answers 400 with every fault, where it is",
			func(method, path, body string, faults ...spec.Fault) {
				tag := newTag()
				a := call(method, s.url(path+"?tag="+tag), body, header("Content-Type", "application/json"))
				Expect(a.StatusCode).To(Equal(http.StatusBadRequest), "%s", a.body)
				p := a.problem()
				Expect(p.Origin).To(Equal("service"))
				var got []spec.Fault
				for _, f := range p.Errors {
					Expect(f.Detail).NotTo(BeEmpty())
					f.Detail = ""
					got = append(got, f)
				}
				Expect(got).To(ConsistOf(faults))
				Expect(s.events(tag)).To(BeEmpty(), "the handler was called")
			},
			Entry("malformed JSON", "PUT", "/items/1", `{"name": "a", "count": }`, inBody("")),
			Entry("no JSON at all", "PUT", "/items/1", ``, inBody(""), inBody("/name"), inBody("/count")),
			Entry("text after the JSON", "PUT", "/items/1", `{"name":"a","count":1} {}`, inBody("")),
			Entry("wrong types", "PUT", "/items/1", `{"name":1,"count":"x"}`, inBody("/name"), inBody("/count")),
			Entry("a missing required member", "PUT", "/items/1", `{"count":1}`, inBody("/name")),
			Entry("an unknown member", "PUT", "/items/1", `{"name":"a","count":1,"extra":"b"}`, inBody("/extra")),
			Entry("a bad path value", "PUT", "/items/one", `{"name":"a","count":1}`, spec.Fault{Parameter: "id", In: spec.InPath}),
			Entry("faults in path and body at once", "PUT", "/items/one", `{"name":1,"extra":2}`,
				inBody("/name"), inBody("/extra"), inBody("/count"), spec.Fault{Parameter: "id", In: spec.InPath}),
			Entry("a body member named like the path parameter", "PUT", "/items/1", `{"id":2,"name":"a","count":1}`, inBody("/id")),
		)

		It("answers 400 with every bad path and query value", func() {
			a := call(http.MethodGet, s.url("/items/one?limit=many&full=perhaps"), "")
			Expect(a.StatusCode).To(Equal(http.StatusBadRequest), "%s", a.body)
			var named []string
			for _, f := range a.problem().Errors {
				named = append(named, f.In+" "+f.Parameter)
			}
			Expect(named).To(ConsistOf("path id", "query limit", "query full"))
		})
	})

	Describe("paths and methods that no service may see", func() {
		DescribeTable("answers 400",
			func(path string) {
				mark := s.tap.mark()
				_, r := raw(s.http, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				a := respond(r, http.MethodGet)
				Expect(a.StatusCode).To(Equal(http.StatusBadRequest))
				Expect(s.tap.requests(mark)).To(BeZero(), "it reached the service")
			},
			Entry("an encoded NUL", "/items/1%00"),
			Entry("encoded dots", "/items/%2e%2e/claimed"),
			Entry("encoded dots, in capitals", "/%2E%2E/items/1"),
			Entry("an encoded slash", "/items%2f1"),
			Entry("an encoded slash, in capitals", "/items/a%2Fb"),
			Entry("an encoded backslash", "/items%5c1"),
			Entry("an encoded backslash, in capitals", "/items/a%5Cb"),
			Entry("a backslash", `/items\1`),
			Entry("half an escape", "/items/%4"),
		)

		DescribeTable("answers 405",
			func(method, target string) {
				mark := s.tap.mark()
				_, r := raw(s.http, method+" "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				a := respond(r, http.MethodGet)
				Expect(a.StatusCode).To(Equal(http.StatusMethodNotAllowed))
				Expect(s.tap.requests(mark)).To(BeZero(), "it reached the service")
			},
			Entry("CONNECT of an authority", "CONNECT", "example.com:443"),
			Entry("CONNECT of a path", "CONNECT", "/items/1"),
			Entry("TRACE", "TRACE", "/items/1"),
		)
	})

	Describe("a request with Transfer-Encoding and Content-Length", func() {
		It("is answered by Transfer-Encoding alone, and nothing behind it is served", func() {
			tag, mark := newTag(), s.tap.mark()
			_, r := raw(s.http, "POST /count?tag="+tag+" HTTP/1.1\r\nHost: x\r\n"+
				"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"+
				"GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n")
			a := respond(r, http.MethodPost)
			Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			Expect(a.body).To(Equal("5"))
			Expect(a.Close).To(BeTrue(), "the answer does not say Connection: close")
			Expect(over(r)).To(Succeed(), "the second request was answered")
			Expect(s.tap.requests(mark)).To(Equal(1))
		})

		It("serves nothing behind a chunked request that hides another", func() {
			mark := s.tap.mark()
			_, r := raw(s.http, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n"+
				"0\r\n\r\nGET /headers HTTP/1.1\r\nHost: x\r\nX-Hidden: 1\r\n\r\n")
			a := respond(r, http.MethodPost)
			Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			Expect(a.body).To(Equal("0"))
			Expect(over(r)).To(Succeed(), "the hidden request was answered")
			Expect(s.tap.requests(mark)).To(Equal(1))
		})
	})

	Describe("a body over the endpoint's limit", func() {
		const limit = 64 << 10

		It("passes at the limit", func() {
			a := call(http.MethodPost, s.url("/count"), strings.Repeat("x", limit))
			Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			Expect(a.body).To(Equal(strconv.Itoa(limit)))
			a = call(http.MethodPost, s.url("/count"), strings.Repeat("x", limit), unknownLength)
			Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			Expect(a.body).To(Equal(strconv.Itoa(limit)))
		})

		DescribeTable("is 413 before any REQUEST where its length is known",
			func(method, path string) {
				mark := s.tap.mark()
				_, r := raw(s.http, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", method, path, limit+1))
				a := respond(r, method) // although not a byte of the body was sent
				Expect(a.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
				Expect(a.problem().Origin).To(Equal("gateway"))
				Expect(s.tap.requests(mark)).To(BeZero())
			},
			Entry("of a unary call", "POST", "/count"),
			Entry("of a stream", "PUT", "/upload"),
		)

		It("is 413 at once, with one CANCEL, where its length is not known", func() {
			tag, mark := newTag(), s.tap.mark()
			before := s.gateway.memory()
			conn, r := raw(s.http, "PUT /upload?tag="+tag+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
			chunk := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
			sent := make(chan int64)
			go func() { // a client that does not care what it is told, and never ends
				defer GinkgoRecover()
				var n int64
				for n < 256<<20 {
					m, err := conn.Write([]byte(chunk))
					n += int64(m)
					if err != nil {
						break
					}
				}
				sent <- n
			}()
			a := respond(r, http.MethodPut)
			Expect(a.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
			Expect(a.problem().Origin).To(Equal("gateway"))
			Eventually(func() int { return s.tap.cancels(mark) }).Should(Equal(1))
			e := s.left(tag)
			Expect(e.Cause).To(Equal(spec.CodeLimit.String()))
			Expect(e.Bytes).To(BeNumerically("<=", limit))
			Expect(s.tap.body(mark)).To(BeNumerically("<=", limit))
			Expect(s.gateway.memory()-before).To(BeNumerically("<", 16<<20), "memory grew with the body")
			Expect(conn.Close()).To(Succeed())
			Expect(<-sent).To(BeNumerically("<", 256<<20), "the gateway read all of it")
			Consistently(func() int { return s.tap.cancels(mark) }, prompt).Should(Equal(1))
		})

		It("is 413 at once although the client waits before it sends more", func() {
			tag := newTag()
			_, r := raw(s.http, "PUT /upload?tag="+tag+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+
				fmt.Sprintf("%x\r\n%s\r\n", limit+1, strings.Repeat("x", limit+1)))
			a := respond(r, http.MethodPut)
			Expect(a.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
			Expect(s.left(tag).Cause).To(Equal(spec.CodeLimit.String()))
		})
	})

	Describe("a handler that fails", func() {
		DescribeTable("answers 500 and tells nothing of the reason",
			func(path string) {
				a := call(http.MethodPost, s.url(path), "")
				Expect(a.StatusCode).To(Equal(http.StatusInternalServerError))
				p := a.problem()
				Expect(p.Origin).To(Equal("service"))
				Expect(a.body).NotTo(ContainSubstring("secret"))
				Eventually(s.fixture.log).
					Should(And(ContainSubstring("the secret of the"), ContainSubstring(p.RequestID)))
			},
			Entry("by a panic", "/panic"),
			Entry("by an error", "/fail"),
		)
	})

	Describe("identity headers", func() {
		It("never reach a service from a client, whatever their spelling", func() {
			a := call(http.MethodGet, s.url("/headers"), "", header("X-Plain", "1"), func(r *http.Request) {
				r.Header["X-Stella-Subject"] = []string{"root"}
				r.Header["x_stella_subject"] = []string{"root"}
				r.Header["Stella_Subject"] = []string{"root"}
				r.Header.Set("Connection", "X-Nominated")
				r.Header.Set("X-Nominated", "1")
			})
			var got map[string]string
			Expect(json.Unmarshal([]byte(a.body), &got)).To(Succeed(), "%s", a.body)
			Expect(got).To(HaveKeyWithValue("X-Plain", "1"))
			for name := range got {
				Expect(strings.ToLower(name)).NotTo(ContainSubstring("stella"))
			}
			Expect(got).NotTo(HaveKey("X-Nominated"))
		})
	})
})

func inBody(pointer string) spec.Fault { return spec.Fault{Pointer: pointer, In: spec.InBody} }

// allowed are the methods of an Allow header.
func allowed(a answer) []string { return strings.Split(a.Header.Get("Allow"), ", ") }
