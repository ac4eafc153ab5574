package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tcp"
)

func TestEdge(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Edge")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

// atOnce bounds what must not wait for anything: less than the second that a connection lingers, and as much as a busy
// machine may need.
const atOnce = 950 * time.Millisecond

var names atomic.Int64

// rig is a gateway and whoever talks to it. Everything ends with the spec, which must leave no goroutine.
type rig struct {
	g      *gateway.Gateway
	client *http.Client
	log    *gbytes.Buffer
	stop   func()
}

func start(change ...func(*gateway.Config)) *rig {
	GinkgoHelper()
	before := gleak.Goroutines()
	log := gbytes.NewBuffer()
	cfg := gateway.Config{
		HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Listen: []string{fmt.Sprintf("inmemory://edge-%d", names.Add(1))},
		Grace: patience, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	g, err := gateway.New(cfg)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx) }()
	transport := &http.Transport{DisableCompression: true}
	r := &rig{g: g, client: &http.Client{Transport: transport}, log: log}
	r.stop = sync.OnceFunc(func() {
		cancel()
		Eventually(served).WithTimeout(2 * patience).Should(Receive(BeNil()))
	})
	DeferCleanup(func() {
		transport.CloseIdleConnections()
		r.stop()
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return r
}

func (r *rig) url(path string) string { return "http://" + r.g.HTTPAddr() + path }

// endpoint describes an endpoint; mods change what is not the default.
func endpoint(method, path string, mods ...func(*spec.Endpoint)) spec.Endpoint {
	e := spec.Endpoint{
		Method: method, Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone,
		Public: "a test", Limits: spec.DefaultLimits,
	}
	pattern, err := spec.ParsePattern(path)
	Expect(err).NotTo(HaveOccurred())
	for _, name := range pattern.Params() {
		e.Params = append(e.Params, spec.Param{Name: name, In: spec.InPath, Required: true, Schema: &spec.Schema{Type: "string"}})
	}
	for _, f := range mods {
		f(&e)
	}
	return e
}

func streams(e *spec.Endpoint) { e.Stream = spec.StreamBoth }
func claims(list ...string) func(*spec.Endpoint) {
	return func(e *spec.Endpoint) {
		e.Public = ""
		for _, c := range list {
			kind, value, _ := strings.Cut(c, "=")
			e.Claims = append(e.Claims, spec.ClaimRequirement{Type: kind, Value: value})
		}
	}
}
func limits(l spec.Limits) func(*spec.Endpoint) {
	return func(e *spec.Endpoint) { e.Limits = l.WithDefaults() }
}

// member is one instance of a service.
type member struct {
	*session.Service

	tap *tap
}

// tap counts the frames that a service receives.
type tap struct {
	transports.Link

	mu     sync.Mutex
	frames []spec.Header
}

func (t *tap) ReadFrame() (*transports.Frame, error) {
	f, err := t.Link.ReadFrame()
	if err == nil {
		t.mu.Lock()
		t.frames = append(t.frames, f.Header())
		t.mu.Unlock()
	}
	return f, err
}

// received returns the headers of the frames of a type.
func (t *tap) received(kind spec.FrameType) []spec.Header {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []spec.Header
	for _, h := range t.frames {
		if h.Type == kind {
			found = append(found, h)
		}
	}
	return found
}

// identity is who joins.
type identity struct {
	service, version, id, region string
	supersedes                   string // the secret of the session that it replaces
	lease                        int
	trailers                     bool // it takes TRAILERS, which those of old do not
}

// join connects an instance that offers endpoints, and waits until the gateway knows it.
func (r *rig) join(who identity, serve func(*session.Incoming), endpoints ...spec.Endpoint) *member {
	GinkgoHelper()
	if who.service == "" {
		who.service = "test"
	}
	if who.version == "" {
		who.version = "1.0.0"
	}
	if who.id == "" {
		who.id = fmt.Sprintf("i%d", names.Add(1))
	}
	if who.lease == 0 {
		who.lease = 64
	}
	m := &spec.Manifest{Service: who.service, Version: who.version, Endpoints: slices.Clone(endpoints)}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	link, err := transports.Dial(ctx, r.g.ListenAddrs()[0])
	Expect(err).NotTo(HaveOccurred())
	tapped := &tap{Link: link}
	var features []spec.Feature
	if who.trailers {
		features = []spec.Feature{{Name: spec.FeatureTrailers}}
	}
	s, err := session.Open(ctx, tapped, session.ServiceConfig{
		Hello: spec.Hello{
			Instance: spec.Instance{Service: who.service, Version: who.version, ID: who.id, Region: who.region}, Lease: who.lease,
			Supersedes: who.supersedes, Features: features,
		},
		Manifest: manifest, Serve: serve,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	Eventually(func() bool {
		for _, v := range r.g.Registry().Services() {
			for _, in := range v.Instances {
				if in.ID == who.id {
					return true
				}
			}
		}
		return false
	}).WithTimeout(patience).Should(BeTrue())
	return &member{s, tapped}
}

// echo answers with the request's body.
func echo(in *session.Incoming) {
	body, err := io.ReadAll(in)
	if err != nil {
		return
	}
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, body)
}

// describe answers with what reached the service, a line each.
func describe(in *session.Incoming) {
	q := in.Request()
	var b strings.Builder
	fmt.Fprintf(&b, "method=%s\nparams=%q\npath=%s\nquery=%s\nauthority=%s\nid=%s\n", q.Method, q.Params, q.Path, q.Query, q.Authority, q.ID)
	fmt.Fprintf(&b, "trace=%x-%x-%x %s\n", q.Trace.TraceID, q.Trace.SpanID, q.Trace.Flags, q.Trace.State)
	if q.Identity != nil {
		fmt.Fprintf(&b, "subject=%s tenant=%s claims=%v\n", q.Identity.Subject, q.Identity.Tenant, q.Identity.Claims)
	}
	for _, f := range q.Header {
		fmt.Fprintf(&b, "header %s: %s\n", f.Name, f.Value)
	}
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte(b.String()))
}

// answer is a response with its body read.
type answer struct {
	*http.Response

	body string
	err  error // of reading the body
}

func (r *rig) do(method, path, body string, header ...string) answer {
	GinkgoHelper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	return r.send(method, path, reader, header...)
}

func (r *rig) send(method, path string, body io.Reader, header ...string) answer {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, r.url(path), body)
	Expect(err).NotTo(HaveOccurred())
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Add(header[i], header[i+1])
	}
	resp, err := r.client.Do(q)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), err}
}

// raw sends bytes as they are and returns the connection to read from.
func (r *rig) raw(text string) (net.Conn, *bufio.Reader) {
	GinkgoHelper()
	conn, err := net.Dial("tcp", r.g.HTTPAddr())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
	_, err = io.WriteString(conn, text)
	Expect(err).NotTo(HaveOccurred())
	return conn, bufio.NewReader(conn)
}

// status reads one response from a raw connection.
func status(r *bufio.Reader) int {
	GinkgoHelper()
	resp, err := http.ReadResponse(r, nil)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode
}
