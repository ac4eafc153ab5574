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

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stella-ops/router/generator/artifact/example"
	"github.com/stella-ops/router/spec"
)

// httpCall is one request of an .http file.
type httpCall struct {
	name, method, url string
	header            http.Header
	body              string
}

var (
	httpVariable = regexp.MustCompile(`^@(\w+) = (.*)$`)
	httpName     = regexp.MustCompile(`^# @name (\w+)$`)
	httpRequest  = regexp.MustCompile(`^([A-Z]+) (\S+)$`)
	httpHeader   = regexp.MustCompile(`^([\w-]+): (.*)$`)
	httpUse      = regexp.MustCompile(`\{\{(.*?)\}\}`)
)

// readHTTP reads an .http file as the editors do: requests are apart by ###, lines with # before a request are comments, and
// {{name}} is a variable. set replaces the values of variables in the file.
func readHTTP(text []byte, set map[string]string) []*httpCall {
	GinkgoHelper()
	variables := map[string]string{}
	var calls []*httpCall
	for i, block := range regexp.MustCompile(`(?m)^###.*\n`).Split(string(text), -1) {
		head, body, _ := strings.Cut(strings.TrimSpace(block), "\n\n")
		if i == 0 { // before the first request there are variables
			for line := range strings.Lines(block) {
				if m := httpVariable.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
					variables[m[1]] = m[2]
				}
			}
			for name, value := range set {
				Expect(variables).To(HaveKey(name))
				variables[name] = value
			}
			continue
		}
		use := func(text string) string {
			return httpUse.ReplaceAllStringFunc(text, func(u string) string {
				Expect(variables).To(HaveKey(u[2 : len(u)-2]))
				return variables[u[2:len(u)-2]]
			})
		}
		c := &httpCall{header: http.Header{}, body: use(body)}
		for line := range strings.SplitSeq(head, "\n") {
			if m := httpName.FindStringSubmatch(line); m != nil {
				c.name = m[1]
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			if c.method == "" {
				m := httpRequest.FindStringSubmatch(line)
				Expect(m).NotTo(BeNil(), line)
				c.method, c.url = m[1], use(m[2])
				continue
			}
			m := httpHeader.FindStringSubmatch(line)
			Expect(m).NotTo(BeNil(), line)
			c.header.Set(m[1], use(m[2]))
		}
		if strings.HasPrefix(c.header.Get("Content-Type"), "multipart/") {
			c.body = strings.ReplaceAll(c.body, "\n", "\r\n")
		}
		calls = append(calls, c)
	}
	return calls
}

// do makes the call, and returns the status, the header and what came of the body. Of a stream, one line is enough.
func (c *httpCall) do(ctx context.Context) (status int, header http.Header, body string) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, strings.NewReader(c.body))
	Expect(err).NotTo(HaveOccurred())
	req.Header = c.header
	resp, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		line := make([]byte, 64)
		n, err := resp.Body.Read(line)
		Expect(err).NotTo(HaveOccurred())
		return resp.StatusCode, resp.Header, string(line[:n])
	}
	raw, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, resp.Header, string(raw)
}

// found is the call of this name.
func found(calls []*httpCall, name string) *httpCall {
	GinkgoHelper()
	for _, c := range calls {
		if c.name == name {
			return c
		}
	}
	Fail("the file has no call " + name)
	return nil
}

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

var _ = Describe("the .http file", func() {
	for name := range manifests {
		It("of "+name+" has a call of each endpoint, with a body that its schema allows", func() {
			m := manifest(name)
			calls := readHTTP(export("http", m), map[string]string{"host": "http://gateway"})
			Expect(calls).To(HaveLen(len(m.Endpoints)))
			compiler := schemas(export("jsonschema", m))
			names := map[string]bool{}
			for i, c := range calls {
				e := m.Endpoints[i]
				Expect(c.method).To(Equal(e.Method))
				Expect(c.url).To(MatchRegexp("^http://gateway" + regexp.MustCompile(`\\\{\w+(\\\.\\\.\\\.)?\\\}`).
					ReplaceAllString(regexp.QuoteMeta(e.Path), `[^/{}]+`) + `(\?.*)?$`))
				Expect(c.header.Values("Authorization")).To(HaveLen(min(1, len(e.Claims))))
				Expect(names).NotTo(HaveKey(c.name))
				names[c.name] = true
				if c.header.Get("Content-Type") != "application/json" {
					continue
				}
				schema, err := compiler.Compile("schema.json#/$defs/" + strings.ToLower(c.name[:1]) + c.name[1:] + ".request")
				Expect(err).NotTo(HaveOccurred())
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(c.body))
				Expect(err).NotTo(HaveOccurred())
				Expect(schema.Validate(value)).To(Succeed())
			}
		})
	}

	It("of billing is run against a gateway, and every call is one that billing takes", func(ctx SpecContext) {
		s := startStack(true)
		m := manifest("billing")
		set := map[string]string{"host": s.url, "token": s.token}
		text := export("http", m)
		calls := readHTTP(text, set)
		for i, c := range calls { // as it is, of an invoice that there is not
			e := m.Endpoints[i]
			status, _, body := c.do(ctx)
			switch {
			case e.Queue != nil:
				Expect(status).To(Equal(http.StatusAccepted), "%s: %s", c.name, body)
			case strings.Contains(e.Path, "{"):
				var problem spec.Problem
				Expect(json.Unmarshal([]byte(body), &problem)).To(Succeed(), "%s: %s", c.name, body)
				Expect(problem.Origin).To(Equal("service"), "%s: %s", c.name, body)
				Expect(problem.Code).To(Equal("unknown_invoice"), "%s: %s", c.name, body)
			default:
				Expect(status).To(Equal(e.Status), "%s: %s", c.name, body)
			}
		}
		_, header, _ := found(calls, "CreateInvoice").do(ctx)
		there := readHTTP(bytes.ReplaceAll(text, []byte("/invoices/example"), []byte(header.Get("Location"))), set)
		for _, name := range []string{"GetInvoice", "Attach", "Attachment", "Watch"} {
			status, _, body := found(there, name).do(ctx)
			Expect(status).To(BeNumerically("<", 300), "%s: %s", name, body)
			Expect(body).NotTo(BeEmpty(), name)
		}
		_, _, body := found(there, "Attachment").do(ctx)
		Expect(body).To(Equal(found(there, "Attach").body))
	})
})
