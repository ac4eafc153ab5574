package edge_test

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
)

var _ = Describe("a request target", func() {
	DescribeTable("reaches the service in its one canonical form",
		func(target, path, params string) {
			r := start()
			r.join(identity{}, describe, endpoint("GET", "/{rest...}"), endpoint("GET", "/one/{id}"))
			got := r.do("GET", target, "")
			Expect(got.StatusCode).To(Equal(200))
			Expect(got.body).To(ContainSubstring("path=" + path + "\n"))
			Expect(got.body).To(ContainSubstring("params=" + params + "\n"))
		},
		Entry("unreserved characters are decoded", "/x/%41%2d%7e", "/x/A-~", `["x/A-~"]`),
		Entry("other escapes are upper-cased", "/x/%c3%a9", "/x/%C3%A9", `["x/é"]`),
		Entry("an escaped percent sign is decoded once", "/x/%252e%252e", "/x/%252e%252e", `["x/%2e%2e"]`),
		Entry("a parameter is decoded", "/one/a%20b%2Bc", "", `["a b+c"]`),
		Entry("the root", "/", "/", `[""]`),
	)

	It("with a slash at the end is a path that nobody serves, and the answer says so", func() {
		r := start()
		m := r.join(identity{}, describe, endpoint("GET", "/{rest...}"))
		for _, target := range []string{"/a/", "/%61/", "/a/?b=c"} {
			got := r.do("GET", target, "")
			Expect(got.StatusCode).To(Equal(http.StatusNotFound))
			Expect(got.body).To(And(ContainSubstring(`"not_found"`), ContainSubstring("ends with a slash")))
		}
		Expect(m.tap.received(3)).To(BeEmpty())
	})

	It("may be in absolute form, whose authority counts", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/{rest...}"))
		conn, in := r.raw("GET http://other.example/a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\nGET http://other.example HTTP/1.1\r\nHost: h\r\n\r\n")
		defer conn.Close()
		Expect(status(in)).To(Equal(200))
		Expect(status(in)).To(Equal(200))
	})

	It("of OPTIONS * names all methods", func() {
		r := start()
		_, in := r.raw("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusNoContent))
		Expect(resp.Header.Get("Allow")).To(ContainSubstring("PATCH"))
	})

	It("of OPTIONS * is nobody's, whichever pages of other sites may ask", func() {
		r := start(func(c *gateway.Config) {
			c.Policy.CORS = []edge.CORS{{Path: "/", Origins: []string{"https://app.example"}}}
		})
		r.join(identity{}, describe, endpoint("GET", "/{rest...}"))
		conn, in := r.raw("OPTIONS * HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\r\n" +
			"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		defer conn.Close()
		Expect(status(in)).To(Equal(204))
		Expect(status(in)).To(Equal(200))
		Expect(r.log).NotTo(gbytes.Say("panic"))
	})

	It("of CONNECT and TRACE is refused", func() {
		r := start()
		m := r.join(identity{}, describe, endpoint("GET", "/{rest...}"))
		for _, line := range []string{"CONNECT h:80", "TRACE /a"} {
			_, in := r.raw(line + " HTTP/1.1\r\nHost: h\r\n\r\n")
			Expect(status(in)).To(Equal(http.StatusMethodNotAllowed))
		}
		Expect(m.tap.received(3)).To(BeEmpty())
	})
})
