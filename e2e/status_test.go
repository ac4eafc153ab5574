package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// cause is one reason for a status.
type cause struct {
	status    int
	code      string // of the problem; empty where the answer has none
	what      string // in words
	retryable bool
	ask       func(s *statuses) answer // nil where another suite asks
}

// statuses is a gateway process, with services that do what services should not.
type statuses struct {
	*stack

	key     *auth.DevKey
	entered chan struct{} // the full service has a call
}

// get sends a request line with more behind it, and reads the answer.
func (s *statuses) get(line string, more ...string) answer {
	GinkgoHelper()
	method, _, _ := strings.Cut(line, " ")
	_, r := raw(s.http, line+" HTTP/1.1\r\nHost: h\r\n"+strings.Join(more, "")+"\r\n")
	return respond(r, method)
}

// text sends bytes as they are, and reads the answer.
func (s *statuses) text(text string) answer {
	GinkgoHelper()
	_, r := raw(s.http, text)
	return respond(r, http.MethodGet)
}

func (s *statuses) token(claims ...spec.Claim) string {
	GinkgoHelper()
	t, err := s.key.Token(claims, time.Now(), time.Minute)
	Expect(err).NotTo(HaveOccurred())
	return "Authorization: Bearer " + t + "\r\n"
}

func asks(line string, more ...string) func(*statuses) answer {
	return func(s *statuses) answer { GinkgoHelper(); return s.get(line, more...) }
}

func sends(text string) func(*statuses) answer {
	return func(s *statuses) answer { GinkgoHelper(); return s.text(text) }
}

// trailedBy is a request whose body trailers follow.
func trailedBy(fields string) string {
	return "POST /do HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + fields + "\r\n"
}

const anyJob = "/_stella/jobs/"

// missing is an issuer whose keys cannot be had, and unprovable a token in its name.
const missing = "https://missing.example"

var unprovable = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"one"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+missing+`","aud":"api","exp":4102444800}`)) + "." + strings.Repeat("A", 86)

// causes are all of them, by status.
func causes() []cause {
	return []cause{
		{101, "", "The endpoint is a WebSocket, and the service accepts it.", false, asks("GET /socket", "Connection: Upgrade\r\nUpgrade: websocket\r\n")},
		{101, "", "The request opens a WebSocket, and the legacy upstream accepts it.", false,
			asks("GET /legacy/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "+exampleKey+"\r\n")},
		{200, "", "The service answers; so it does with any status from 200 to 599, which passes as it is.", false, asks("GET /do")},
		{200, "", "There is a static file, or a document of the gateway's own.", false, asks("GET /files/a.txt")},
		{200, "", "The state of a job is asked for, and known.", false, nil},
		{202, "", "The endpoint's calls are jobs, and the broker has this one.", false, nil},
		{204, "", "OPTIONS of a path that a service offers without declaring OPTIONS, or of `*`.", false, asks("OPTIONS /do")},
		{206, "", "A part of a static file is asked for; services answer so themselves.", false, asks("GET /files/a.txt", "Range: bytes=1-2\r\n")},
		{304, "", "The client has the static file, or the gateway's own document, as it is now.", false, asks("GET /files/a.txt", "If-None-Match: *\r\n")},
		{308, "", "A folder of static files is asked for without the slash at its end.", false, asks("GET /files/sub")},
		{400, "", "The request breaks HTTP/1.1: its line, a header field, Host, Content-Length. The connection ends.", false, sends("GET /do HTTP/1.1\r\n\r\n")},
		{400, "", "A listener with TLS is asked without it. The connection ends.", false, asksPlainly},
		{400, "bad_path", "An encoded slash, dot segment or control character, a backslash, an empty segment.", false, asks("GET /a/%2e%2e/do")},
		{400, "bad_request", "Connection names a field that must not be hidden.", false, asks("GET /do", "Connection: X-User-Id\r\n")},
		{400, "bad_request", "A field that frames the body is spelt with an underscore. The connection ends.", false, asks("GET /do", "Content_Length: 3\r\n")},
		{400, "bad_body", "The chunks of the body are malformed. The connection ends.", false, sends("POST /do HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")},
		{400, "bad_body", "A trailer has a control character.", false, sends(trailedBy("X: \x01\r\n"))},
		{400, "bad_request", "The caller may choose a tenant, and names none, or two.", false, func(s *statuses) answer {
			return s.get("GET /claimed", s.token(spec.Claim{Type: "scope", Value: "x"}), "Stella-Tenant:\r\n")
		}},
		{401, "unauthenticated", "The endpoint requires claims, and there is no token, nor a certificate that proves who calls.", false, asks("GET /claimed")},
		{401, "unauthenticated", "The token is not to be trusted: its signature, issuer, audience or time.", false, asks("GET /claimed", "Authorization: Bearer x.y.z\r\n")},
		{403, "forbidden", "The token proves somebody who lacks a claim.", false, func(s *statuses) answer { return s.get("GET /claimed", s.token()) }},
		{403, "forbidden", "The caller may choose a tenant, and names one that is not theirs.", false, func(s *statuses) answer {
			return s.get("GET /claimed", s.token(spec.Claim{Type: "scope", Value: "x"}), "Stella-Tenant: globex\r\n")
		}},
		{403, "forbidden", "A client certificate would prove who calls, and Origin names a page of another site.", false, asksAsPage},
		{404, "not_found", "No service offers the path, or none has for 10 minutes.", false, asks("GET /nobody")},
		{404, "not_found", "The path ends with a slash.", false, asks("GET /do/")},
		{404, "version_not_found", "Stella-Version names a version that offers no such endpoint.", false, asks("GET /do", "Stella-Version: 9.9.9\r\n")},
		{404, "job_not_found", "The job's ID is wrong, or the job is somebody else's, or is over for long.", false, asks("GET " + anyJob + "1")},
		{405, "method_not_allowed", "The path is offered for other methods.", false, asks("DELETE /do")},
		{405, "method_not_allowed", "CONNECT and TRACE.", false, asks("TRACE /do")},
		{408, "body_stalled", "The body stopped arriving for `transports.stall`, 10 s; a body of up to 16 KiB was not whole by then.", false, asks("POST /do", "Content-Length: 10\r\n")},
		{412, "", "If-Match or If-Unmodified-Since names another state of a static file.", false, asks("GET /files/a.txt", "If-Match: \"other\"\r\n")},
		{413, "payload_too_large", "Content-Length is over the endpoint's limit.", false, asks("POST /do", "Content-Length: 1001\r\n")},
		{413, "payload_too_large", "A body of unknown length has passed the endpoint's limit.", false, sends("POST /do HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", 2000, strings.Repeat("x", 2000)))},
		{416, "bad_range", "Range asks for a part of a static file that is beyond its end.", false, asks("GET /files/a.txt", "Range: bytes=100-\r\n")},
		{417, "", "Expect asks for something else than 100-continue. The connection ends.", false, asks("GET /do", "Expect: miracles\r\n")},
		{426, "upgrade_required", "The endpoint is a WebSocket, and the request does not open one by GET of HTTP/1.1.", false, asks("GET /socket")},
		{429, "rate_limited", "The caller has asked more often than a rate limit passes.", true, func(s *statuses) answer {
			s.get("GET /seldom")
			return s.get("GET /seldom")
		}},
		{431, "", "The request's head is larger than `limits.requests.headerSize`, 64 KiB. The connection ends.", false, asks("GET /do", "X: "+strings.Repeat("x", 80<<10)+"\r\n")},
		{431, "headers_too_large", "More than 128 header fields.", false, asks("GET /do", strings.Repeat("X: 1\r\n", 200))},
		{431, "headers_too_large", "More than 128 trailers.", false, sends(trailedBy(strings.Repeat("X: 1\r\n", 200)))},
		{501, "", "Transfer-Encoding is anything else than `chunked`. The connection ends.", false, asks("POST /do", "Transfer-Encoding: gzip, chunked\r\n")},
		{502, "legacy_unreachable", "The path is a legacy upstream's, which cannot be reached.", true, asks("GET /legacy/gone")},
		{502, "legacy_lost", "The legacy upstream ended the connection, or broke HTTP, before it had answered.", false, asks("GET /legacy/lost")},
		{502, "legacy_lost", "The legacy upstream's 101 does not accept the WebSocket that was asked for.", false,
			asks("GET /legacy/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: other\r\n")},
		{502, "service_lost", "The connection to the service broke during the call.", false, asks("GET /dying")},
		{502, "service_failed", "The handler ended without an answer.", false, asks("GET /do?nothing")},
		{502, "bad_answer", "The answer is not as long as it says, or breaks the protocol.", false, asks("GET /do?lie")},
		{502, "response_too_large", "The service is connected by udp, and its answer does not fit.", false, asks("GET /udp/large")},
		{503, "keys_unavailable", "The keys of the token's issuer cannot be had, are too old, or were all withdrawn: nobody can say whether the token is good.", true,
			asks("GET /claimed", "Authorization: Bearer "+unprovable+"\r\n")},
		{503, "authority_unavailable", "Who may call the endpoint is for an authority to say, which has not been reached since the gateway's start.", true,
			func(*statuses) answer {
				return apart("authority: {source: 'http://" + address() + "'}\n").get("GET /do")
			}},
		{503, "limits_unavailable", "A rate limit of the environment cannot be counted, and its failure mode is closed.", true, asks("GET /counted")},
		{503, "no_instance", "The endpoint is known, and no instance is connected.", true, asks("GET /gone")},
		{503, "overloaded", "Every instance has all the calls that it takes at once.", true, func(s *statuses) answer {
			Eventually(s.entered).Should(BeClosed())
			return s.get("GET /full")
		}},
		{503, "overloaded", "The gateway serves as many requests at once as it may, or as their latency allows.", true, func(*statuses) (a answer) {
			s := apart("limits: {concurrency: {total: 1}}\n")
			Eventually(func() int {
				raw(s.http, "GET /do?slow HTTP/1.1\r\nHost: h\r\n\r\n") // it may be the one that is too many
				a = s.get("GET /do")
				return a.StatusCode
			}).ShouldNot(Equal(http.StatusOK))
			return a
		}},
		{503, "refused", "No instance takes the call on; nothing was done.", true, asks("GET /do?refuse")},
		{503, "transport_unfit", "The service is connected by udp, and the endpoint streams, is not idempotent, or takes large bodies.", false, asks("POST /udp/once", "Content-Length: 0\r\n")},
		{503, "queue_unavailable", "The broker does not take the job. It may have it all the same.", false, func(s *statuses) answer {
			return s.get("POST /job", s.token(spec.Claim{Type: "scope", Value: "x"}), "Content-Length: 0\r\n")
		}},
		{503, "queue_unavailable", "The broker cannot be asked for the state of a job.", true, asks("GET " + anyJob + "01890a5d-ac96-774b-bcce-b302099a8057")},
		{504, "timeout", "The service has not answered within the endpoint's timeout.", false, asks("GET /do?slow")},
		{504, "timeout", "A legacy upstream has not answered within the route's timeout.", false, asks("GET /legacy/slow")},
		{505, "", "A version of HTTP that is not 1.0, 1.1 or 2. The connection ends.", false, sends("GET /do HTTP/3.0\r\nHost: h\r\n\r\n")},
		{508, "legacy_loop", "A legacy upstream sends the gateway's own request back to it: `Via` names the gateway.", false, asksAgain},
	}
}

// service joins a service of this process to the gateway of the other.
func (s *statuses) service(url, name string, lease int, serve func(transports.Link, *session.Incoming), endpoints ...spec.Endpoint) *session.Service {
	GinkgoHelper()
	m := spec.Manifest{Service: name, Version: "1.0.0", Endpoints: endpoints}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	link, err := transports.Dial(ctx, url)
	Expect(err).NotTo(HaveOccurred())
	joined, err := session.Open(ctx, link, session.ServiceConfig{
		Hello:    spec.Hello{Instance: spec.Instance{Service: name, Version: "1.0.0", ID: name}, Lease: lease},
		Manifest: manifest, Serve: func(in *session.Incoming) { serve(link, in) },
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = joined.Close() })
	Eventually(func() bool {
		return slices.Contains(slices.Collect(func(yield func(string) bool) {
			for _, v := range s.services() {
				for _, in := range v.Instances {
					if !yield(in.ID) {
						return
					}
				}
			}
		}), name)
	}).Should(BeTrue(), name)
	return joined
}

// offered is an endpoint with its limits, public unless changed.
func offered(method, path string, l spec.Limits, change ...func(*spec.Endpoint)) spec.Endpoint {
	e := spec.Endpoint{
		Method: method, Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test",
		Idempotent: method == http.MethodGet, Limits: l.WithDefaults(),
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

func claimed(e *spec.Endpoint) {
	e.Public, e.Claims = "", []spec.ClaimRequirement{{Type: "scope", Value: "x"}}
}

func socket(e *spec.Endpoint) {
	e.Stream, e.Status = spec.StreamUpgrade, http.StatusSwitchingProtocols
}

func queued(e *spec.Endpoint) {
	q := spec.DefaultQueueing
	e.Queue, e.Idempotent = &q, true
}

// does is a service that does as the query says.
func does(_ transports.Link, in *session.Incoming) {
	fine := &spec.Response{Status: 200, ContentLength: -1}
	if in.Request().Upgrade != "" {
		if in.Head(&spec.Response{Status: http.StatusSwitchingProtocols, ContentLength: -1}) == nil {
			_ = in.End()
		}
		return
	}
	switch in.Request().Query {
	case "nothing":
	case "slow":
		<-in.Context().Done()
	case "refuse":
		in.Cancel(spec.CodeRefused, "not now")
	case "lie":
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: 3}, []byte("four"))
	case "large":
		_ = in.Respond(fine, make([]byte, 15<<10))
	default:
		if _, err := io.Copy(io.Discard, in); err == nil {
			_ = in.Respond(fine, []byte("ok"))
		}
	}
}

// apart starts another gateway, with a configuration of its own, and a service that does.
func apart(config string, change ...func(*spec.Endpoint)) *statuses {
	GinkgoHelper()
	s := &statuses{stack: &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address(), rest: map[program]held{}}}
	file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
	Expect(os.WriteFile(file, []byte(config), 0o600)).To(Succeed())
	p := start("gateway", nil, binary("stella-gateway"), "run", "--config", file, "--http", s.http, "--listen", s.listen, "--admin", s.admin)
	Eventually(func() error {
		if p.ended() {
			StopTrying("the gateway has ended").Now()
		}
		return healthy(s.admin)
	}).Should(Succeed())
	s.service(s.listen, "main", 64, does, offered("GET", "/do", spec.Limits{}, change...))
	return s
}

// asksPlainly asks a listener with TLS as if it had none.
func asksPlainly(*statuses) answer {
	GinkgoHelper()
	c, at := newCertificates(), address()
	values, err := url.ParseQuery(c.issue("gateway", "127.0.0.1"))
	Expect(err).NotTo(HaveOccurred())
	apart(fmt.Sprintf("listeners: [{address: %q, tls: {cert: %q, key: %q}}]\n", at, values.Get("cert"), values.Get("key")))
	_, r := raw(at, "GET /do HTTP/1.1\r\nHost: h\r\n\r\n")
	return respond(r, http.MethodGet)
}

// asksAsPage asks as a browser does, which has a certificate, for a page of another site.
func asksAsPage(*statuses) answer {
	GinkgoHelper()
	c, at := newCertificates(), address()
	file := func(params, key string) string {
		values, err := url.ParseQuery(params)
		Expect(err).NotTo(HaveOccurred())
		return values.Get(key)
	}
	front, browser := c.issue("gateway", "127.0.0.1"), c.issue("browser", "browser.example")
	apart(fmt.Sprintf("listeners: [{address: %q, tls: {cert: %q, key: %q, clientCAs: %q}}]\ncertificates: {enabled: true}\n",
		at, file(front, "cert"), file(front, "key"), c.ca()), claimed)
	pair, err := tls.LoadX509KeyPair(file(browser, "cert"), file(browser, "key"))
	Expect(err).NotTo(HaveOccurred())
	roots := x509.NewCertPool()
	text, err := os.ReadFile(c.ca())
	Expect(err).NotTo(HaveOccurred())
	Expect(roots.AppendCertsFromPEM(text)).To(BeTrue())
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", at, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	_, err = io.WriteString(conn, "GET /do HTTP/1.1\r\nHost: "+at+"\r\nOrigin: https://other.example\r\n\r\n")
	Expect(err).NotTo(HaveOccurred())
	return respond(bufio.NewReader(conn), http.MethodGet)
}

// The example of RFC 6455, section 1.3.
const exampleKey, exampleAccept = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// loses is the address of an HTTP server that answers no request: it ends the connection, or waits until the gateway does, where the
// path ends with slow. Where it ends with socket, it accepts a WebSocket with the example's key.
func loses() string {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the gateway at the latest
				defer conn.Close()
				r := bufio.NewReader(conn)
				q, err := http.ReadRequest(r)
				switch {
				case err != nil:
				case strings.HasSuffix(q.URL.Path, "slow"):
					_, _ = r.ReadByte()
				case strings.HasSuffix(q.URL.Path, "socket"):
					_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
						"Sec-WebSocket-Accept: "+exampleAccept+"\r\n\r\n")
				}
			}()
		}
	}()
	return l.Addr().String()
}

// tellsVia is the URL of an HTTP server that answers with the Via of requests.
func tellsVia() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Via")) }))
	DeferCleanup(server.Close)
	return server.URL
}

// asksAgain asks as an upstream would that sends the gateway's request back.
func asksAgain(s *statuses) answer {
	GinkgoHelper()
	via := s.get("GET /legacy/via").body
	Expect(via).To(HavePrefix("1.1 stella-"))
	return s.get("GET /legacy/via", "Via: 1.0 before, "+via+"\r\n")
}

// startStatuses starts the gateway and all services.
func startStatuses() *statuses {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	file := filepath.Join(dir, "token")
	s := &statuses{
		stack:   &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address(), rest: map[program]held{}},
		entered: make(chan struct{}),
	}
	datagrams := "udp://" + address()
	Expect(os.MkdirAll(filepath.Join(dir, "files", "sub"), 0o700)).To(Succeed())
	for _, name := range []string{"a.txt", "sub/index.html"} {
		Expect(os.WriteFile(filepath.Join(dir, "files", name), []byte("text"), 0o600)).To(Succeed())
	}
	issuers := filepath.Join(dir, "gateway.yaml")
	Expect(os.WriteFile(issuers, []byte("issuers: [{issuer: '"+missing+"', audiences: [api], jwks: 'http://"+address()+"'}]\n"+
		"static: [{path: /files, dir: '"+filepath.Join(dir, "files")+"'}]\ntenant: {override: true}\nlegacy:\n  upstreams:\n"+
		"    - {name: gone, url: 'http://"+address()+"'}\n    - {name: lost, url: 'http://"+loses()+"'}\n    - {name: via, url: '"+tellsVia()+"'}\n  routes:\n"+
		"    - {path: /legacy/gone, upstream: gone, public: a test}\n    - {path: /legacy/lost, upstream: lost, public: a test}\n"+
		"    - {path: /legacy/via, upstream: via, public: a test}\n"+
		"    - {path: /legacy/socket, upstream: lost, public: a test}\n"+
		"    - {path: /legacy/slow, upstream: lost, public: a test, timeout: 100ms}\n"+
		"limits:\n  store: valkey://"+address()+"\n  rules:\n"+
		"    - {name: seldom, endpoint: GET /seldom, rate: 1, per: 1h}\n"+
		"    - {name: counted, endpoint: GET /counted, rate: 1, per: 1h, scope: environment, failure: closed}\n"), 0o600)).To(Succeed())
	p := start("gateway", nil, binary("stella-gateway"), "run", "--config", issuers, "--http", s.http, "--listen", s.listen+","+datagrams, "--admin", s.admin,
		"--dev", "--dev-token-file", file, "--queue", "valkey://"+address())
	Eventually(func() error {
		if p.ended() {
			StopTrying("the gateway has ended").Now()
		}
		return healthy(s.admin)
	}).Should(Succeed())
	var err error
	s.key, err = auth.LoadDevKey(file + ".key")
	Expect(err).NotTo(HaveOccurred())
	small := spec.Limits{MaxBodyBytes: 1000, TimeoutMS: 300}
	s.service(s.listen, "main", 64, does, offered("GET", "/do", small), offered("POST", "/do", spec.Limits{MaxBodyBytes: 1000}),
		offered("GET", "/seldom", small), offered("GET", "/counted", small), offered("GET", "/claimed", small, claimed), offered("GET", "/socket", small, socket),
		offered("POST", "/job", spec.Limits{}, claimed, queued))
	s.service(s.listen, "dying", 64, func(link transports.Link, _ *session.Incoming) { _ = link.Close() },
		offered("GET", "/dying", spec.Limits{}))
	Expect(s.service(s.listen, "gone", 64, does, offered("GET", "/gone", spec.Limits{})).Close()).To(Succeed())
	s.service(s.listen, "full", 1, func(_ transports.Link, in *session.Incoming) {
		close(s.entered)
		<-in.Context().Done()
	}, offered("GET", "/full", spec.Limits{}))
	s.service(datagrams, "small", 64, func(l transports.Link, in *session.Incoming) {
		in.Request().Query = "large"
		does(l, in)
	}, offered("GET", "/udp/large", spec.Limits{}), offered("POST", "/udp/once", spec.Limits{}))
	raw(s.http, "GET /full HTTP/1.1\r\nHost: h\r\n\r\n")
	return s
}

var _ = Describe("every status that a gateway answers with", func() {
	It("has its cause, its code, and says whose answer it is and whether to try again", func() {
		s := startStatuses()
		all := causes()
		wrong := make([]string, len(all))
		var asking sync.WaitGroup
		for i, c := range all {
			if c.ask == nil {
				continue
			}
			asking.Go(func() {
				defer GinkgoRecover()
				a := c.ask(s)
				if a.StatusCode != c.status {
					wrong[i] = fmt.Sprintf("%d %s, %s: got %s, %s", c.status, c.code, c.what, a.Status, a.body)
					return
				}
				if c.code == "" {
					if p := a.Header.Get("Proxy-Status"); p != "" {
						wrong[i] = fmt.Sprintf("%s: an answer that is no problem has Proxy-Status %s", c.what, p)
					}
					return
				}
				p := a.problem()
				if p.Code != c.code || p.Origin != "gateway" || p.Retryable != c.retryable || p.Title == "" || p.Detail == "" ||
					a.Header.Get("Proxy-Status") != "stella; error="+proxyError(c.code)+`; details="`+c.code+`"` ||
					(a.Header.Get("Retry-After") != "") != (c.status == 503 || c.status == 429) || (a.Header.Get("Allow") != "") != (c.status == 405) ||
					(a.Header.Get("Upgrade") != "") != (c.status == 426) ||
					(a.Header.Get("Www-Authenticate") != "") != (c.status == 401 || c.status == 403) {
					wrong[i] = fmt.Sprintf("%d %s, %s: got %+v and %v", c.status, c.code, c.what, p, a.Header)
				}
			})
		}
		asking.Wait()
		wrong = slices.DeleteFunc(wrong, func(s string) bool { return s == "" })
		Expect(wrong).To(BeEmpty(), strings.Join(wrong, "\n"))
	})
})

// proxyError is the error type of a code in Proxy-Status.
func proxyError(code string) string {
	for _, k := range edge.Problems() {
		if k.Code == code {
			return k.Error
		}
	}
	return ""
}

var updateStatuses = flag.Bool("update-statuses", false, "write docs/reference/statuses.md")

const statusesFile = "../docs/reference/statuses.md"

const statusesHead = `<!-- Generated from e2e and gateway/edge: go test ./e2e -run TestStatuses -update-statuses -->

# Statuses

Every status that a gateway answers with, by its cause. The end-to-end suite asks a gateway for each.

An answer with a code is a problem by RFC 9457 (` + "`application/problem+json`" + `) with ` + "`type`, `title`, `status`, `detail`, `code`,\n`requestId`" + `
and ` + "`origin: gateway`" + `; ` + "`retryable: true`" + ` says that the call was certainly not taken on, and may be repeated whatever its method.
` + "`Proxy-Status`" + ` (RFC 9209) says the same to tools, as ` + "`stella; error=TYPE; details=\"CODE\"`" + `: an answer without it is the service's, or
of HTTP itself. 429 and 503 have ` + "`Retry-After`, 405 `Allow`, 426 `Upgrade` (but by HTTP/2, which has no such field), 401 and 403 `WWW-Authenticate`" + `. An answer to a request of HTTP/1.0, or with
Transfer-Encoding, has ` + "`Connection: close`" + `.

| status | code | error in Proxy-Status | retryable | cause |
|---|---|---|---|---|
`

const statusesFoot = `
## Without a status

| what the client sees | cause |
|---|---|
| The connection ends before an answer. | The request's head took longer than ` + "`limits.requests.headerTime`, or the connection was idle for longer than `limits.requests.idle`" + `. |
| The connection ends before a byte is read. | There are too many, in all or of the address: ` + "`limits.connections`" + `. Or it comes from a peer of ` + "`proxyProtocol`" + ` and does not begin with a PROXY header. |
| A WebSocket's connection is reset. | The service or the legacy upstream was lost or gave up; nothing has moved either way for longer than the idle limit; the client read nothing for ` + "`transports.stall`" + `; or the gateway's grace was over. |
| The answer is broken off: HTTP/1.1 without its last chunk or its length, HTTP/2 by RST_STREAM. | The service was lost, gave up, fell silent for longer than its idle limit, or did not keep to its Content-Length; or the client read nothing for ` + "`transports.stall`" + `. |
| A connection of HTTP/2 ends. | Its client has reset 200 requests more, within a second of their beginning, than were answered; one is forgiven every 50 ms. Or it broke the protocol: GOAWAY says how. |
| Nothing, since it has left. | The access log says 499, and the outcome is ` + "`client_gone`" + `. |
`

// TestStatuses compares docs/reference/statuses.md with the table, in which every problem of the gateway has its place.
func TestStatuses(t *testing.T) {
	var b strings.Builder
	b.WriteString(statusesHead)
	unexplained := map[string]int{}
	for _, k := range edge.Problems() {
		unexplained[k.Code] = k.Status
	}
	last := 0
	for _, c := range causes() {
		if status, ok := unexplained[c.code]; ok && status != c.status {
			t.Errorf("%s is %d in the table and %d in gateway/edge", c.code, c.status, status)
		}
		if c.status < last {
			t.Errorf("%d comes behind %d", c.status, last)
		}
		last = c.status
		code, kind, again := "", "", ""
		if c.code != "" {
			code, kind, again = "`"+c.code+"`", "`"+proxyError(c.code)+"`", "no"
		}
		if c.retryable {
			again = "yes"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", c.status, code, kind, again, c.what)
	}
	for _, c := range causes() {
		delete(unexplained, c.code)
	}
	for code, status := range unexplained {
		t.Errorf("no cause in the table is answered with %d %s", status, code)
	}
	b.WriteString(statusesFoot)
	if *updateStatuses {
		if err := os.WriteFile(statusesFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(statusesFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != b.String() {
		t.Error("docs/reference/statuses.md differs from the table: run go test ./e2e -run TestStatuses -update-statuses, and look at what changed")
	}
}
