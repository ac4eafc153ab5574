package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// evil is the value of every field that must not pass. It is in nothing else.
const evil = "evil-value"

// known are reserved names as they are met in the wild, beside what the list itself stands for.
var known = []string{
	"X-User", "X-User-Id", "X-Username", "X-Auth-Request-User", "X-Authenticated-Userid", "X-Tenant-Id", "X-Consumer-Custom-Id", "X-Forwarded-For",
	"X-Forwarded-Host", "X-Forwarded-User", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Client-Cert", "X-Client-Cert-Dn",
	"X-Ssl-Client-Verify", "X-Ssl-Cert", "Proxy-Authorization", "Proxy-Connection", "X-Stella-Subject", "Stella-Tenant", "Client-Cert-Chain",
	"Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Access-Jwt-Assertion", "Remote-User", "Remote-Groups", "X-Remote-User", "Ssl-Client-Cert",
	"X-Amzn-Oidc-Identity", "X-Goog-Authenticated-User-Email", "X-Goog-Iap-Jwt-Assertion", "X-Ms-Client-Principal-Name", "X-Webauth-User",
	"X-Amzn-Mtls-Clientcert-Subject", "X-Pomerium-Claim-Email", "X-Vouch-User", "Oidc-Claim-Sub", "Iv-User", "Iv-Groups",
	"X-Envoy-Original-Path", "X-Envoy-External-Address", "X-Jwt-Assertion", "X-Originating-Ip", "X-Http-Method", "Fastly-Client-Ip",
	spec.HeaderEnvelope, spec.HeaderEnvelopeSignature, "X-Stella-Tenant",
}

// everyReserved are the names to try: those that are known, and of each pattern of the list one or two.
func everyReserved() []string {
	all := slices.Clone(known)
	for _, name := range spec.ReservedHeaders() {
		bare, more := strings.CutSuffix(name, "*")
		switch {
		case !more:
			all = append(all, bare)
		case strings.HasSuffix(bare, "-"):
			all = append(all, bare+"Thing")
		default:
			all = append(all, bare, bare+"-Thing", bare+"s")
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// recorder is a service that keeps what reached it.
type recorder struct {
	mu       sync.Mutex
	seen     []spec.Request
	trailers [][]spec.Field // of those whose body has come
}

func (r *recorder) serve(in *session.Incoming) {
	q := *in.Request()
	q.Header, q.Params = slices.Clone(q.Header), slices.Clone(q.Params)
	r.mu.Lock()
	r.seen = append(r.seen, q)
	r.mu.Unlock()
	body, err := io.ReadAll(in)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.trailers = append(r.trailers, in.Trailers())
	r.mu.Unlock()
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, body)
}

// takeTrailers returns the trailers that have come since it was last asked, of each request.
func (r *recorder) takeTrailers() [][]spec.Field {
	r.mu.Lock()
	defer r.mu.Unlock()
	trailers := r.trailers
	r.trailers = nil
	return trailers
}

// take returns what has come since it was last asked.
func (r *recorder) take() []spec.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// clean expects of everything that reached the service that it has nothing reserved, under whatever spelling.
func clean(seen []spec.Request) {
	GinkgoHelper()
	for i := range seen {
		for _, f := range seen[i].Header {
			folded := http.CanonicalHeaderKey(strings.ReplaceAll(f.Name, "_", "-"))
			Expect(spec.IsReservedHeader(folded)).To(BeFalse(), f.Name)
		}
		Expect(fmt.Sprintf("%+v", seen[i])).NotTo(ContainSubstring(evil))
		Expect(string(seen[i].AppendTo(nil))).NotTo(ContainSubstring(evil))
	}
}

// mixed has every other letter in the other case.
func mixed(name string) string {
	b := []byte(name)
	for i := range b {
		if i%2 == 1 {
			b[i] = strings.ToUpper(string(b[i]))[0]
		} else {
			b[i] = strings.ToLower(string(b[i]))[0]
		}
	}
	return string(b)
}

// plainForms are the forms that a request with a body or without has: what each sends for a name.
var plainForms = map[string]func(name string) string{
	"exact":      func(n string) string { return n + ": " + evil + "\r\n" },
	"lower case": func(n string) string { return strings.ToLower(n) + ":" + evil + "\r\n" },
	"upper case": func(n string) string { return strings.ToUpper(n) + ": " + evil + "\r\n" },
	"mixed case": func(n string) string { return mixed(n) + ": " + evil + "\r\n" },
	"underscore": func(n string) string { // a name without a dash has a neighbour that has one
		if !strings.Contains(n, "-") {
			n += "_"
		}
		return strings.ReplaceAll(n, "-", "_") + ": " + evil + "\r\n"
	},
	"one underscore": func(n string) string {
		if !strings.Contains(n, "-") {
			n = "_" + n
		}
		return strings.Replace(n, "-", "_", 1) + ": " + evil + "\r\n"
	},
	"duplicate": func(n string) string {
		return n + ": " + evil + "\r\n" + strings.ToLower(n) + ": " + evil + "\r\n"
	},
	"empty":    func(n string) string { return n + ":\r\n" },
	"obs-fold": func(n string) string { return n + ":\r\n " + evil + "\r\n\t" + evil + "\r\n" },
	"Connection-nominated": func(n string) string {
		return "Connection: " + n + "\r\n" + n + ": " + evil + "\r\n"
	},
	"Connection-nominated, with an underscore": func(n string) string {
		return "Connection: keep-alive, " + strings.ReplaceAll(n, "-", "_") + "\r\n" + n + ": " + evil + "\r\n"
	},
}

// callers are who calls: what they send beside, where, and what is answered.
type caller struct {
	name, path, authorization string
	status                    int
}

var _ = Describe("a reserved header field", func() {
	var (
		r       *rig
		service *recorder
		callers []caller
	)

	BeforeEach(func() {
		file := filepath.Join(GinkgoT().TempDir(), "token")
		r = start(func(c *gateway.Config) { c.Dev = &gateway.Dev{TokenFile: file} })
		key, err := auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		token, err := key.Token([]spec.Claim{{Type: "scope", Value: "read"}}, time.Now(), 5*time.Minute)
		Expect(err).NotTo(HaveOccurred())
		weak, err := key.Token(nil, time.Now(), 5*time.Minute)
		Expect(err).NotTo(HaveOccurred())
		service = &recorder{}
		r.join(identity{trailers: true}, service.serve, endpoint("POST", "/claimed", claims("scope=read")), endpoint("POST", "/public"))
		callers = []caller{
			{"authenticated", "/claimed", "Bearer " + token, 200},
			{"refused for want of a token", "/claimed", "", 401},
			{"refused for want of a claim", "/claimed", "Bearer " + weak, 403},
			{"anonymous", "/public", "", 200},
			{"authenticated where nobody asks", "/public", "Bearer " + token, 200},
		}
	})

	It("never reaches a service by HTTP/1.1, in whatever form and whoever calls", func() {
		names := everyReserved()
		Expect(len(names)).To(BeNumerically(">", 60))
		for _, c := range callers {
			head := "POST " + c.path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
			if c.authorization != "" {
				head += "Authorization: " + c.authorization + "\r\n"
			}
			for form, of := range plainForms {
				conn, in := r.raw("")
				passed := 0
				for _, name := range names {
					_, err := conn.Write([]byte(head + of(name) + "\r\nok"))
					Expect(err).NotTo(HaveOccurred())
					resp, err := http.ReadResponse(in, nil)
					Expect(err).NotTo(HaveOccurred(), "%s, %s, %s", name, form, c.name)
					want := c.status
					if strings.HasPrefix(form, "Connection-nominated") {
						want = http.StatusBadRequest
					}
					b := new(strings.Builder)
					Expect(resp.Write(b)).To(Succeed())
					Expect(resp.StatusCode).To(Equal(want), "%s, %s, %s: %s", name, form, c.name, b)
					Expect(b.String()).NotTo(ContainSubstring(evil))
					if want == http.StatusOK {
						passed++
					}
				}
				Expect(conn.Close()).To(Succeed())
				seen := service.take()
				Expect(seen).To(HaveLen(passed), "%s, %s", form, c.name)
				clean(seen)
			}
		}
	})

	It("never reaches a service as a trailer, declared or not, of HTTP/1.1 and of HTTP/2, beside one that does", func() {
		noTrailers := []string{"proxy-authorization", "proxy-connection"} // net/http resets a stream that has declared them, while it is being served
		for _, c := range callers {
			passed, broken := 0, 0
			for i, name := range everyReserved() {
				declared := ""
				if i%2 == 0 {
					declared = "Trailer: X-Plain, " + name + "\r\n"
				}
				_, in := r.raw("POST " + c.path + " HTTP/1.1\r\nHost: h\r\nAuthorization: " + c.authorization + "\r\nTransfer-Encoding: chunked\r\n" + declared +
					"\r\n2\r\nok\r\n0\r\n" + name + ": " + evil + "\r\n" + strings.ReplaceAll(name, "-", "_") + ": " + evil + "\r\nX-Plain: passes\r\n\r\n")
				Expect(status(in)).To(Equal(c.status), "%s, %s", name, c.name)
				if c.status == http.StatusOK {
					passed++
				}
			}
			conn := r.h2()
			for i, name := range everyReserved() {
				stream := uint32(2*i + 1)
				if c.status != http.StatusOK { // net/http takes trailers that come behind the answer for a fault of the connection
					Expect(conn.Close()).To(Succeed())
					conn = r.h2()
				}
				name = strings.ToLower(name)
				declared := []string{"authorization", c.authorization, "trailer", "x-plain"} // net/http passes on those alone
				if i%2 == 0 {
					declared = append(declared, "trailer", name)
				}
				if i%4 < 2 { // inline, and not by a pump
					declared = append(declared, "content-length", "2")
				}
				_, err := conn.Write(slices.Concat(
					frame(h2Headers, h2EndHeaders, stream, asking("POST", c.path, declared...)), frame(h2Data, 0, stream, []byte("ok")),
					frame(h2Headers, h2EndHeaders|h2End, stream, fields(name, evil, "x-plain", "passes", strings.ReplaceAll(name, "-", "_")+"_", evil)),
				))
				Expect(err).NotTo(HaveOccurred())
				answer := conn.until(stream, h2Headers, h2Reset)
				if c.status == http.StatusOK && slices.Contains(noTrailers, name) {
					broken++
					continue
				}
				Expect(answer.ok()).To(Equal(c.status == http.StatusOK), "%s, %s", name, c.name)
				if c.status == http.StatusOK {
					passed++
				}
			}
			Expect(conn.Close()).To(Succeed())
			seen := service.take()
			Expect(len(seen)).To(And(BeNumerically(">=", passed), BeNumerically("<=", passed+broken)))
			clean(seen)
			trailers := service.takeTrailers()
			Expect(len(trailers)).To(BeNumerically(">=", passed))
			for _, fields := range trailers {
				Expect(fields).To(Equal([]spec.Field{{Name: "X-Plain", Value: "passes"}}), c.name)
			}
		}
	})

	It("never reaches a service by HTTP/2", func() {
		connection := []string{"Proxy-Connection"} // malformed in HTTP/2 (RFC 9113, section 8.2.2): answered with 400
		for _, c := range callers {
			conn := r.h2()
			stream, passed := uint32(1), 0
			for _, name := range everyReserved() {
				lower := strings.ToLower(name)
				for _, list := range [][]string{
					{lower, evil},
					{lower, evil, lower, evil},
					{lower, ""},
					{strings.ReplaceAll(lower, "-", "_") + "_", evil},
					{strings.Replace(lower, "-", "_", 1) + "_", evil},
				} {
					list = append(list, "authorization", c.authorization, "content-length", "0")
					Expect(conn.send(h2Headers, h2EndHeaders|h2End, stream, asking("POST", c.path, list...))).To(Succeed())
					answer := conn.until(stream, h2Headers, h2Reset)
					want := c.status == http.StatusOK && (!slices.Contains(connection, name) || list[0] != lower)
					Expect(answer.ok()).To(Equal(want), "%v, %s", list, c.name)
					if want {
						passed++
					}
					stream += 2
				}
				for _, list := range [][]string{ // malformed: capitals, and fields that belong to a connection
					{name, evil}, {"connection", lower, lower, evil},
				} {
					Expect(conn.send(h2Headers, h2EndHeaders|h2End, stream, asking("POST", c.path, list...))).To(Succeed())
					Expect(conn.until(stream, h2Headers, h2Reset).ok()).To(BeFalse(), "%v, %s", list, c.name)
					stream += 2
				}
			}
			Expect(conn.Close()).To(Succeed())
			seen := service.take()
			Expect(seen).To(HaveLen(passed), c.name)
			clean(seen)
		}
	})

	It("never reaches a service beside 127 that pass", func() {
		var b strings.Builder
		for i := range 127 {
			fmt.Fprintf(&b, "X-Plain-%d: 1\r\n", i)
		}
		for _, name := range everyReserved()[:20] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, evil)
		}
		_, in := r.raw("POST /public HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" + b.String() + "\r\n")
		Expect(status(in)).To(Equal(200))
		seen := service.take()
		Expect(seen).To(HaveLen(1))
		Expect(seen[0].Header).To(HaveLen(127))
		clean(seen)
	})
})
