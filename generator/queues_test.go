package generator_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

const preamble = `// Package jobs has endpoints whose calls wait in a queue.
//
//stella:service jobs version=1.0.0
package jobs

import (
	"context"
	"iter"
	"net/http"

	"github.com/stella-ops/router/runtime"
)

var _ iter.Seq2[*http.Request, *stella.Request]
`

// queuedCase is one endpoint with delivery=queue: how it is written, and what package spec has to say about it.
type queuedCase struct {
	directive string
	signature string
	want      spec.Endpoint
}

// choice is one way to write a part of an endpoint, and what that means.
type choice struct {
	text string
	set  func(*spec.Endpoint)
}

// queuedCases are all combinations of everything that a queue depends on, on either side of each limit.
func queuedCases() []queuedCase {
	nothing := choice{"", func(*spec.Endpoint) {}}
	var methods []choice
	for _, m := range spec.Methods {
		methods = append(methods, choice{m, func(e *spec.Endpoint) {
			e.Method, e.Idempotent = m, m == "GET" || m == "HEAD"
		}})
	}
	timeout := func(d time.Duration) choice {
		return choice{" timeout=" + d.String(), func(e *spec.Endpoint) { e.Limits.TimeoutMS = d.Milliseconds() }}
	}
	lease := func(d time.Duration) choice {
		return choice{" lease=" + d.String(), func(e *spec.Endpoint) { e.Queue.LeaseMS = d.Milliseconds() }}
	}
	raw := "(context.Context, *stella.Request, *stella.Response) error { return nil }"
	stream := func(s spec.Streaming) choice {
		return choice{" stream=" + string(s) + "\n" + raw, func(e *spec.Endpoint) { e.Kind, e.Stream = spec.KindRaw, s }}
	}
	parts := [][]choice{
		methods,
		{nothing, {" idempotent", func(e *spec.Endpoint) { e.Idempotent = true }}},
		{nothing, timeout(time.Minute), timeout(time.Minute + time.Millisecond), timeout(25 * time.Minute), timeout(time.Hour)},
		{nothing, lease(time.Second), lease(30 * time.Second), lease(25 * time.Minute)},
		{nothing, {" attempts=100", func(e *spec.Endpoint) { e.Queue.Attempts = 100 }}},
		{
			nothing,
			{" body=4096KiB", func(e *spec.Endpoint) { e.Limits.MaxBodyBytes = 4096 << 10 }},
			{" body=4097KiB", func(e *spec.Endpoint) { e.Limits.MaxBodyBytes = 4097 << 10 }},
		},
		{
			{"\n(context.Context) error { return nil }", func(*spec.Endpoint) {}},
			{"\n(context.Context) (iter.Seq2[int, error], error) { return nil, nil }", func(e *spec.Endpoint) { e.Kind, e.Stream = spec.KindStream, spec.StreamResponse }},
			{"\n(http.ResponseWriter, *http.Request) {}", func(e *spec.Endpoint) { e.Kind = spec.KindHTTP }},
			stream(spec.StreamNone), stream(spec.StreamRequest), stream(spec.StreamBoth),
		},
	}
	cases := []queuedCase{{}}
	for _, choices := range parts {
		var next []queuedCase
		for _, c := range cases {
			for _, it := range choices {
				d, signature, _ := strings.Cut(it.text, "\n")
				n := queuedCase{c.directive + d, c.signature + signature, c.want}
				if c.directive == "" {
					n.directive += " /PATH delivery=queue"
					n.want = spec.Endpoint{Kind: spec.KindTyped, Stream: spec.StreamNone, Limits: spec.DefaultLimits}
				}
				q := spec.DefaultQueueing
				if c.want.Queue != nil {
					q = *c.want.Queue
				}
				n.want.Queue = &q
				it.set(&n.want)
				next = append(next, n)
			}
		}
		cases = next
	}
	return cases
}

// generated runs the generator on a package of these endpoints. It returns their numbers by the rules of their findings,
// and the manifest if there are none.
func generated(ctx SpecContext, cases []queuedCase) (map[diagnostic.ID]map[int]bool, *spec.Manifest) {
	GinkgoHelper()
	const lines = 4 // of each endpoint
	var src strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&src, "\n//stella:endpoint %s\n//stella:public \"x\"\nfunc F%d%s\n", strings.Replace(c.directive, "/PATH", fmt.Sprintf("/%d", i), 1), i, c.signature)
	}
	findings, files := generate(ctx, src.String())
	found := map[diagnostic.ID]map[int]bool{}
	for _, f := range findings {
		if found[f.Rule] == nil {
			found[f.Rule] = map[int]bool{}
		}
		found[f.Rule][(f.Pos.Line-strings.Count(preamble, "\n")-1)/lines] = true
	}
	if len(findings) > 0 {
		return found, nil
	}
	manifest, err := spec.ParseManifest([]byte(files[wantPrefix+"stella.manifest.json"]))
	Expect(err).NotTo(HaveOccurred())
	return nil, manifest
}

// generate runs the generator on the package that begins with the preamble and goes on like this. That it has nothing
// against what the manifest's check refuses is an error, and fails.
func generate(ctx SpecContext, rest string) ([]diagnostic.Finding, map[string]string) {
	GinkgoHelper()
	dir, err := filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/jobs\n\ngo 1.26\n"), 0o600)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "jobs.go"), []byte(preamble+rest), 0o600)).To(Succeed())
	target := &memory{dir: dir, files: map[string]string{}}
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: environment(), Patterns: []string{"."}}, target)
	Expect(err).NotTo(HaveOccurred())
	return findings.List, target.files
}

var _ = Describe("an endpoint with a queue", func() {
	It("is written only where a gateway takes it, and refused only where no gateway would", func(ctx SpecContext) {
		cases := queuedCases()
		found, _ := generated(ctx, cases)
		rules := slices.Sorted(maps.Keys(found))
		Expect(rules).To(Equal([]diagnostic.ID{diagnostic.Streaming, diagnostic.Queueing}))
		var good []queuedCase
		refusals := map[string]int{}
		for i, c := range cases {
			err := c.want.Unqueueable()
			if found[diagnostic.Queueing][i] != (err != nil) {
				Fail(fmt.Sprintf("%s %s: the generator refuses it: %t; package spec: %v", c.directive, c.signature, found[diagnostic.Queueing][i], err))
			}
			if err != nil {
				refusals[err.Error()]++
			}
			if err == nil && !found[diagnostic.Streaming][i] {
				good = append(good, c)
			}
		}
		Expect(len(good)).To(BeNumerically(">", 100))
		Expect(len(refusals)).To(BeNumerically(">", 7), "every condition is met by some")

		_, m := generated(ctx, good)
		Expect(m).NotTo(BeNil())
		Expect(m.Endpoints).To(HaveLen(len(good)))
		for _, e := range m.Endpoints {
			var i int
			Expect(fmt.Sscanf(e.Path, "/%d", &i)).To(Equal(1))
			want := good[i].want
			Expect(e.Queue).To(Equal(want.Queue), good[i].directive)
			Expect([]any{e.Method, e.Kind, e.Stream, e.Idempotent, e.Limits}).To(
				Equal([]any{want.Method, want.Kind, want.Stream, want.Idempotent, want.Limits}), good[i].directive)
		}
	}, NodeTimeout(compileTimeout))

})

// The conditions of a queue are above; these are the others that an author can break.
var _ = Describe("what a manifest's check refuses", func() {
	It("leaves schemas that nest as deep as they may", func(ctx SpecContext) {
		findings, _ := generate(ctx, nested(spec.MaxSchemaDepth-1))
		Expect(findings).To(BeEmpty())
	})

	DescribeTable("is a finding before", func(ctx SpecContext, rule diagnostic.ID, src string) {
		findings, _ := generate(ctx, src)
		Expect(findings).To(ContainElement(HaveField("Rule", rule)))
	},
		Entry("a path of the gateway's", diagnostic.BadValue, endpoint("POST /_stella/x", "", plain)),
		Entry("a path that is none", diagnostic.BadValue, endpoint("POST x", "", plain)),
		Entry("more path parameters than a REQUEST has", diagnostic.BadValue, endpoint("POST "+params(129), "", "(http.ResponseWriter, *http.Request) {}")),
		Entry("more claims than a REQUEST has", diagnostic.BadValue, endpoint("POST /x", claims(129), plain)),
		Entry("a claim with a control character", diagnostic.BadValue, endpoint("POST /x", "//stella:claim \"a\\x7f\"\n", plain)),
		Entry("a claim without a type", diagnostic.BadValue, endpoint("POST /x", "//stella:claim \"\"\n", plain)),
		Entry("claims and a reason", diagnostic.Authorization, endpoint("POST /x", "//stella:claim a\n//stella:public b\n", plain)),
		Entry("another method", diagnostic.BadValue, endpoint("TRACE /x", "", plain)),
		Entry("a status that is none", diagnostic.BadValue, endpoint("POST /x status=600", "", plain)),
		Entry("no body at all", diagnostic.BadValue, endpoint("POST /x body=0B", "", plain)),
		Entry("a body over a TiB", diagnostic.BadValue, endpoint("POST /x body=1025GiB", "", plain)),
		Entry("a timeout over a day", diagnostic.BadValue, endpoint("POST /x timeout=25h", "", plain)),
		Entry("no idle time", diagnostic.BadValue, endpoint("POST /x idle=0s", "", plain)),
		Entry("a header that is none", diagnostic.BadTag, endpoint("POST /x", "", taking+"A string `header:\"a b\"` }")),
		Entry("a header twice", diagnostic.BadTag, endpoint("POST /x", "", taking+"A string `header:\"a-b\"`; B string `header:\"A-B\"` }")),
		Entry("a path parameter that the path lacks", diagnostic.PathField, endpoint("POST /x", "", taking+"A string `path:\"a\"` }")),
		Entry("two endpoints in one", diagnostic.SameEndpoint, endpoint("POST /x", "", plain)+
			strings.Replace(endpoint("POST /x", "", plain), "func F", "func G", 1)),
		Entry("a schema that nests without a name", diagnostic.FieldType, nested(spec.MaxSchemaDepth)),
	)
})

// Signatures of handlers, for endpoint: one that takes nothing, and one that is followed by the fields of what it takes.
const (
	plain  = "(context.Context) error { return nil }"
	taking = "(_ context.Context, _ *In) error { return nil }\n\ntype In struct { "
)

// endpoint is the source of one, which says that it is public unless authorization says something else.
func endpoint(args, authorization, signature string) string {
	if authorization == "" {
		authorization = "//stella:public \"x\"\n"
	}
	return "\n//stella:endpoint " + args + "\n" + authorization + "func F" + signature + "\n"
}

// nested is an endpoint whose input has so many slices in each other.
func nested(n int) string {
	return endpoint("POST /x", "", taking+"A "+strings.Repeat("[]", n)+"int }")
}

func params(n int) string {
	var path strings.Builder
	for i := range n {
		fmt.Fprintf(&path, "/{p%d}", i)
	}
	return path.String()
}

func claims(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "//stella:claim c%d\n", i)
	}
	return lines.String()
}
