package e2e

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/gateway"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/otel"
)

// span is one that a collector was sent, and the name of the service that sent it.
type span struct {
	*tracepb.Span

	from string
}

// attribute is one of a span's, as text.
func (s span) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.GetKey() == key {
			return strings.Trim(a.GetValue().String(), `"`)
		}
	}
	return ""
}

// spans is a collector: it takes what OTLP over HTTP brings.
type spans struct {
	mu   sync.Mutex
	all  []span
	keys []string // Authorization of requests
}

func (c *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer GinkgoRecover()
	Expect(r.URL.Path).To(Equal("/v1/traces"))
	body, err := io.ReadAll(r.Body)
	Expect(err).NotTo(HaveOccurred())
	var sent collector.ExportTraceServiceRequest
	Expect(proto.Unmarshal(body, &sent)).To(Succeed())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, r.Header.Get("Authorization"))
	for _, of := range sent.GetResourceSpans() {
		name := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				name = a.GetValue().GetStringValue()
			}
		}
		for _, in := range of.GetScopeSpans() {
			for _, s := range in.GetSpans() {
				c.all = append(c.all, span{s, name})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// of are the spans of a trace, by who sent them.
func (c *spans) of(trace string) map[string]span {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]span{}
	for _, s := range c.all {
		if hex.EncodeToString(s.TraceId) == trace {
			found[s.from] = s
		}
	}
	return found
}

var _ = Describe("traces", func() {
	const trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

	var (
		sent *spans
		url  string
	)
	BeforeEach(func() {
		forbidLeaks()
		sent = &spans{}
		at := httptest.NewServer(sent)
		DeferCleanup(func() {
			at.CloseClientConnections()
			at.Close()
		})
		GinkgoT().Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at.URL)
		GinkgoT().Setenv("OTEL_BSP_SCHEDULE_DELAY", "50") // milliseconds between two batches
		p, log := newPart("gateway")
		g, err := gateway.New(gateway.Config{
			HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Listen: []string{"tcp://127.0.0.1:0"}, Logger: log,
			Traces: gateway.Traces{Endpoint: at.URL, Headers: map[string]string{"Authorization": "a secret"}, OneIn: 1},
		})
		Expect(err).NotTo(HaveOccurred())
		p.run(g.Serve)
		exporter, err := otel.Export(context.Background(), "fixture", "1.0.0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(exporter.Close()).To(Succeed()) })
		s, log := newPart("fixture")
		svc, err := fixture.Variant{}.New(stella.WithLogger(log), stella.WithGateways(g.ListenAddrs()[0]), otel.Traces(exporter.Provider()))
		Expect(err).NotTo(HaveOccurred())
		s.run(svc.Run)
		url = "http://" + g.HTTPAddr()
		Eventually(func() int { return call(http.MethodGet, url+"/headers", "").StatusCode }).Should(Equal(http.StatusOK))
	})

	It("go from the client through the gateway to the handler", func() {
		call(http.MethodGet, url+"/items/7?secret=1", "", header("traceparent", "00-"+trace+"-"+caller+"-01"), header("tracestate", "vendor=value"))
		Eventually(sent.of).WithArguments(trace).WithTimeout(patience).Should(HaveLen(2))
		front, back := sent.of(trace)["stella-gateway"], sent.of(trace)["fixture"]
		Expect(hex.EncodeToString(front.ParentSpanId)).To(Equal(caller))
		Expect(front.TraceState).To(Equal("vendor=value"))
		Expect(front.Name).To(Equal("GET /items/{id}"))
		Expect(front.Kind).To(Equal(tracepb.Span_SPAN_KIND_SERVER))
		Expect(front.attribute("stella.service")).To(ContainSubstring("fixture"))
		Expect(front.attribute("http.response.status_code")).To(ContainSubstring("200"))
		Expect(front.String()).NotTo(ContainSubstring("secret"), "queries stay out of traces")
		Expect(back.ParentSpanId).To(Equal(front.SpanId))
		Expect(back.Name).To(Equal("GET /items/{id}"))
		Expect(back.attribute("stella.request_id")).To(Equal(front.attribute("stella.request_id")))
		Expect(back.StartTimeUnixNano).To(BeNumerically(">=", front.StartTimeUnixNano))
		Expect(back.EndTimeUnixNano).To(BeNumerically("<=", front.EndTimeUnixNano))
		Expect(sent.keys).To(ContainElement("a secret"))
	})

	It("say what failed", func() {
		Expect(call(http.MethodPost, url+"/panic", "", header("traceparent", "00-"+trace+"-"+caller+"-01")).StatusCode).To(Equal(500))
		Eventually(sent.of).WithArguments(trace).WithTimeout(patience).Should(HaveLen(2))
		for _, s := range sent.of(trace) {
			Expect(s.Status.GetCode()).To(Equal(tracepb.Status_STATUS_CODE_ERROR))
			Expect(s.attribute("http.response.status_code")).To(ContainSubstring("500"))
		}
	})

	It("are left alone where the client says so", func() {
		call(http.MethodGet, url+"/items/7", "", header("traceparent", "00-"+trace+"-"+caller+"-00"))
		other := strings.Replace(trace, "4", "5", 1)
		call(http.MethodGet, url+"/items/7", "", header("traceparent", "00-"+other+"-"+caller+"-01"))
		Eventually(sent.of).WithArguments(other).WithTimeout(patience).Should(HaveLen(2))
		Expect(sent.of(trace)).To(BeEmpty(), "it ended before the other")
	})

	It("begin at the gateway where the client has none", func() {
		Eventually(func() (found int) {
			sent.mu.Lock()
			defer sent.mu.Unlock()
			for _, s := range sent.all {
				if s.from == "fixture" && s.Name == "GET /headers" {
					found++
				}
			}
			return found
		}).WithTimeout(patience).Should(BeNumerically(">", 0))
	})
})
