package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
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
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tcp"
)

func TestGateway(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Gateway")
}

const patience = 5 * time.Second

func config(log io.Writer) gateway.Config {
	return gateway.Config{
		HTTP: "127.0.0.1:0", Listen: []string{"tcp://127.0.0.1:0"}, Admin: "127.0.0.1:0", Grace: patience, Node: "node",
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// running is a gateway that serves, and what Serve returned.
type running struct {
	*gateway.Gateway

	cancel context.CancelFunc
	served chan error
}

func run(cfg gateway.Config) *running {
	GinkgoHelper()
	before := gleak.Goroutines()
	g, err := gateway.New(cfg)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{g, cancel, make(chan error, 1)}
	go func() { r.served <- g.Serve(ctx) }()
	DeferCleanup(func() {
		cancel()
		Expect(g.Close()).To(Succeed())
		http.DefaultClient.CloseIdleConnections()
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return r
}

// counts waits until the metrics have a line: what is refused is counted after the other end has been told.
func (r *running) counts(line string) {
	GinkgoHelper()
	Eventually(func() string {
		_, body := get("http://" + r.AdminAddr() + "/metrics")
		return body
	}).WithTimeout(patience).Should(ContainSubstring(line + "\n"))
}

// join connects a service with GET /a, and waits until it is routed.
func (r *running) join(serve func(*session.Incoming)) *session.Service {
	GinkgoHelper()
	return r.offering(serve, spec.Endpoint{
		Method: "GET", Path: "/a", Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test", Limits: spec.DefaultLimits,
	})
}

// offering connects a service with one endpoint, and waits until it is routed.
func (r *running) offering(serve func(*session.Incoming), e spec.Endpoint) *session.Service {
	GinkgoHelper()
	m := &spec.Manifest{Service: "test", Version: "1.0.0", Endpoints: []spec.Endpoint{e}}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	link, err := transports.Dial(context.Background(), r.ListenAddrs()[0])
	Expect(err).NotTo(HaveOccurred())
	s, err := session.Open(context.Background(), link, session.ServiceConfig{
		Hello: spec.Hello{
			Instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "one"}, Lease: 8, Features: []spec.Feature{{Name: spec.FeatureTrailers}},
		},
		Manifest: manifest, Serve: serve,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	Eventually(r.Registry().Endpoints).WithTimeout(patience).Should(HaveLen(1))
	return s
}

func get(url string) (status int, body string) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	Expect(err).NotTo(HaveOccurred())
	resp, err := http.DefaultClient.Do(q)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, string(b)
}

var _ = Describe("a configuration", func() {
	DescribeTable("that is wrong is refused with the reason, before anything is opened",
		func(change func(*gateway.Config), reason string) {
			cfg := config(GinkgoWriter)
			change(&cfg)
			_, err := gateway.New(cfg)
			Expect(err).To(MatchError(gateway.ErrConfig))
			Expect(err).To(MatchError(ContainSubstring(reason)))
		},
		Entry("an admin address that others reach", func(c *gateway.Config) { c.Admin = "0.0.0.0:0" }, "no authentication"),
		Entry("a listener that others reach", func(c *gateway.Config) { c.Listen = []string{"tcp://0.0.0.0:0"} }, "--token-file"),
		Entry("a listener of no transport", func(c *gateway.Config) { c.Listen = []string{"smoke://x"} }, "no transport of this name"),
		Entry("an address that is none", func(c *gateway.Config) { c.HTTP = "here" }, "not host:port"),
		Entry("development for everybody", func(c *gateway.Config) {
			c.HTTP, c.Dev = ":0", &gateway.Dev{TokenFile: "/dev/null"}
		}, "this machine only"),
		Entry("development without a file", func(c *gateway.Config) { c.Dev = new(gateway.Dev) }, "needs a file"),
		Entry("a region that is no name", func(c *gateway.Config) { c.Region = "eu west" }, `region "eu west", expected up to 128 letters`),
		Entry("a heartbeat that services refuse", func(c *gateway.Config) { c.Heartbeat = time.Hour }, "heartbeatMs 3600000"),
		Entry("a listener with a path", func(c *gateway.Config) { c.Listen = []string{"tcp://127.0.0.1:0/x"} }, "and nothing else"),
		Entry("a listener with a query", func(c *gateway.Config) { c.Listen = []string{"tcp://127.0.0.1:0?x=y"} }, "and nothing else"),
		Entry("a negative grace", func(c *gateway.Config) { c.Grace = -1 }, "negative"),
	)

	It("whose file for the token is a directory is refused, and no key is made", func() {
		dir := GinkgoT().TempDir()
		cfg := config(GinkgoWriter)
		cfg.Dev = &gateway.Dev{TokenFile: filepath.Join(dir, "token")}
		Expect(os.Mkdir(cfg.Dev.TokenFile, 0o700)).To(Succeed())
		_, err := gateway.New(cfg)
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring("is a directory")))
		Expect(cfg.Dev.TokenFile + ".key").NotTo(BeAnExistingFile())
	})

	It("whose port is in use is refused, and gives back what it took", func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		defer l.Close()
		for _, change := range []func(*gateway.Config){
			func(c *gateway.Config) { c.HTTP = l.Addr().String() },
			func(c *gateway.Config) { c.Admin = l.Addr().String() },
			func(c *gateway.Config) { c.Listen = append(c.Listen, "tcp://"+l.Addr().String()) },
		} {
			cfg := config(GinkgoWriter)
			change(&cfg)
			_, err = gateway.New(cfg)
			Expect(err).To(MatchError(ContainSubstring("address already in use")))
			Expect(err).NotTo(MatchError(gateway.ErrConfig))
		}
	})
})

var _ = Describe("the admin address", func() {
	It("says alive, ready, who is connected and what is routed", func() {
		r := run(config(GinkgoWriter))
		r.join(func(*session.Incoming) {})
		admin := "http://" + r.AdminAddr()
		status, _ := get(admin + "/healthz")
		Expect(status).To(Equal(200))
		Eventually(func() int { s, _ := get(admin + "/readyz"); return s }).WithTimeout(patience).Should(Equal(200))

		var services struct {
			Services []map[string]any `json:"services"`
		}
		_, body := get(admin + "/v1/services")
		Expect(json.Unmarshal([]byte(body), &services)).To(Succeed())
		Expect(services.Services).To(HaveLen(1))
		Expect(services.Services[0]).To(HaveKeyWithValue("service", "test"))
		Expect(services.Services[0]["manifestDigest"]).To(HavePrefix("sha256:"))
		Expect(services.Services[0]["instances"]).To(ConsistOf(And(
			HaveKeyWithValue("id", "one"), HaveKeyWithValue("health", "healthy"), HaveKeyWithValue("lease", 8.0))))

		var endpoints struct {
			Endpoints []map[string]any `json:"endpoints"`
		}
		_, body = get(admin + "/v1/endpoints")
		Expect(json.Unmarshal([]byte(body), &endpoints)).To(Succeed())
		Expect(endpoints.Endpoints).To(ConsistOf(And(
			HaveKeyWithValue("path", "/a"), HaveKeyWithValue("public", "a test"), HaveKeyWithValue("instances", 1.0),
			HaveKeyWithValue("selected", true))))

		status, _ = get(admin + "/debug/pprof/cmdline")
		Expect(status).To(Equal(200))
	})
})

var _ = Describe("readiness", func() {
	It("waits for the authority that nobody passes without", func() {
		var up atomic.Bool
		authority := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !up.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"services":{}}`)
		}))
		DeferCleanup(authority.Close)
		cfg := config(GinkgoWriter)
		cfg.Authority = gateway.Authority{Source: authority.URL, Every: time.Second}
		closed := run(cfg)
		Eventually(func() string {
			status, says := get("http://" + closed.AdminAddr() + "/readyz")
			return strconv.Itoa(status) + " " + says
		}).WithTimeout(patience).Should(Equal("503 the authority has not been reached since the start, and nobody passes before\n"))
		_, body := get("http://" + closed.AdminAddr() + "/v1/access")
		Expect(body).To(ContainSubstring(`"awaiting": true`))
		up.Store(true)
		Eventually(func() int { s, _ := get("http://" + closed.AdminAddr() + "/readyz"); return s }).WithTimeout(2 * patience).Should(Equal(200))
		_, body = get("http://" + closed.AdminAddr() + "/v1/access")
		Expect(body).NotTo(ContainSubstring(`"awaiting"`))
	})

	It("does not wait for an authority without which what is declared counts", func() {
		authority := httptest.NewServer(http.NotFoundHandler())
		DeferCleanup(authority.Close)
		cfg := config(GinkgoWriter)
		cfg.Authority = gateway.Authority{Source: authority.URL, Declared: true}
		r := run(cfg)
		Eventually(func() int { s, _ := get("http://" + r.AdminAddr() + "/readyz"); return s }).WithTimeout(patience).Should(Equal(200))
	})
})

var _ = Describe("the address for services", func() {
	DescribeTable("closes a connection that is not a service within 2 seconds, with one log line",
		func(text string) {
			log := gbytes.NewBuffer()
			r := run(config(log))
			conn, err := net.Dial("tcp", r.ListenAddrs()[0][len("tcp://"):])
			Expect(err).NotTo(HaveOccurred())
			defer conn.Close()
			_, err = io.WriteString(conn, text)
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.SetReadDeadline(time.Now().Add(2500 * time.Millisecond))).To(Succeed())
			_, err = io.Copy(io.Discard, conn)
			Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeFalse(), "still open")
			Eventually(log).WithTimeout(patience).Should(gbytes.Say("not a service"))
			Expect(log).NotTo(gbytes.Say("not a service"))
		},
		Entry("HTTP", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
		Entry("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		Entry("silence", ""),
	)
})

var _ = Describe("the end", func() {
	It("lets open requests finish, says so on /readyz first, and takes no new ones", func() {
		r := run(config(GinkgoWriter))
		entered, leave := make(chan struct{}), make(chan struct{})
		s := r.join(func(in *session.Incoming) {
			close(entered)
			<-leave
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte("done"))
		})
		answered := make(chan string, 1)
		go func() {
			defer GinkgoRecover()
			_, body := get("http://" + r.HTTPAddr() + "/a")
			answered <- body
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		r.cancel()
		Eventually(func() int { status, _ := get("http://" + r.AdminAddr() + "/readyz"); return status }).WithTimeout(patience).Should(Equal(503))
		Eventually(func() error {
			conn, err := net.Dial("tcp", r.HTTPAddr())
			if err == nil {
				_ = conn.Close()
			}
			return err
		}).WithTimeout(patience).Should(HaveOccurred())
		Consistently(r.served).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
		close(leave)
		Eventually(answered).WithTimeout(patience).Should(Receive(Equal("done")))
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(s.Err()).To(MatchError(ContainSubstring("SHUTDOWN")))
	})

	It("of a service that drains is no loss, in the log neither", func() {
		log := gbytes.NewBuffer()
		r := run(config(log))
		s := r.join(func(*session.Incoming) {})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		Expect(s.Drain(ctx)).To(Succeed())
		Eventually(log).WithTimeout(patience).Should(gbytes.Say(`msg="service drained"`))
		Expect(string(log.Contents())).NotTo(Or(ContainSubstring("service gone"), ContainSubstring("closed")))
	})

	It("comes after the grace for requests that do not finish", func() {
		cfg := config(GinkgoWriter)
		cfg.Grace = 100 * time.Millisecond
		r := run(cfg)
		entered := make(chan struct{})
		var ended atomic.Bool
		r.join(func(in *session.Incoming) {
			close(entered)
			<-in.Context().Done()
			ended.Store(true)
		})
		answered, says := make(chan int, 1), make(chan string, 1)
		go func() {
			defer GinkgoRecover()
			status, body := get("http://" + r.HTTPAddr() + "/a")
			answered <- status
			says <- body
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		r.cancel()
		Eventually(answered).WithTimeout(patience).Should(Receive(Equal(502)))
		Eventually(says).WithTimeout(patience).Should(Receive(ContainSubstring("the gateway is shutting down")))
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(ended.Load).WithTimeout(patience).Should(BeTrue())
	})

	It("is at once on Close", func() {
		r := run(config(GinkgoWriter))
		entered := make(chan struct{})
		r.join(func(in *session.Incoming) {
			close(entered)
			<-in.Context().Done()
		})
		go func() {
			resp, err := http.Get("http://" + r.HTTPAddr() + "/a")
			if err == nil {
				_ = resp.Body.Close()
			}
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		r.cancel()
		Consistently(r.served).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
		closed := time.Now()
		Expect(r.Close()).To(Succeed())
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
		Expect(time.Since(closed)).To(BeNumerically("<", 2*time.Second))
	})

	It("leaves a gateway that never served", func() {
		g, err := gateway.New(config(GinkgoWriter))
		Expect(err).NotTo(HaveOccurred())
		addr := g.HTTPAddr()
		Expect(g.Close()).To(Succeed())
		l, err := net.Listen("tcp", addr)
		Expect(err).NotTo(HaveOccurred())
		Expect(l.Close()).To(Succeed())
	})
})
