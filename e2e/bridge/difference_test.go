package bridge

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// both are the two outcomes of one request.
type both struct {
	direct, through                 *answer
	directObserved, throughObserved *observed
}

// try has a script played by both.
func try(ctx context.Context, a *ask, steps ...step) *both {
	GinkgoHelper()
	h := new(stage)
	p := serve(GinkgoTB(), h, all())
	played := h.put("x", steps)
	a.Header = append(slices.Clone(a.Header), caseHeader+": x")
	if a.Method == "" {
		a.Method = http.MethodPost
	}
	if a.Target == "" {
		a.Target = "/a"
	}
	b := new(both)
	for address, to := range map[string]**answer{p.direct: &b.direct, p.gateway: &b.through} {
		got, end, err := a.send(ctx, address)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(end)
		*to = got
	}
	for c, to := range map[<-chan *observed]**observed{played.direct: &b.directObserved, played.observed: &b.throughObserved} {
		Eventually(c).WithContext(ctx).Should(Receive(to))
	}
	return b
}

// view is what the handler has seen, by net/http and by the bridge.
func (b *both) view(of func(v *view) any) []any {
	return []any{of(&b.directObserved.view), of(&b.throughObserved.view)}
}

// haveProblem is that the service answers with a problem, and net/http with nothing that is whole.
func (b *both) haveProblem(status int) {
	GinkgoHelper()
	Expect(b.direct.Broken).To(BeTrue())
	Expect(b.through.Status).To(Equal(status))
	Expect(b.through.Header.Get("Content-Type")).To(Equal(spec.ProblemType))
}

// differences are the rows of docs/bridge.md, by their first column, and what shows each.
var differences = map[string]func(ctx SpecContext){
	"fields that the gateway keeps to itself": func(ctx SpecContext) {
		b := try(ctx, &ask{Header: []string{"X-User-Id: mallory", "X_Under: 1", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}})
		for name, want := range map[string]string{"X-User-Id": "mallory", "X_under": "1", "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} {
			Expect(b.view(func(v *view) any { return v.Header.Get(name) })).To(Equal([]any{want, ""}))
		}
	},
	"the target": func(ctx SpecContext) {
		b := try(ctx, &ask{Target: "/%41/%c3%a4?"})
		Expect(b.view(func(v *view) any { return v.URI })).To(Equal([]any{"/%41/%c3%a4?", "/A/%C3%A4"}))
		Expect(b.view(func(v *view) any { return v.Path })).To(Equal([]any{"/A/ä", "/A/ä"}))
	},
	"`Content-Length: 0`": func(ctx SpecContext) {
		b := try(ctx, &ask{Length: true})
		Expect(b.view(func(v *view) any { return v.Header["Content-Length"] })).To(Equal([]any{[]string{"0"}, []string(nil)}))
		Expect(b.view(func(v *view) any { return v.Length })).To(Equal([]any{int64(0), int64(0)}))
	},
	"the connection": func(ctx SpecContext) {
		b := try(ctx, &ask{Header: []string{"Connection: close"}})
		Expect(b.view(func(v *view) any { return v.Close })).To(Equal([]any{true, false}))
		seen := make(chan []any, 1)
		p := serve(GinkgoTB(), handle(func(_ http.ResponseWriter, r *http.Request) {
			seen <- []any{r.Proto, r.Context().Value(http.ServerContextKey) != nil, r.Context().Value(http.LocalAddrContextKey) != nil}
		}), []endpoint{{method: http.MethodGet, path: "/a"}})
		for address, want := range map[string][]any{p.direct: {"HTTP/1.0", true, true}, p.gateway: {"HTTP/1.1", true, false}} {
			say(connect(address), "GET /a HTTP/1.0\r\nHost: "+authority+"\r\n\r\n")
			Eventually(seen).WithContext(ctx).Should(Receive(Equal(want)))
		}
	},
	"limits": func(ctx SpecContext) {
		p := serve(GinkgoTB(), handle(func(http.ResponseWriter, *http.Request) {}), []endpoint{{
			method: http.MethodPost, path: "/a", change: func(e *spec.Endpoint) { e.Limits.MaxBodyBytes = 10 },
		}})
		many := make([]string, spec.MaxFields+1)
		for i := range many {
			many[i] = fmt.Sprintf("X-%d: 1", i)
		}
		for status, a := range map[int]*ask{413: {Size: 11}, 431: {Header: many}} {
			a.Method, a.Target = http.MethodPost, "/a"
			for address, want := range map[string]int{p.direct: 200, p.gateway: status} {
				got, end, err := a.send(ctx, address)
				Expect(err).NotTo(HaveOccurred())
				DeferCleanup(end)
				Expect(got.Status).To(Equal(want))
			}
		}
	},
	"full duplex": func(ctx SpecContext) {
		b := try(ctx, &ask{Size: 100_000}, step{Do: write, N: 5000}, step{Do: flush}, step{Do: readAll})
		Expect(b.directObserved.steps[2]).To(HavePrefix("read all 0 0 http: invalid Read on closed Body"))
		Expect(b.throughObserved.steps[2]).To(HavePrefix("read all 100000"))
	},
	"1xx": func(ctx SpecContext) {
		b := try(ctx, &ask{Size: 10, Expect: true}, step{Do: writeHeader, N: http.StatusEarlyHints}, step{Do: writeHeader, N: http.StatusAccepted})
		Expect(b.direct.Informal).To(Equal([]int{103}))
		Expect(b.through.Informal).To(Equal([]int{100}))
		Expect([]int{b.direct.Status, b.through.Status}).To(Equal([]int{202, 202}))
	},
	"trailers": func(ctx SpecContext) {
		b := try(ctx, new(ask), step{Do: write, N: 10}, step{Do: lateTrailer, Name: "X-Late", Values: []string{"1"}})
		Expect([]http.Header{b.direct.Trailer, b.through.Trailer}).To(Equal([]http.Header{nil, {"X-Late": {"1"}}}))
		b = try(ctx, &ask{Chunk: 10, Trailer: []string{"Cache-Control: no-store", "X-Sum: 1"}}, step{Do: readAll})
		Expect(b.directObserved.steps[1]).To(Equal("trailer map[Cache-Control:[no-store] X-Sum:[1]]"))
		Expect(b.throughObserved.steps[1]).To(Equal("trailer map[X-Sum:[1]]"))
	},
	"the length": func(ctx SpecContext) {
		b := try(ctx, new(ask), step{Do: write, N: 5000})
		Expect([]int64{b.direct.Length, b.through.Length}).To(Equal([]int64{-1, 5000}))
	},
	"fields that the gateway says itself": func(ctx SpecContext) {
		day := "Fri, 02 Jan 2026 03:04:05 GMT"
		b := try(ctx, new(ask), step{Do: setHeader, Name: "Date", Values: []string{day}}, step{Do: setHeader, Name: "X-Request-Id", Values: []string{"mine"}})
		Expect(b.direct.Header.Get("Date")).To(Equal(day))
		Expect(b.through.Header.Get("Date")).NotTo(Equal(day))
		Expect(b.direct.Header.Get("X-Request-Id")).To(Equal("mine"))
		Expect(b.through.Header.Get("X-Request-Id")).NotTo(Equal("mine"))
	},
	"failures": func(ctx SpecContext) {
		half := step{Do: write, N: 50}
		try(ctx, new(ask), half, step{Do: fail}).haveProblem(500)
		try(ctx, new(ask), half, step{Do: abort}).haveProblem(502)
		try(ctx, new(ask), step{Do: setHeader, Name: "Content-Length", Values: []string{"100"}}, half).haveProblem(500)
		try(ctx, new(ask), step{Do: setHeader, Name: "X-Odd", Values: []string{"\x01"}}).haveProblem(500) // clients refuse such a field
		b := try(ctx, new(ask), step{Do: writeHeader, N: 799})
		Expect([]int{b.direct.Status, b.through.Status}).To(Equal([]int{799, 500}))
		b = try(ctx, &ask{Method: http.MethodHead}, step{Do: write, N: 5000}, step{Do: fail})
		Expect([]int{b.direct.Status, b.through.Status}).To(Equal([]int{200, 500}))
		b = try(ctx, new(ask), step{Do: write, N: 50_000}, step{Do: fail}) // which has begun
		Expect([]bool{b.direct.Broken, b.through.Broken}).To(Equal([]bool{true, true}))
	},
	"time": func(ctx SpecContext) {
		p := serve(GinkgoTB(), handle(func(_ http.ResponseWriter, r *http.Request) {
			if stella.RequestFromContext(r.Context()) != nil {
				<-r.Context().Done()
			}
		}), []endpoint{{method: http.MethodGet, path: "/a", change: func(e *spec.Endpoint) { e.Limits.TimeoutMS = 50 }}})
		for address, want := range map[string]int{p.direct: 200, p.gateway: 504} {
			Expect(request(ctx, http.MethodGet, address, "/a", http.NoBody).StatusCode).To(Equal(want))
		}
	},
	"flushed answers without a body": func(ctx SpecContext) {
		ended := make(chan struct{}, 2)
		p := serve(GinkgoTB(), handle(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			_ = http.NewResponseController(w).Flush()
			if stella.RequestFromContext(r.Context()) != nil { // behind net/http it would wait for the client to leave
				<-r.Context().Done()
				ended <- struct{}{}
			}
		}), []endpoint{{method: http.MethodGet, path: "/a"}})
		Expect(request(ctx, http.MethodGet, p.gateway, "/a", http.NoBody).StatusCode).To(Equal(http.StatusNoContent))
		Eventually(ended).WithContext(ctx).Should(Receive())
		Expect(request(ctx, http.MethodHead, p.gateway, "/a", http.NoBody).StatusCode).To(Equal(http.StatusNoContent))
		Eventually(ended).WithContext(ctx).Should(Receive())
		flushed := make(chan error, 1) // the call may be over before the flush returns, which is no error
		p = serve(GinkgoTB(), handle(func(w http.ResponseWriter, _ *http.Request) { flushed <- http.NewResponseController(w).Flush() }),
			[]endpoint{{method: http.MethodGet, path: "/a"}})
		for range 100 {
			Expect(request(ctx, http.MethodHead, p.gateway, "/a", http.NoBody).StatusCode).To(Equal(http.StatusOK))
			Expect(<-flushed).To(Succeed())
		}
	},
	"more than declared": func(ctx SpecContext) {
		b := try(ctx, new(ask), step{Do: setHeader, Name: "Content-Length", Values: []string{"513"}}, step{Do: copyFrom, N: 5000})
		Expect(b.directObserved.steps[0]).To(Equal("copy from 5000 <nil>"))
		Expect(b.throughObserved.steps[0]).To(HaveSuffix(http.ErrContentLength.Error()))
	},
	"names": func(_ SpecContext) {
		p := serve(GinkgoTB(), handle(func(w http.ResponseWriter, _ *http.Request) { w.Header()["x-lower"] = []string{"1"} }),
			[]endpoint{{method: http.MethodGet, path: "/a"}})
		for address, want := range map[string]string{p.direct: "\r\nx-lower: 1\r\n", p.gateway: "\r\nX-Lower: 1\r\n"} {
			conn := connect(address)
			say(conn, "GET /a HTTP/1.1\r\nHost: "+authority+"\r\nConnection: close\r\n\r\n")
			Expect(io.ReadAll(conn)).To(ContainSubstring(want))
		}
	},
	"`http.FileServer`": func(ctx SpecContext) {
		files := http.FileServerFS(fstest.MapFS{"docs/index.html": {Data: []byte("the page")}})
		p := serve(GinkgoTB(), files, []endpoint{{method: http.MethodGet, path: "/{rest...}"}})
		for target, want := range map[string][2]int{
			"/docs/": {http.StatusOK, http.StatusNotFound}, "/docs": {http.StatusOK, http.StatusNotFound}, // a redirect to the first
			"/docs/index.html": {http.StatusOK, http.StatusNotFound}, // as well
		} {
			Expect(request(ctx, http.MethodGet, p.direct, target, http.NoBody).StatusCode).To(Equal(want[0]), target)
			Expect(request(ctx, http.MethodGet, p.gateway, target, http.NoBody).StatusCode).To(Equal(want[1]), target)
		}
	},
	"taking the connection over": func(ctx SpecContext) {
		can := make(chan bool, 1)
		p := serve(GinkgoTB(), handle(func(w http.ResponseWriter, _ *http.Request) {
			_, hijacks := w.(http.Hijacker)
			can <- hijacks
		}), []endpoint{{method: http.MethodGet, path: "/a"}})
		for address, want := range map[string]bool{p.direct: true, p.gateway: false} {
			Expect(request(ctx, http.MethodGet, address, "/a", http.NoBody).StatusCode).To(Equal(200))
			Eventually(can).WithContext(ctx).Should(Receive(Equal(want)))
		}
	},
}

var _ = Describe("docs/bridge.md", func() {
	It("lists the differences that there are, and no others", func() {
		page, err := os.ReadFile("../../docs/bridge.md")
		Expect(err).NotTo(HaveOccurred())
		_, table, found := strings.Cut(string(page), "\n## What differs\n")
		Expect(found).To(BeTrue())
		table, _, _ = strings.Cut(table, "\n## ")
		var rows, specs []string
		for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(table, -1) {
			if row[1] != "what" { // the head
				rows = append(rows, row[1])
			}
		}
		for row := range differences {
			specs = append(specs, row)
		}
		Expect(rows).To(ConsistOf(specs))
	})

	for _, row := range slices.Sorted(maps.Keys(differences)) {
		It("is right about "+row, differences[row], NodeTimeout(2*patience))
	}
})
