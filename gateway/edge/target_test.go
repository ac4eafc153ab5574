package edge_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// encodings are request targets. Each either means one path, in one form, or is refused with a status.
var encodings = []struct {
	target string
	path   string // canonical; or
	status int
}{
	// What stands for itself.
	{"/", "/", 0},
	{"/a", "/a", 0},
	{"/a/b/c", "/a/b/c", 0},
	{"/A/a", "/A/a", 0},
	{"/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@", 0},
	{"/a;v=1/b", "/a;v=1/b", 0},
	{"/.a", "/.a", 0},
	{"/a..", "/a..", 0},
	{"/...", "/...", 0},
	{"/a/..;/admin/x", "/a/..;/admin/x", 0}, // a segment like any other: nothing here cuts at a semicolon
	{"/*", "/*", 0},

	// Escapes that need not be.
	{"/%61", "/a", 0},
	{"/%41%2d%7e", "/A-~", 0},
	{"/%2D%2E%5F%7E", "/-._~", 0},
	{"/a/%2e%2ea", "/a/..a", 0},
	{"/a/b%2e", "/a/b.", 0},
	{"/%61dmin/x", "/admin/x", 0},
	{"/%61%64%6d%69%6e/%78", "/admin/x", 0},

	// Escapes that stay, in capitals.
	{"/%c3%a9", "/%C3%A9", 0},
	{"/%E2%82%AC", "/%E2%82%AC", 0},
	{"/%ff", "/%FF", 0},
	{"/%c0%ae%c0%ae/admin", "/%C0%AE%C0%AE/admin", 0}, // dots for those who read UTF-8 carelessly: nobody here does
	{"/a%20b", "/a%20b", 0},
	{"/a%2bb", "/a%2Bb", 0},
	{"/a+b", "/a+b", 0},
	{"/a%3bb", "/a%3Bb", 0},
	{"/a%3fb", "/a%3Fb", 0},
	{"/a%23b", "/a%23b", 0},
	{"/a%25b", "/a%25b", 0},
	{"/%252e%252e/admin", "/%252e%252e/admin", 0}, // decoded once
	{"/%25%32%65%25%32%65/admin", "/%252e%252e/admin", 0},
	{"/a%252fb", "/a%252fb", 0},
	{"/admin%20/x", "/admin%20/x", 0},

	// Characters that need an escape and came without.
	{"/{a}", "/%7Ba%7D", 0},
	{"/a|b", "/a%7Cb", 0},
	{"/a^b`c", "/a%5Eb%60c", 0},
	{`/a"b<c>`, "/a%22b%3Cc%3E", 0},
	{"/[a]", "/%5Ba%5D", 0},

	// Queries are not paths.
	{"/a?b=/../admin/x", "/a", 0},
	{"/a?b?c", "/a", 0},
	{"/a?b=%2e%2e%2fadmin", "/a", 0},
	{"/a?", "/a", 0},
	{"/?admin", "/", 0},

	// URLs, whose authority is none of the path's.
	{"http://other/a/b?c", "/a/b", 0},
	{"http://other/admin/x", "/admin/x", 0},
	{"http://other/%61dmin/x", "/admin/x", 0},
	{"HTTPS://other:99/a", "/a", 0},
	{"http://other", "/", 0},
	{"http://other?a/admin", "/", 0},
	{"http://admin/x", "/x", 0},
	{"http://other/a/%2e%2e/admin/x", "", 400},
	{"http://other//admin/x", "", 400},
	{"http://other\\@admin/x", "", 400},

	// Dots.
	{"/.", "", 400},
	{"/..", "", 400},
	{"/a/.", "", 400},
	{"/a/..", "", 400},
	{"/a/./b", "", 400},
	{"/a/../admin/x", "", 400},
	{"/../../admin/x", "", 400},
	{"/a/..?b", "", 400},
	{"/%2e", "", 400},
	{"/%2e%2e", "", 400},
	{"/a/%2e%2e/admin/x", "", 400},
	{"/a/%2E%2E/admin/x", "", 400},
	{"/a/.%2e/admin/x", "", 400},
	{"/a/%2e./admin/x", "", 400},
	{"/a/%2e/b", "", 400},

	// Slashes.
	{"//", "", 400},
	{"///", "", 400},
	{"//admin/x", "", 400},
	{"//other/admin/x", "", 400},
	{"/a//b", "", 400},
	{"/a//", "", 400},
	{"/admin//x", "", 400},
	{"/a%2fb", "", 400},
	{"/a%2Fb", "", 400},
	{"/admin%2fx", "", 400},
	{"/a%2f..%2fadmin/x", "", 400},
	{"/a/..%2fadmin/x", "", 400},
	{`/a\b`, "", 400},
	{`/a\..\admin\x`, "", 400},
	{"/a%5cb", "", 400},
	{"/a%5C..%5Cadmin", "", 400},
	{"/a/", "", 404},
	{"/%61/", "", 404},
	{"/admin/", "", 404},
	{"/a/?b", "", 404},

	// Control characters, raw bytes, fragments.
	{"/a%00b", "", 400},
	{"/admin/x%00.png", "", 400},
	{"/.%00./admin", "", 400},
	{"/a%0ab", "", 400},
	{"/a%0d%0aX-User-Id:%20root", "", 400},
	{"/a%09b", "", 400},
	{"/a%1fb", "", 400},
	{"/a%7fb", "", 400},
	{"/a\x7fb", "", 400},
	{"/a\xff", "", 400},
	{"/a\u00e9", "", 400},
	{"/a?b\xff", "", 400},
	{"/a#b", "", 400},
	{"/a#/../admin/x", "", 400},
	{"/a?b#c", "", 400},

	// Escapes that are none.
	{"/a%", "", 400},
	{"/a%2", "", 400},
	{"/a%zz", "", 400},
	{"/a%%32%65", "", 400},
	{"/a%u002fadmin", "", 400},
	{"/a%2%66admin", "", 400},
	{"/a%+2fb", "", 400},

	// No path at all.
	{"*", "", 400},
	{"a/b", "", 400},
	{"?a", "", 400},
	{"admin/x", "", 400},
	{"http:/admin/x", "", 400},
	{"http:admin/x", "", 400},
}

var _ = Describe("the path that is authorised", func() {
	var (
		r       *rig
		service *recorder
		token   string
	)

	BeforeEach(func() {
		file := filepath.Join(GinkgoT().TempDir(), "token")
		r = start(func(c *gateway.Config) { c.Dev = &gateway.Dev{TokenFile: file} })
		key, err := auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		token, err = key.Token([]spec.Claim{{Type: "scope", Value: "admin"}}, time.Now(), 5*time.Minute)
		Expect(err).NotTo(HaveOccurred())
		service = &recorder{}
		r.join(identity{}, service.serve, endpoint("GET", "/{rest...}"), endpoint("GET", "/admin/{rest...}", claims("scope=admin")))
	})

	// judge expects the outcome of one target: with is whether the request had the token.
	judge := func(target, path string, want, got int, with bool) {
		GinkgoHelper()
		claimed := strings.HasPrefix(path, "/admin/")
		switch {
		case path == "":
		case claimed && !with:
			want = http.StatusUnauthorized
		default:
			want = http.StatusOK
		}
		Expect(got).To(Equal(want), "%q", target)
		seen := service.take()
		if want != http.StatusOK {
			Expect(seen).To(BeEmpty(), "%q reached the service", target)
			return
		}
		Expect(seen).To(HaveLen(1), "%q", target)
		Expect(seen[0].Path).To(Equal(path), "%q", target)
		Expect(seen[0].Identity != nil).To(Equal(claimed), "%q was authorised as another path than the service sees", target)
		rest, err := url.PathUnescape(strings.TrimPrefix(strings.TrimPrefix(path, "/"), map[bool]string{true: "admin/"}[claimed]))
		Expect(err).NotTo(HaveOccurred())
		Expect(seen[0].Params).To(Equal([]string{rest}), "%q", target)
	}

	It("is the path that is routed and that the service sees, for every encoding by HTTP/1.1", func() {
		Expect(len(encodings)).To(BeNumerically(">=", 60))
		for _, e := range encodings {
			for _, with := range []bool{false, true} {
				text := "GET " + e.target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
				if with {
					text += "Authorization: Bearer " + token + "\r\n"
				}
				conn, in := r.raw(text + "\r\n")
				judge(e.target, e.path, e.status, status(in), with)
				Expect(conn.Close()).To(Succeed())
			}
		}
	})

	It("is the path that is routed and that the service sees, for every encoding by HTTP/2", func() {
		conn := r.h2()
		stream := uint32(1)
		for _, e := range encodings {
			for _, with := range []bool{false, true} {
				list := []string{}
				if with {
					list = append(list, "authorization", "Bearer "+token)
				}
				Expect(conn.send(h2Headers, h2EndHeaders|h2End, stream, asking("GET", e.target, list...))).To(Succeed())
				f := conn.until(stream, h2Headers, h2Reset)
				if e.path == "" || strings.HasPrefix(e.path, "/admin/") && !with {
					Expect(f.ok()).To(BeFalse(), "%q", e.target)
					Expect(service.take()).To(BeEmpty(), "%q", e.target)
				} else {
					Expect(f.ok()).To(BeTrue(), "%q", e.target)
					judge(e.target, e.path, 0, http.StatusOK, with)
				}
				stream += 2
			}
		}
	})

	It("is of one method: GET serves HEAD, and the letters' case counts", func() {
		for method, want := range map[string]int{"HEAD": 200, "GET": 200, "get": 405, "Get": 405, "POST": 405, "GETX": 405, "PRI": 405} {
			_, in := r.raw(method + " /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(in, &http.Request{Method: method})
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(resp.StatusCode).To(Equal(want), method)
			seen := service.take()
			Expect(seen).To(HaveLen(map[bool]int{true: 1}[want == 200]), method)
		}
	})
})
