package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stella-ops/router/generator/artifact/example"
)

// odd is what the names of components in OpenAPI, and so those of the definitions, do not have.
var odd = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

var _ = Describe("an example", func() {
	for name := range manifests {
		It("of each type of "+name+" is one", func() {
			m := manifest(name)
			compiler := schemas(export("jsonschema", m))
			for _, schema := range slices.Sorted(maps.Keys(m.Schemas)) {
				of, err := example.Of(m, m.Schemas[schema])
				Expect(err).NotTo(HaveOccurred(), schema)
				text, err := json.Marshal(of)
				Expect(err).NotTo(HaveOccurred())
				compiled, err := compiler.Compile("schema.json#/$defs/" + odd.ReplaceAllString(schema, "_"))
				Expect(err).NotTo(HaveOccurred())
				value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
				Expect(err).NotTo(HaveOccurred())
				Expect(compiled.Validate(value)).To(Succeed(), "%s: %s", schema, text)
			}
		})
	}
})

// send makes the requests of an .http file as editors do, and returns what was answered, by method and target.
func send(ctx context.Context, file []byte, variables map[string]string) map[string]int {
	GinkgoHelper()
	text := string(file)
	for _, found := range regexp.MustCompile(`(?m)^@(\w+) = (.*)$`).FindAllStringSubmatch(text, -1) {
		if _, given := variables[found[1]]; !given {
			variables[found[1]] = found[2]
		}
	}
	for name, value := range variables {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	Expect(text).NotTo(ContainSubstring("{{"))
	answers := map[string]int{}
	_, requests, _ := strings.Cut(text, "\n### ")
	for request := range strings.SplitSeq(requests, "\n### ") {
		_, request, _ = strings.Cut(request, "\n")
		head, body, _ := strings.Cut(request, "\n\n")
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(head), "\n"), func(line string) bool { return strings.HasPrefix(line, "#") })
		method, target, _ := strings.Cut(lines[0], " ")
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		req, err := http.NewRequestWithContext(one, method, target, strings.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ": ")
			req.Header.Add(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		Expect(err).NotTo(HaveOccurred(), lines[0])
		_, _ = io.Copy(io.Discard, resp.Body) // a stream goes on until its time is over
		Expect(resp.Body.Close()).To(Succeed())
		cancel()
		answers[method+" "+req.URL.Path] = resp.StatusCode
	}
	return answers
}

var _ = Describe("the .http file", func() {
	It("of billing is sent, and answered as it should be", func(ctx SpecContext) {
		s := startStack(false)
		Expect(send(ctx, export("http", manifest("billing")), map[string]string{"host": s.url, "token": s.token})).To(Equal(map[string]int{
			"GET /billing/status": 200, "GET /invoices": 200, "POST /invoices": 201, "GET /invoices/example": 404,
			"GET /invoices/example/attachments/example": 404, "PUT /invoices/example/attachments/example": 404, "GET /invoices/example/events": 404,
			"GET /legacy/report": 200, "POST /reports": 503, "GET /reports/currencies": 200, // 503: this gateway has no queue
		}))
		http.DefaultClient.CloseIdleConnections()
	}, NodeTimeout(2*patience))
})
