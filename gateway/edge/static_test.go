package edge_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/static"
)

var _ = Describe("static files", func() {
	const script = "const greeting = 'hello';\n"
	var (
		dir   string
		write = func(name, text string) {
			GinkgoHelper()
			full := filepath.Join(dir, filepath.FromSlash(name))
			Expect(os.MkdirAll(filepath.Dir(full), 0o700)).To(Succeed())
			Expect(os.WriteFile(full, []byte(text), 0o600)).To(Succeed())
		}
		serving = func(folders ...static.Dir) func(*gateway.Config) {
			for i := range folders {
				folders[i].Dir = dir
			}
			return func(c *gateway.Config) { c.Policy.Static = folders }
		}
	)
	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		write("index.html", "<!doctype html>the page")
		write("main.js", script)
		write("docs/index.html", "<!doctype html>the documents")
	})

	It("are served with type, tag and time, and asked for again by them", func() {
		r := start(serving(static.Dir{Path: "/app", MaxAge: time.Hour}))
		got := r.do("GET", "/app/main.js", "")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(Equal(script))
		Expect(got.Header.Get("Content-Type")).To(HavePrefix("text/javascript"))
		Expect(got.Header.Get("Content-Length")).To(Equal(strconv.Itoa(len(script))))
		Expect(got.Header.Get("Cache-Control")).To(Equal("public, max-age=3600"))
		Expect(got.Header.Get("X-Content-Type-Options")).To(Equal("nosniff"))
		Expect(got.Header.Get("X-Request-Id")).NotTo(BeEmpty())
		tag, since := got.Header.Get("Etag"), got.Header.Get("Last-Modified")
		Expect(tag).NotTo(BeEmpty())
		Expect(since).NotTo(BeEmpty())
		for _, condition := range [][2]string{{"If-None-Match", tag}, {"If-Modified-Since", since}} {
			again := r.do("GET", "/app/main.js", "", condition[0], condition[1])
			Expect(again.StatusCode).To(Equal(304))
			Expect(again.body).To(BeEmpty())
			Expect(again.Header.Get("Etag")).To(Equal(tag))
		}
		Expect(r.do("GET", "/app/main.js", "", "If-Match", `"other"`).StatusCode).To(Equal(412))
		head := r.do("HEAD", "/app/main.js", "")
		Expect(head.StatusCode).To(Equal(200))
		Expect(head.ContentLength).To(BeEquivalentTo(len(script)))
		Expect(head.body).To(BeEmpty())
	})

	It("are had in parts", func() {
		r := start(serving(static.Dir{Path: "/"}))
		got := r.do("GET", "/main.js", "", "Range", "bytes=6-13")
		Expect(got.StatusCode).To(Equal(206))
		Expect(got.body).To(Equal("greeting"))
		Expect(got.Header.Get("Content-Range")).To(Equal(fmt.Sprintf("bytes 6-13/%d", len(script))))
		got = r.do("GET", "/main.js", "", "Range", "bytes=100-")
		Expect(got.StatusCode).To(Equal(416))
		Expect(got.Header.Get("Content-Range")).To(Equal(fmt.Sprintf("bytes */%d", len(script))))
		Expect(got.Header.Get("Content-Type")).To(Equal("application/problem+json"))
		Expect(got.body).To(ContainSubstring(`"code":"bad_range"`))
		Expect(got.Header).NotTo(HaveKey("Etag"))
	})

	It("have an index, and a slash at the end of folders' paths", func() {
		r := start(serving(static.Dir{Path: "/app"}))
		r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for path, want := range map[string]string{"/app": "./app/", "/app/docs?x=1": "./docs/?x=1"} {
			got := r.do("GET", path, "")
			Expect(got.StatusCode).To(Equal(308), path)
			Expect(got.Header.Get("Location")).To(Equal(want))
		}
		r.client.CheckRedirect = nil
		Expect(r.do("GET", "/app", "").body).To(ContainSubstring("the page"))
		Expect(r.do("GET", "/app/docs", "").body).To(ContainSubstring("the documents"))
		Expect(r.do("GET", "/app/main.js/", "").StatusCode).To(Equal(404))
		Expect(r.do("GET", "/other/", "").StatusCode).To(Equal(404))
	})

	It("stand behind what services and the gateway itself have", func() {
		write("invoices/index.html", "not to be seen")
		write("openapi.json", "not to be seen")
		r := start(serving(static.Dir{Path: "/", Fallback: "index.html"}), func(c *gateway.Config) { c.OpenAPI = "Everything" })
		r.join(identity{}, echo, endpoint("POST", "/invoices"))
		Expect(r.do("GET", "/openapi.json", "").body).To(HavePrefix("{"))
		Expect(r.do("POST", "/invoices", "hello").body).To(ContainSubstring("hello"))
		got := r.do("GET", "/invoices", "", "Accept", "text/html")
		Expect(got.StatusCode).To(Equal(405), "the path is a service's, whatever the method")
		Expect(r.do("GET", "/invoices/", "").body).To(Equal("not to be seen"), "a service's path never ends with a slash")
	})

	It("stand before a legacy route that is less specific than their path, and behind one that is not", func() {
		write("api/x.js", "not to be seen")
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 0}, legacy.Route{Path: "/{any}/main.js", Weight: 50},
			legacy.Route{Path: "/app/api/{rest...}", Weight: 0}, legacy.Route{Path: "/app/exact", Weight: 100}),
			serving(static.Dir{Path: "/"}, static.Dir{Path: "/app", Fallback: "index.html"}), func(c *gateway.Config) {
				c.Policy.CORS = []edge.CORS{{Path: "/", Origins: []string{"*"}}}
			})
		r.join(identity{}, says("new"), endpoint("POST", "/app/orders"), endpoint("GET", "/app/main.js/map"))
		for _, c := range []struct {
			method, path string
			status       int
			body, own    string // own: as it is explained
		}{
			{"GET", "/app/main.js", 200, script, "the file main.js of static /app"},
			{"GET", "/app/", 200, "<!doctype html>the page", "the file index.html of static /app"},
			{"GET", "/app", 200, "<!doctype html>the page", "a redirect to ./app/ of static /app"},
			{"POST", "/app/main.js", 405, `"code":"method_not_allowed"`, ""},
			{"GET", "/app/other.js", 404, `"code":"not_found"`, "the file index.html of static /app, for pages"},
			{"GET", "/app/main.js/map", 200, "new", ""},
			{"POST", "/app/orders", 200, "new", ""},
			{"GET", "/app/orders", 200, "old", ""}, // as without files: the path is a service's, and what has not moved of it is the upstream's
			{"GET", "/app/api/x.js", 200, "old", ""},
			{"GET", "/app/api/", 200, "old", ""},
			{"GET", "/app/exact", 200, "old", ""},
			{"GET", "/main.js", 200, "old", ""},
			{"GET", "/other/", 200, "old", ""},
		} {
			got := r.do(c.method, c.path, "")
			Expect(got.StatusCode).To(Equal(c.status), c.path)
			Expect(got.body).To(ContainSubstring(c.body), c.path)
			var x routing.Explanation
			Expect(json.Unmarshal([]byte(r.operator("GET", "/v1/explain?method="+c.method+"&target="+c.path)), &x)).To(Succeed())
			Expect(x.Own).To(Equal(c.own), "%s %s", c.method, c.path)
			Expect(x.Legacy != nil && x.Legacy.Share == 1).To(Equal(c.body == "old"), "%s %s", c.method, c.path)
		}
		Expect(r.do("OPTIONS", "/app/main.js", "").Header.Get("Allow")).To(Equal("GET, HEAD"))
		for path, methods := range map[string]string{"/app/main.js": "", "/main.js": "PUT"} {
			got := r.do("OPTIONS", path, "", "Origin", "https://a.example", "Access-Control-Request-Method", "PUT")
			Expect(got.Header.Get("Access-Control-Allow-Methods")).To(Equal(methods), path)
		}
	})

	It("stand before a legacy route that has the path for other methods only", func() {
		s := upstream(writes("old"))
		posts := []string{"POST"}
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Methods: posts, Weight: 100}, legacy.Route{Path: "/app/docs/{rest...}", Methods: posts, Weight: 100}),
			serving(static.Dir{Path: "/app"}))
		Expect(r.do("GET", "/app/main.js", "").body).To(Equal(script))
		Expect(r.do("GET", "/app/docs/index.html", "").StatusCode).To(Equal(405), "the route is more specific")
		Expect(r.do("POST", "/other", "").body).To(Equal("old"))
	})

	It("have a page for the front end's own paths, and nothing for programs that are lost", func() {
		r := start(serving(static.Dir{Path: "/", Fallback: "index.html", MaxAge: time.Hour}))
		got := r.do("GET", "/users/7", "", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(ContainSubstring("the page"))
		Expect(got.Header.Get("Cache-Control")).To(Equal("no-cache"))
		Expect(got.Header.Get("Vary")).To(Equal("Accept"))
		lost := r.do("GET", "/users/7", "", "Accept", "*/*")
		Expect(lost.StatusCode).To(Equal(404))
		Expect(lost.body).To(ContainSubstring(`"code":"not_found"`))
		Expect(r.do("POST", "/users/7", "x", "Accept", "text/html").StatusCode).To(Equal(404))
	})

	It("are explained", func() {
		r := start(serving(static.Dir{Path: "/app", Fallback: "index.html"}), func(c *gateway.Config) { c.OpenAPI = "Everything" })
		r.join(identity{}, echo, endpoint("POST", "/app/orders"))
		for request, want := range map[[2]string]string{
			{"GET", "/app/main.js"}: "the file main.js of static /app", {"HEAD", "/app/docs/"}: "the file index.html of static /app",
			{"GET", "/app/docs"}: "a redirect to ./docs/ of static /app", {"GET", "/app/users/7"}: "the file index.html of static /app, for pages",
			{"GET", "/openapi.json"}: "a document about all services",
			{"GET", "/other"}:        "", {"POST", "/app/main.js"}: "", {"GET", "/app/orders"}: "",
		} {
			var x routing.Explanation
			Expect(json.Unmarshal([]byte(r.operator("GET", "/v1/explain?method="+request[0]+"&target="+request[1])), &x)).To(Succeed())
			Expect(x.Own).To(Equal(want), "%v", request)
			if want == "" {
				Expect(x.Fault).NotTo(BeEmpty(), "%v", request)
			} else {
				Expect(x.Fault).To(BeEmpty(), "%v", request)
			}
		}
	})

	It("are only read", func() {
		r := start(serving(static.Dir{Path: "/app"}))
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			got := r.do(method, "/app/main.js", "")
			Expect(got.StatusCode).To(Equal(405))
			Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD"))
		}
		got := r.do("OPTIONS", "/app/main.js", "")
		Expect(got.StatusCode).To(Equal(204))
		Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD"))
	})

	It("have the longest path that fits, and nothing of the others", func() {
		other := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(other, "only.txt"), []byte("other"), 0o600)).To(Succeed())
		r := start(serving(static.Dir{Path: "/"}), func(c *gateway.Config) {
			c.Policy.Static = append(c.Policy.Static, static.Dir{Path: "/docs", Dir: other})
		})
		Expect(r.do("GET", "/docs/only.txt", "").body).To(Equal("other"))
		Expect(r.do("GET", "/docs/", "").StatusCode).To(Equal(404))
		Expect(r.do("GET", "/main.js", "").body).To(Equal(script))
	})

	It("are compressed where that is so for answers", func() {
		write("large.js", strings.Repeat(script, 100))
		r := start(serving(static.Dir{Path: "/"}), compressing("text/*"))
		got := r.do("GET", "/large.js", "", "Accept-Encoding", "gzip")
		Expect(got.Header.Get("Content-Encoding")).To(Equal("gzip"))
		Expect(got.Header.Get("Etag")).To(HavePrefix("W/"))
		Expect(got.Header).NotTo(HaveKey("Accept-Ranges"))
		Expect(unzip(got.body)).To(Equal(strings.Repeat(script, 100)))
		Expect(r.do("GET", "/large.js", "", "Accept-Encoding", "gzip", "If-None-Match", got.Header.Get("Etag")).StatusCode).To(Equal(304))
		Expect(r.do("GET", "/main.js", "", "Accept-Encoding", "gzip").Header).NotTo(HaveKey("Content-Encoding"), "it is short")
	})

	It("are others at once after a reload, which is refused where a folder is missing", func() {
		r := start(serving(static.Dir{Path: "/app"}))
		Expect(r.g.Apply(gateway.Config{Policy: edge.Policy{Static: []static.Dir{{Path: "/", Dir: dir}}}})).To(Succeed())
		Expect(r.do("GET", "/main.js", "").body).To(Equal(script))
		Expect(r.do("GET", "/app/main.js", "").StatusCode).To(Equal(404))
		Expect(r.g.Apply(gateway.Config{Policy: edge.Policy{Static: []static.Dir{{Path: "/", Dir: dir + "/nothing"}}}})).
			To(MatchError(ContainSubstring("the folder of / cannot be opened")))
		Expect(r.g.Apply(gateway.Config{Policy: edge.Policy{Static: []static.Dir{{Path: "/", Dir: dir}, {Path: "/", Dir: dir}}}})).
			To(MatchError(ContainSubstring("two folders for the path /")))
		Expect(r.do("GET", "/main.js", "").body).To(Equal(script))
	})

	It("are broken off when they become shorter, and end with a client that reads nothing", func() {
		write("large.bin", strings.Repeat("x", 64<<20))
		r := start(serving(static.Dir{Path: "/"}), func(c *gateway.Config) { c.Stall = 200 * time.Millisecond })
		conn, err := net.Dial("tcp", r.g.HTTPAddr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		_, err = io.WriteString(conn, "GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
		Expect(err).NotTo(HaveOccurred())
		reader := bufio.NewReaderSize(conn, 4096)
		_, err = reader.Peek(1)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() string { return string(r.log.Contents()) }).WithTimeout(patience).Should(MatchRegexp("path=/large.bin .*aborted=true"))

		conn, err = net.Dial("tcp", r.g.HTTPAddr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		_, err = io.WriteString(conn, "GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
		Expect(err).NotTo(HaveOccurred())
		reader = bufio.NewReader(conn)
		_, err = reader.Peek(1)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.Truncate(filepath.Join(dir, "large.bin"), 1000)).To(Succeed())
		resp, err := http.ReadResponse(reader, nil)
		Expect(err).NotTo(HaveOccurred())
		_, err = io.Copy(io.Discard, resp.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
	})
})
