package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tls"
	"github.com/stella-ops/router/transports/trust"
	_ "github.com/stella-ops/router/transports/udp"
)

const (
	token = "a-token-of-this-spec"
	other = "another-token-of-this-spec"
)

// registers opens a session as a service does, and returns its end or why it was refused.
func (r *running) registers(change func(*session.ServiceConfig)) (*session.Service, error) {
	GinkgoHelper()
	return r.registersWith("", change)
}

// registersWith is registers, with parameters of the URL that is dialled.
func (r *running) registersWith(params string, change func(*session.ServiceConfig)) (*session.Service, error) {
	GinkgoHelper()
	m := &spec.Manifest{Service: "test", Version: "1.0.0", Endpoints: []spec.Endpoint{{
		Method: http.MethodGet, Path: "/x", Handler: "X", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test",
		Limits: spec.DefaultLimits,
	}}}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	cfg := session.ServiceConfig{
		Hello:    spec.Hello{Instance: spec.Instance{Service: "test", Version: "1.0.0", ID: fmt.Sprintf("i%d", ids.Add(1))}, Lease: 8},
		Manifest: manifest,
		Serve: func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte("served"))
		},
	}
	change(&cfg)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	link, err := transports.Dial(ctx, r.ListenAddrs()[0]+params)
	Expect(err).NotTo(HaveOccurred())
	s, err := session.Open(ctx, link, cfg)
	if err == nil {
		DeferCleanup(s.Close)
	}
	return s, err
}

var ids atomic.Int64

func withToken(token string) func(*session.ServiceConfig) {
	return func(c *session.ServiceConfig) { c.Token = token }
}

func tokenFile(text string) string {
	GinkgoHelper()
	name := filepath.Join(GinkgoT().TempDir(), "tokens")
	Expect(os.WriteFile(name, []byte(text), 0o600)).To(Succeed())
	return name
}

func refusedWith(code spec.Code) func(error) bool {
	return func(err error) bool {
		var e *session.Error
		return errors.As(err, &e) && e.Code == code
	}
}

var _ = Describe("datagrams that no service sends", func() {
	It("are counted on /metrics, by reason, over all addresses of their transport", func() {
		cfg := config(GinkgoWriter)
		cfg.Listen = []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://127.0.0.1:0"}
		r := run(cfg)
		metrics := func() string {
			_, body := get("http://" + r.AdminAddr() + "/metrics")
			return body
		}
		const name = "stella_transport_datagrams_dropped_total"
		Expect(strings.Count(metrics(), "\n"+name+"{")).To(Equal(len(telemetry.Drops())), "from zero on, and of no other transport")
		for _, d := range telemetry.Drops() {
			Expect(metrics()).To(ContainSubstring("\n%s{reason=%q,transport=\"udp\"} 0\n", name, d.Name))
		}
		for i, addr := range []string{r.ListenAddrs()[0], r.ListenAddrs()[2]} {
			conn, err := net.Dial("udp", addr[len("udp://"):])
			Expect(err).NotTo(HaveOccurred())
			defer conn.Close()
			for range 3 + i {
				_, err = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
				Expect(err).NotTo(HaveOccurred())
			}
		}
		Eventually(metrics).WithTimeout(patience).Should(ContainSubstring("\n" + name + `{reason="malformed",transport="udp"} 7` + "\n"))
		Expect(metrics()).To(ContainSubstring("\n" + name + `{reason="no_link",transport="udp"} 0` + "\n"))
	})
})

var _ = Describe("a gateway with tokens", func() {
	It("takes on who knows one that is good for its name, and nobody else", func() {
		log := gbytes.NewBuffer()
		cfg := config(log)
		cfg.Tokens = gateway.Tokens{File: tokenFile("# services\ntest " + token + "\n\nelse " + other + "\n"), Any: []string{"good-for-every-service"}}
		r := run(cfg)
		_, err := r.registers(withToken(token))
		Expect(err).NotTo(HaveOccurred())
		_, err = r.registers(withToken("good-for-every-service"))
		Expect(err).NotTo(HaveOccurred())
		_, err = r.registers(withToken(other))
		Expect(err).To(Satisfy(refusedWith(spec.CodeUnauthorized)), "it is another service's")
		_, err = r.registers(withToken(""))
		Expect(err).To(Satisfy(refusedWith(spec.CodeUnauthorized)))
		Expect(err).To(MatchError(ContainSubstring("STELLA_TOKEN")))
		Eventually(log).WithTimeout(patience).Should(gbytes.Say("UNAUTHORIZED"))
		Expect(string(log.Contents())).NotTo(ContainSubstring(token))
		r.counts(`stella_gateway_registrations_refused_total{reason="unauthorized"} 2`)
	})

	It("reads them again when the file has changed, so that they can be replaced, and keeps the last good ones", func() {
		log := gbytes.NewBuffer()
		cfg := config(log)
		file := tokenFile("* " + token + "\n")
		cfg.Tokens.File = file
		r := run(cfg)
		_, err := r.registers(withToken(other))
		Expect(err).To(HaveOccurred())
		Expect(os.WriteFile(file, []byte("* "+token+"\n* "+other+"\n"), 0o600)).To(Succeed())
		for _, good := range []string{token, other} {
			_, err := r.registers(withToken(good))
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(os.WriteFile(file, []byte("nonsense\n"), 0o600)).To(Succeed())
		_, err = r.registers(withToken(token))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(log.Contents())).To(ContainSubstring("tokens:1: expected SERVICE TOKEN"))
		Expect(os.WriteFile(file, []byte("* "+other+"\n"), 0o600)).To(Succeed())
		_, err = r.registers(withToken(token))
		Expect(err).To(Satisfy(refusedWith(spec.CodeUnauthorized)))
	})

	It("is refused by a service with a token where it has none: it may be anybody", func() {
		r := run(config(GinkgoWriter))
		_, err := r.registers(withToken(token))
		Expect(err).To(Satisfy(refusedWith(spec.CodeUnauthorized)))
		Expect(err).To(MatchError(ContainSubstring("does not prove that it knows the token")))
	})

	It("may listen beyond loopback, and says that nothing is encrypted", func() {
		log := gbytes.NewBuffer()
		cfg := config(log)
		cfg.Listen = []string{"tcp://0.0.0.0:0"}
		cfg.Tokens.Any = []string{token}
		g, err := gateway.New(cfg)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.Close()).To(Succeed())
		Expect(string(log.Contents())).To(ContainSubstring("not encrypted"))
	})

	DescribeTable("is not made of", func(text, why string) {
		cfg := config(GinkgoWriter)
		cfg.Tokens.File = tokenFile(text)
		_, err := gateway.New(cfg)
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("a file without any", "# none\n", "holds no token"),
		Entry("a short one", "* short\n", "tokens:1: expected at least 16"),
		Entry("a name that is none", "a/b "+token+"\n", "tokens:1: spec: service"),
		Entry("more words", "\n* "+token+" x\n", "tokens:2: expected SERVICE TOKEN"),
		Entry("a file that is too long", strings.Repeat("#\n", 40_000), "over 65536 bytes"),
	)
})

var _ = Describe("a service that comes back", func() {
	It("need not send a manifest that the gateway knows", func() {
		r := run(config(GinkgoWriter))
		slim := func(c *session.ServiceConfig) { c.Slim = true }
		_, err := r.registers(slim)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() int { code, _ := get("http://" + r.HTTPAddr() + "/x"); return code }).WithTimeout(patience).Should(Equal(200))
		for range 3 {
			_, err := r.registers(slim)
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(func() int { return len(r.Registry().Services()[0].Instances) }).WithTimeout(patience).Should(Equal(4))
		_, err = r.registers(func(c *session.ServiceConfig) {
			slim(c)
			c.Hello.Instance.Service = "thief"
		})
		Expect(err).To(Satisfy(refusedWith(spec.CodeProtocol)))
		Expect(err).To(MatchError(ContainSubstring("HELLO says thief")))
	})

	It("hears of the gateway's peers", func() {
		cfg := config(GinkgoWriter)
		cfg.Peers = []string{"tcp://127.0.0.1:5999"}
		r := run(cfg)
		s, err := r.registers(func(*session.ServiceConfig) {})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Welcome().Gateways).To(Equal(cfg.Peers))
	})
})

var _ = Describe("many services at once", func() {
	It("are taken on at a limited rate, and those whose turn is far off are sent away and come back", func() {
		const services, rate = 60, 20
		cfg := config(GinkgoWriter)
		cfg.AcceptRate = rate
		r := run(cfg)
		var mu sync.Mutex
		var at []time.Time
		var sentAway atomic.Int64
		var wg sync.WaitGroup
		for range services {
			wg.Go(func() {
				defer GinkgoRecover()
				for {
					_, err := r.registers(func(*session.ServiceConfig) {})
					if err == nil {
						mu.Lock()
						at = append(at, time.Now())
						mu.Unlock()
						return
					}
					Expect(err).To(Satisfy(refusedWith(spec.CodeRefused)))
					sentAway.Add(1)
					<-time.After(300 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		slices.SortFunc(at, time.Time.Compare)
		// A machine that is busy lets us know later of some: all of them together cannot have come too fast.
		Expect(at[len(at)-1].Sub(at[0])).To(BeNumerically(">", time.Second*(services-1-rate/10)/rate*9/10))
		Expect(sentAway.Load()).To(BeNumerically(">", 0))
		r.counts(fmt.Sprintf(`stella_gateway_registrations_refused_total{reason="rate"} %d`, sentAway.Load()))
	})
})

var _ = Describe("a gateway with certificates", func() {
	It("asks a service for no token whose certificate has its name, and refuses one that has another", func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		issue := func(name string) string {
			cert, key, err := authority.IssueFiles(dir, name, name)
			Expect(err).NotTo(HaveOccurred())
			return "cert=" + cert + "&key=" + key
		}
		cfg := config(GinkgoWriter)
		ca := filepath.Join(dir, "ca.pem")
		cfg.Listen = []string{"tls://127.0.0.1:0?" + issue("127.0.0.1") + "&clients=" + ca}
		cfg.Tokens.Any = []string{token}
		r := run(cfg)
		_, err = r.registersWith("?ca="+ca+"&"+issue("test"), withToken(""))
		Expect(err).NotTo(HaveOccurred())
		_, err = r.registersWith("?ca="+ca+"&"+issue("test"), withToken(other))
		Expect(err).NotTo(HaveOccurred(), "the gateway's certificate proves it")
		_, err = r.registersWith("?ca="+ca+"&"+issue("else"), withToken(token))
		Expect(err).To(Satisfy(refusedWith(spec.CodeUnauthorized)))
		Expect(err).To(MatchError(ContainSubstring("the certificate is for else")))
	})

	It("may listen beyond loopback where services have to show one", func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "gateway", "gw.example")
		Expect(err).NotTo(HaveOccurred())
		log := gbytes.NewBuffer()
		cfg := config(log)
		cfg.Listen = []string{"tls://0.0.0.0:0?cert=" + cert + "&key=" + key}
		_, err = gateway.New(cfg)
		Expect(err).To(MatchError(gateway.ErrConfig))
		cfg.Listen[0] += "&clients=" + filepath.Join(dir, "ca.pem")
		run(cfg)
		Expect(string(log.Contents())).NotTo(ContainSubstring("not encrypted"))
	})
})

var _ = Describe("a gateway over a transport of small calls", func() {
	It("answers for an endpoint that the transport does not carry, and calls the others", func() {
		log := gbytes.NewBuffer()
		cfg := config(log)
		cfg.Listen = []string{"udp://127.0.0.1:0"}
		r := run(cfg)
		m := &spec.Manifest{Service: "test", Version: "1.0.0"}
		add := func(method, path string, change func(*spec.Endpoint)) {
			e := spec.Endpoint{
				Method: method, Path: path, Handler: "X", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test",
				Limits: spec.DefaultLimits, Idempotent: true,
			}
			change(&e)
			m.Endpoints = append(m.Endpoints, e)
		}
		add(http.MethodPost, "/fits", func(*spec.Endpoint) {})
		add(http.MethodGet, "/large", func(*spec.Endpoint) {})
		add(http.MethodPost, "/once", func(e *spec.Endpoint) { e.Idempotent = false })
		add(http.MethodGet, "/stream", func(e *spec.Endpoint) { e.Stream = spec.StreamResponse })
		add(http.MethodPost, "/upload", func(e *spec.Endpoint) { e.Limits.MaxBodyBytes = 5000 })
		manifest, err := m.Encode()
		Expect(err).NotTo(HaveOccurred())
		_, err = r.registers(func(c *session.ServiceConfig) {
			c.Manifest = manifest
			c.Serve = func(in *session.Incoming) {
				body, _ := io.ReadAll(in)
				if len(body) == 0 {
					body = make([]byte, 2000)
				}
				_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, body)
			}
		})
		Expect(err).NotTo(HaveOccurred())
		ask := func(method, path, body string, header ...string) (int, string) {
			q, err := http.NewRequest(method, "http://"+r.HTTPAddr()+path, strings.NewReader(body))
			Expect(err).NotTo(HaveOccurred())
			for _, h := range header {
				q.Header.Set("X-Test", h)
			}
			resp, err := (&http.Client{Timeout: patience}).Do(q)
			Expect(err).NotTo(HaveOccurred())
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			return resp.StatusCode, string(text)
		}
		Eventually(func() int { status, _ := ask("POST", "/fits", "x"); return status }).WithTimeout(patience).Should(Equal(200))
		status, text := ask("POST", "/fits", "body")
		Expect(status).To(Equal(200))
		Expect(text).To(Equal("body"))
		for _, row := range []struct {
			method, path, body, header string
			status                     int
			says                       []string
		}{
			{"POST", "/fits", strings.Repeat("x", 1500), "", 413, []string{"payload_too_large", "tcp, tls or quic"}},
			{"POST", "/fits", strings.Repeat("x", 50_000), "", 413, []string{"payload_too_large", "tcp, tls or quic"}},
			{"POST", "/fits", "x", strings.Repeat("h", 1500), 431, []string{"headers_too_large"}},
			{"GET", "/large", "", "", 502, []string{"response_too_large"}},
			{"POST", "/once", "x", "", 503, []string{"transport_unfit", "small-calls/idempotent"}},
			{"GET", "/stream", "", "", 503, []string{"transport_unfit", "small-calls/streams"}},
			{"POST", "/upload", "x", "", 503, []string{"transport_unfit", "small-calls/limits"}},
		} {
			status, text := ask(row.method, row.path, row.body, row.header)
			Expect(status).To(Equal(row.status), "%s %s: %s", row.method, row.path, text)
			for _, says := range row.says {
				Expect(text).To(ContainSubstring(says))
			}
		}
	})
})
