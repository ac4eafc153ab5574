package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// operate asks the address for operators.
func (r *running) operate(method, path, token string) (status int, body string) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+r.AdminAddr()+path, nil)
	Expect(err).NotTo(HaveOccurred())
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(q)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, string(b)
}

func (r *running) inFlight() []edge.InFlight {
	GinkgoHelper()
	var found struct {
		Requests []edge.InFlight `json:"requests"`
	}
	status, body := r.operate("GET", "/v1/inflight", "")
	Expect(status).To(Equal(200))
	Expect(json.Unmarshal([]byte(body), &found)).To(Succeed())
	return found.Requests
}

var _ = Describe("an operator", func() {
	It("sees what is in flight, and ends it", func() {
		r := run(config(GinkgoWriter))
		cancelled := make(chan struct{})
		r.join(func(in *session.Incoming) {
			<-in.Context().Done()
			close(cancelled)
		})
		answered := make(chan string, 1)
		go func() {
			defer GinkgoRecover()
			_, body := get("http://" + r.HTTPAddr() + "/a?secret=1")
			answered <- body
		}()
		Eventually(r.inFlight).WithTimeout(patience).Should(HaveLen(1))
		f := r.inFlight()[0]
		Expect(f).To(And(HaveField("Method", "GET"), HaveField("Path", "/a"), HaveField("Endpoint", "/a"), HaveField("Service", "test"),
			HaveField("Version", "1.0.0"), HaveField("Instance", "one"), HaveField("Peer", HavePrefix("127.0.0.1:"))))
		Expect(time.Since(f.Since)).To(BeNumerically("<", patience))
		status, _ := r.operate("POST", "/v1/inflight/"+f.ID+"/cancel", "")
		Expect(status).To(Equal(200))
		Eventually(cancelled).WithTimeout(patience).Should(BeClosed())
		Eventually(answered).WithTimeout(patience).Should(Receive(ContainSubstring("an operator has ended the call")))
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
		_, metrics := r.operate("GET", "/metrics", "")
		Expect(metrics).To(ContainSubstring("stella_gateway_cancels_total{by=\"gateway\",code=\"OPERATOR\"} 1\n"))
		Expect(metrics).To(ContainSubstring("stella_gateway_sessions_opened_total{kind=\"new\"} 1\n"))
		status, body := r.operate("POST", "/v1/inflight/"+f.ID+"/cancel", "")
		Expect(status).To(Equal(422))
		Expect(body).To(ContainSubstring("it has ended"))
		status, _ = r.operate("POST", "/v1/inflight/none/cancel", "")
		Expect(status).To(Equal(422))
	})

	It("lists and ends requests while others come and go", func() {
		r := run(config(GinkgoWriter))
		r.join(func(in *session.Incoming) { _ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, nil) })
		stop := make(chan struct{})
		var asked atomic.Int64
		done := make(chan struct{})
		for range 4 {
			go func() {
				defer GinkgoRecover()
				defer func() { done <- struct{}{} }()
				for {
					select {
					case <-stop:
						return
					default:
					}
					status, _ := get("http://" + r.HTTPAddr() + "/a")
					Expect(status).To(BeElementOf(200, 502, 503), "503: more were ended than a session has patience for")
					asked.Add(1)
				}
			}()
		}
		ended := 0
		for until := time.Now().Add(patience); asked.Load() < 500 && time.Now().Before(until); {
			for _, f := range r.inFlight() {
				if status, _ := r.operate("POST", "/v1/inflight/"+f.ID+"/cancel", ""); status == 200 {
					ended++
				}
			}
		}
		close(stop)
		for range 4 {
			Eventually(done).WithTimeout(patience).Should(Receive())
		}
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
		GinkgoWriter.Println(ended, "of", asked.Load())
	})

	It("listens to requests as they end, or to some of them", func() {
		r := run(config(GinkgoWriter))
		r.join(func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte("four"))
		})
		listen := func(query string) <-chan map[string]any {
			GinkgoHelper()
			resp, err := http.Get("http://" + r.AdminAddr() + "/v1/tail?" + query)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(200))
			DeferCleanup(resp.Body.Close)
			told := make(chan map[string]any, 10)
			go func() {
				defer close(told)
				lines := bufio.NewScanner(resp.Body)
				for lines.Scan() {
					v := map[string]any{}
					if json.Unmarshal(lines.Bytes(), &v) == nil {
						told <- v
					}
				}
			}()
			return told
		}
		all, bad, other := listen(""), listen("status=400"), listen("service=other")
		get("http://" + r.HTTPAddr() + "/a?x=1")
		get("http://" + r.HTTPAddr() + "/none")
		Eventually(all).WithTimeout(patience).Should(Receive(And(HaveKeyWithValue("path", "/a"), HaveKeyWithValue("status", 200.0), HaveKeyWithValue("outcome", "ok"),
			HaveKeyWithValue("service", "test"), HaveKeyWithValue("instance", "one"), HaveKeyWithValue("sent", 4.0))))
		Eventually(all).WithTimeout(patience).Should(Receive(And(HaveKeyWithValue("path", "/none"), HaveKeyWithValue("status", 404.0),
			HaveKeyWithValue("outcome", "not_found"))))
		Eventually(bad).WithTimeout(patience).Should(Receive(HaveKeyWithValue("path", "/none")))
		status, _ := r.operate("GET", "/v1/tail?status=many", "")
		Expect(status).To(Equal(400))
		r.cancel()
		Eventually(other).WithTimeout(patience).Should(BeClosed(), "the gateway has ended")
	})

	It("takes an instance out of routing, and lets it in again", func() {
		r := run(config(GinkgoWriter))
		r.join(func(in *session.Incoming) { _ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, nil) })
		ask := func() int { status, _ := get("http://" + r.HTTPAddr() + "/a"); return status }
		Expect(ask()).To(Equal(200))
		status, _ := r.operate("POST", "/v1/services/test/instances/one/drain", "")
		Expect(status).To(Equal(200))
		status, body := get("http://" + r.HTTPAddr() + "/a")
		Expect(status).To(Equal(503))
		Expect(body).To(And(ContainSubstring(`"no_instance"`), ContainSubstring("an operator has taken every instance of test that is connected out of routing")))
		Expect(r.services().Services[0].Instances[0]).To(And(HaveField("Cordoned", true), HaveField("Health", BeEquivalentTo("draining"))))
		status, _ = r.operate("POST", "/v1/services/test/instances/one/resume", "")
		Expect(status).To(Equal(200))
		Expect(ask()).To(Equal(200))
		status, body = r.operate("POST", "/v1/services/test/instances/two/drain", "")
		Expect(status).To(Equal(422))
		Expect(body).To(ContainSubstring(`no instance "two"`))
	})

	Describe("with a token", func() {
		const viewer, changer, admin = "viewer-token-0123456789", "changer-token-012345678", "admin-token-0123456789"
		var (
			file string
			log  *gbytes.Buffer
			r    *running
		)
		BeforeEach(func() {
			file, log = filepath.Join(GinkgoT().TempDir(), "tokens"), gbytes.NewBuffer()
			Expect(os.WriteFile(file, []byte("# who\nvera viewer "+viewer+"\n\nolga operator "+changer+"\nadam admin "+admin+"\n"), 0o600)).To(Succeed())
			cfg := config(log)
			cfg.AdminTokens, cfg.Admin = file, "0.0.0.0:0"
			cfg.Restart = func() error { return nil }
			r = run(cfg)
			r.join(func(*session.Incoming) {})
		})

		It("may do what the role allows, and nobody without one anything", func() {
			for _, c := range []struct {
				method, path string
				none         int
				viewer       int
				changer      int
				admin        int
			}{
				{"GET", "/healthz", 200, 200, 200, 200},
				{"GET", "/v1/services", 401, 200, 200, 200},
				{"GET", "/metrics", 401, 200, 200, 200},
				{"POST", "/v1/services/test/instances/one/resume", 401, 403, 200, 200},
				{"GET", "/debug/pprof/cmdline", 401, 403, 403, 200},
				{"POST", "/v1/restart", 401, 403, 403, 200},
			} {
				for token, want := range map[string]int{"": c.none, "wrong-token-0123456789": c.none, viewer: c.viewer, changer: c.changer, admin: c.admin} {
					status, _ := r.operate(c.method, c.path, token)
					Expect(status).To(Equal(want), "%s %s with %q", c.method, c.path, token)
				}
			}
		})

		It("is written down by name with what was changed, and with what could not be", func() {
			r.operate("POST", "/v1/services/test/instances/one/drain", changer)
			r.operate("POST", "/v1/services/test/instances/two/drain", admin)
			_, body := r.operate("GET", "/v1/audit", viewer)
			var found struct {
				Changes []map[string]any `json:"changes"`
			}
			Expect(json.Unmarshal([]byte(body), &found)).To(Succeed())
			Expect(found.Changes).To(HaveExactElements(
				And(HaveKeyWithValue("who", "adam"), HaveKeyWithValue("action", "drain"), HaveKeyWithValue("target", "test two"), HaveKey("error")),
				And(HaveKeyWithValue("who", "olga"), HaveKeyWithValue("role", "operator"), HaveKeyWithValue("target", "test one"), Not(HaveKey("error"))),
			))
			Expect(log).To(gbytes.Say("msg=operator who=olga role=operator action=drain"))
			Expect(string(log.Contents())).NotTo(ContainSubstring(changer))
		})

		It("has the tokens that the file has come to hold, and the last good ones when it is broken", func() {
			ask := func(token string) int { status, _ := r.operate("GET", "/v1/services", token); return status }
			const newer = "another-token-0123456789"
			Expect(os.WriteFile(file, []byte("vera viewer "+newer+"\n"), 0o600)).To(Succeed())
			Expect(ask(newer)).To(Equal(200))
			Expect(ask(viewer)).To(Equal(401))
			Expect(os.WriteFile(file, []byte("vera emperor "+viewer+"\n"), 0o600)).To(Succeed())
			Expect(ask(newer)).To(Equal(200))
			Expect(ask(viewer)).To(Equal(401))
			Expect(log).To(gbytes.Say("the operators' tokens.*what was read before stays good"))
		})
	})

	DescribeTable("is told what is wrong with the tokens",
		func(text, want string) {
			file := filepath.Join(GinkgoT().TempDir(), "tokens")
			Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
			cfg := config(GinkgoWriter)
			cfg.AdminTokens = file
			_, err := gateway.New(cfg)
			Expect(err).To(MatchError(gateway.ErrConfig))
			Expect(err).To(MatchError(ContainSubstring(want)))
		},
		Entry("none", "# nobody\n", "holds no token"),
		Entry("a role that is none", "a boss 0123456789abcdef\n", ":1: expected NAME ROLE TOKEN"),
		Entry("a short token", "a viewer short\n", "at least 16 characters"),
		Entry("one token for two", "a viewer 0123456789abcdef\nb admin 0123456789abcdef\n", ":2: it is the token of a, too"),
		Entry("too much", strings.Repeat("#\n", 40_000), "over 65536 bytes"),
	)

	It("is not a page of another site that makes its name point here", func() {
		cfg := config(GinkgoWriter)
		cfg.AdminHosts = []string{"gateway.internal"}
		r := run(cfg)
		for host, want := range map[string]int{"evil.example": 421, "evil.example:80": 421, "localhost": 200, "[::1]:5190": 200, "gateway.internal:5190": 200} {
			conn, err := net.Dial("tcp", r.AdminAddr())
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
			_, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
			text, err := io.ReadAll(conn)
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.Close()).To(Succeed())
			Expect(string(text)).To(HavePrefix("HTTP/1.1 "+map[int]string{200: "200", 421: "421"}[want]), host)
		}
	})

	It("is not a page of another origin that a browser shows, where something would change", func() {
		log, reloads := gbytes.NewBuffer(), 0
		cfg := config(log)
		cfg.Reload = func() error { reloads++; return nil }
		r := run(cfg)
		own := "http://" + r.AdminAddr()
		for _, c := range []struct {
			method, path string
			header       map[string]string
			status       int
		}{
			{"POST", "/v1/config/reload", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
			{"POST", "/v1/config/reload", map[string]string{"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"}, 403},
			{"POST", "/v1/config/reload", map[string]string{"Origin": "https://evil.example"}, 403},
			{"POST", "/v1/config/reload", map[string]string{"Origin": "null"}, 403},
			{"POST", "/v1/inflight/none/cancel", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
			{"POST", "/v1/config/reload", map[string]string{"Origin": own, "Sec-Fetch-Site": "same-origin"}, 200},
			{"POST", "/v1/config/reload", map[string]string{"Origin": own}, 200},
			{"POST", "/v1/config/reload", nil, 200},
			{"GET", "/v1/services", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 200}, // which it cannot read
		} {
			q, err := http.NewRequest(c.method, own+c.path, nil)
			Expect(err).NotTo(HaveOccurred())
			for name, value := range c.header {
				q.Header.Set(name, value)
			}
			resp, err := http.DefaultClient.Do(q)
			Expect(err).NotTo(HaveOccurred())
			text, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(resp.StatusCode).To(Equal(c.status), "%v: %s", c, text)
			Expect(resp.Header).NotTo(HaveKey("Access-Control-Allow-Origin"))
			if c.status == 403 {
				Expect(string(text)).To(And(ContainSubstring("a page of another origin"), ContainSubstring("cross-origin request detected")))
			}
		}
		Expect(reloads).To(Equal(3))
		Expect(log).To(gbytes.Say(`level=WARN msg="a change was refused".* path=/v1/config/reload .*evil.example`))
	})

	It("comes in by a socket that is the gateway's own user's", func() {
		cfg := config(GinkgoWriter)
		path := filepath.Join(GinkgoT().TempDir(), "admin.sock")
		cfg.Admin = "unix://" + path
		r := run(cfg)
		Expect(r.AdminAddr()).To(Equal(path))
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}}}
		resp, err := client.Get("http://localhost/v1/services")
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
		Expect(resp.StatusCode).To(Equal(200))
	})

	It("comes in by a socket that a gateway has left behind when it was killed, and not by one on which somebody listens", func() {
		path := filepath.Join(GinkgoT().TempDir(), "admin.sock")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		Expect(err).NotTo(HaveOccurred())
		dead.SetUnlinkOnClose(false)
		Expect(dead.Close()).To(Succeed())
		Expect(path).To(BeAnExistingFile())
		cfg := config(GinkgoWriter)
		cfg.Admin = "unix://" + path
		run(cfg)
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		_, err = gateway.New(cfg)
		Expect(err).To(MatchError(And(ContainSubstring("address already in use"), ContainSubstring("another process listens there"))))
		conn, err := net.Dial("unix", path)
		Expect(err).NotTo(HaveOccurred(), "it is still the first one's")
		Expect(conn.Close()).To(Succeed())
	})
})
