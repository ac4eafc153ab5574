package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

func TestCommand(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "stella-gateway")
}

// broken panics when it is written to.
type broken struct{}

func (broken) Write([]byte) (int, error) { panic("broken") }

const patience = 5 * time.Second

var anyPort = []string{"run", "--http", "127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:0"}

// connect connects instance one of the service test, which offers GET /a.
func connect(url string) *session.Service {
	GinkgoHelper()
	return connectAs(url, "test", "one", "/a")
}

// connectAs connects an instance of a service in version 1.0.0, which offers a path.
func connectAs(url, service, id, path string) *session.Service {
	GinkgoHelper()
	m := &spec.Manifest{Service: service, Version: "1.0.0", Endpoints: []spec.Endpoint{{
		Method: "GET", Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test", Limits: spec.DefaultLimits,
	}}}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	link, err := transports.Dial(context.Background(), url)
	Expect(err).NotTo(HaveOccurred())
	s, err := session.Open(context.Background(), link, session.ServiceConfig{
		Hello: spec.Hello{Instance: spec.Instance{Service: service, Version: "1.0.0", ID: id, Region: "eu"}, Lease: 8}, Manifest: manifest,
		Serve: func(*session.Incoming) {},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	return s
}

// start runs the command; it is over when the returned channel gives its exit code.
func start(args ...string) (out, err *gbytes.Buffer, signals chan os.Signal, code chan int) {
	out, err, signals, code = gbytes.NewBuffer(), gbytes.NewBuffer(), make(chan os.Signal, 2), make(chan int, 1)
	go func() { code <- run(args, streams{out, err, signals}) }()
	return out, err, signals, code
}

var _ = DescribeTable("what a gateway starts outlives it", func(pid, parent int, notify string, is error) {
	if is == nil {
		Expect(outlived(pid, parent, notify)).To(Succeed())
		return
	}
	Expect(outlived(pid, parent, notify)).To(MatchError(is))
},
	Entry("where a shell has started it", 100, 99, "", nil),
	Entry("where systemd has that follows it", 100, 1, "/run/systemd/notify", nil),
	Entry("not where systemd has that does not, or the init of a container", 100, 1, "", errInit),
	Entry("not where it is the first process of a container", 1, 0, "", errFirst),
	Entry("not even where somebody follows it", 1, 0, "/run/notify", errFirst),
)

var _ = Describe("the command", func() {
	DescribeTable("exits with 2 when it is asked for something wrong, and says what",
		func(says string, args ...string) {
			_, err, _, code := start(args...)
			Eventually(code).WithTimeout(patience).Should(Receive(Equal(2)))
			Expect(err).To(gbytes.Say(regexp.QuoteMeta(says)))
		},
		Entry("an unknown flag", "unknown flag --prot", "run", "--prot", "1"),
		Entry("no command", "expected one of"),
		Entry("a public admin address", "not a loopback address", "run", "--admin", "0.0.0.0:0"),
		Entry("development without a file", "--dev: dev.enabled: development mode needs a file for the token", "run", "--dev"),
		Entry("a token file without development", "--dev-token-file: dev.tokenFile: is for development mode alone", "run", "--dev-token-file", "x"),
		Entry("a region that is no name", "region \"eu west\"", "run", "--region", "eu west"),
		Entry("a listener with a path", "tcp://127.0.0.1:0/x", "run", "--listen", "tcp://127.0.0.1:0/x"),
		Entry("a directory for the token", "is a directory", "run", "--dev", "--dev-token-file", "."),
		Entry("no grace", "--grace: shutdown.grace: expected at least 1ms, got 0s", "run", "--grace", "0s"),
		Entry("no retention", "--retain: transports.retain: expected at least 1ms, got 0s", "run", "--retain", "0s"),
		Entry("a claim without a value", "expected TYPE=VALUE", "token", "--dev-key", "x", "--claim", "scope"),
		Entry("a certificate that would be the gateway's", "would overwrite", "certs", "dev", "--dir", "x", "--service", "gateway"),
		Entry("a certificate for a path", "no name for a certificate", "certs", "dev", "--dir", "x", "--service", "a/b"),
		Entry("a listener with an unknown parameter", "unknown parameter", "run", "--listen", "tls://127.0.0.1:0?cacert=x"),
		Entry("a missing key", "no such file", "token", "--dev-key", "/does/not/exist", "--claim", "a=b"),
	)

	It("makes certificates for development, with which a gateway and a service meet", func() {
		dir := filepath.Join(GinkgoT().TempDir(), "certs")
		out, _, _, code := start("certs", "dev", "--dir", dir, "--host", "127.0.0.1", "--service", "billing,echo")
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
		urls := regexp.MustCompile(`tls://[^']+`).FindAllString(string(out.Contents()), -1)
		Expect(urls).To(HaveLen(3))
		l, err := transports.Listen(context.Background(), strings.Replace(urls[0], "127.0.0.1", "127.0.0.1:0", 1), transports.ListenConfig{})
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(l.Close()).To(Succeed()) }()
		for i, name := range []string{"billing", "echo"} {
			near, err := transports.Dial(context.Background(), strings.Replace(urls[i+1], "tls://127.0.0.1", l.Addr(), 1))
			Expect(err).NotTo(HaveOccurred())
			far, err := l.Accept()
			Expect(err).NotTo(HaveOccurred())
			Expect(far.Traits().Names).To(Equal([]string{name}))
			Expect(near.Close()).To(Succeed())
			Expect(far.Close()).To(Succeed())
		}
	})

	It("serves until it is told to end, and exits with 0", func() {
		out, _, signals, code := start(anyPort...)
		Eventually(out).WithTimeout(patience).Should(gbytes.Say(`serves http://127.0.0.1:\d+, services dial tcp://127.0.0.1:\d+, operators http://127.0.0.1:\d+\n`))
		Consistently(code).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("says where operators ask it, in a form that ctl takes", func() {
		socket := "unix://" + filepath.Join(GinkgoT().TempDir(), "admin.sock")
		for _, address := range []string{socket, "127.0.0.1:0"} {
			out, _, signals, code := start("run", "--http", "127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", "--admin", address)
			Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators \S+\n`))
			printed := regexp.MustCompile(`operators (\S+)`).FindStringSubmatch(string(out.Contents()))[1]
			if address == socket {
				Expect(printed).To(Equal(socket))
			} else {
				Expect(printed).To(HavePrefix("http://127.0.0.1:"))
			}
			for _, admin := range []string{printed, strings.TrimPrefix(printed, "http://"), printed + map[bool]string{false: "/"}[address == socket]} {
				said, _, _, asked := start("ctl", "--admin", admin, "check", "ready")
				Eventually(asked).WithTimeout(patience).Should(Receive(BeZero()), admin)
				Expect(said).To(gbytes.Say("OK: the gateway takes on requests\n"))
			}
			signals <- syscall.SIGTERM
			Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
		}
	})

	It("keeps a token in a file, and makes others with the same key", func() {
		dir := GinkgoT().TempDir()
		file, key := filepath.Join(dir, "token"), filepath.Join(dir, "key")
		_, _, signals, code := start(append(anyPort, "--dev", "--dev-token-file", file, "--dev-key", key)...)
		Eventually(file).WithTimeout(patience).Should(BeARegularFile())
		out, _, _, printed := start("token", "--dev-key", key, "--claim", "scope=billing:read", "--claim", "scope=a,b", "--ttl", "1m")
		Eventually(printed).WithTimeout(patience).Should(Receive(BeZero()))
		k, err := auth.LoadDevKey(key)
		Expect(err).NotTo(HaveOccurred())
		id, err := k.Verifier().Verify(context.Background(), strings.TrimSpace(string(out.Contents())), time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(id.Claims).To(ContainElements(HaveField("Value", "billing:read"), HaveField("Value", "a,b")))
		signals <- syscall.SIGINT
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("warns of variables that nobody reads", func() {
		GinkgoT().Setenv("STELLA_REGON", "secret")
		_, err, signals, code := start(anyPort...)
		Eventually(err).WithTimeout(patience).Should(gbytes.Say(`level=WARN msg="there is no such variable, it is ignored" variable=STELLA_REGON nearest=STELLA_REGION`))
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
		Expect(string(err.Contents())).NotTo(ContainSubstring("secret"))
	})

	It("takes its flags from variables, too", func() {
		GinkgoT().Setenv("STELLA_ADMIN", "0.0.0.0:0")
		_, err, _, code := start("run")
		Eventually(code).WithTimeout(patience).Should(Receive(Equal(2)))
		Expect(err).To(gbytes.Say(`admin address "0.0.0.0:0"`))
	})

	It("checks, compares and shows configurations", func() {
		dir := GinkgoT().TempDir()
		before, after, wrong := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"), filepath.Join(dir, "c.yaml")
		Expect(os.WriteFile(before, []byte("node: {region: eu}\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(after, []byte("node: {region: us}\nlog: {level: warn}\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(wrong, []byte("nod: {}\nadmin: {address: '0.0.0.0:1'}\n"), 0o600)).To(Succeed())
		unsafe := filepath.Join(dir, "unsafe.yaml") // as only the parts of a gateway see
		Expect(os.WriteFile(unsafe, []byte("admin: {address: '0.0.0.0:1'}\n"), 0o600)).To(Succeed())
		for _, c := range []struct {
			code     int
			out, err string
			args     []string
		}{
			{0, before + " is right\n", "", []string{"check", before}},
			{0, before + " is right\n", "", []string{"check", "--config", before}},
			{2, "", `c.yaml:1:1: there is no key "nod"`, []string{"check", wrong}},
			{2, "", "expected one configuration file", []string{"check"}},
			{2, "", "expected one configuration file", []string{"check", "--config", before, wrong}},
			{2, "", "no such file", []string{"check", filepath.Join(dir, "none")}},
			{0, "~ node.region: eu -> us  (restart)\n~ log.level: info -> warn\n2 changes, 1 of them need a restart\n", "", []string{"diff", before, after}},
			{2, "", "unsafe.yaml:1:9: admin.address: ", []string{"diff", before, unsafe}},
			{0, "~ admin.address: ", "", []string{"diff", unsafe, before}},
			{0, `"origin": "` + after + `:2:7"`, "", []string{"diff", "--format", "json", before, after}},
			{0, "--region", "", []string{"config", "show", "--origin", "--config", after, "--region", "ap"}},
			{0, "http://json-schema.org/draft-07/schema#", "", []string{"config", "schema"}},
			{0, "## node", "", []string{"config", "reference"}},
		} {
			out, err, _, code := start(c.args...)
			Eventually(code).WithTimeout(patience).Should(Receive(Equal(c.code)), "%v: %s", c.args, err.Contents())
			Expect(string(out.Contents())).To(ContainSubstring(c.out))
			Expect(string(err.Contents())).To(ContainSubstring(c.err))
		}
	})

	It("names everything that only the parts of a gateway find wrong, each with its place in the file", func() {
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte(`limits:
  rules:
    - {name: a, by: foo, rate: 5}
    - {name: b, by: tenant, rate: 5, scope: environment, failure: open}
  priorities: [{class: critical}]
cors: [{origins: ["*"], credentials: true}]
issuers: [{issuer: "https://a", audiences: [x], algorithms: [RS256], jwks: "http://example.com/keys"}]
routing: {version: {default: newest, weights: {1.0.0: 1}}}
services: {billing: {version: {default: "1.0"}}}
transports: {listen: ["tcp://0.0.0.0:5100"], peers: ["tcp://u:p@h:1"]}
admin: {address: "0.0.0.0:5190"}
envelope: {keyFile: nowhere, services: [a]}
authority: {source: "http://example.com/x"}
listeners: [{address: "127.0.0.1:8443", tls: {cert: nowhere, key: nowhere}}]
`), 0o600)).To(Succeed())
		for _, args := range [][]string{{"check", file}, {"run", "--config", file}} {
			_, err, _, code := start(args...)
			Eventually(code).WithTimeout(patience).Should(Receive(Equal(2)))
			places := []string{
				"3:7: limits.rules[0]: ", "5:16: limits.priorities[0]: ", "8:38: routing.version.weights: ", "9:32: services[billing].version.default: ",
				"10:23: transports.listen[0]: ", "10:54: transports.peers[0]: ", "11:9: admin.address: ", "2:3: limits.rules: ", "6:8: cors[0]: ",
				"7:70: issuers[0].jwks: ", "12:12: envelope.keyFile: ", "13:1: authority: ", "14:41: listeners[0].tls: ",
			}
			said := string(err.Contents())
			for _, place := range places {
				Expect(said).To(ContainSubstring("\n"+file+":"+place), "%v", args)
			}
			Expect(said).NotTo(ContainSubstring("gateway: configuration: "), "that is said once")
		}
	})

	It("reloads its file by SIGHUP, and keeps what is in force when the file is wrong", func() {
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte("log: {level: info}\n"), 0o600)).To(Succeed())
		_, err, signals, code := start(append(anyPort, "--config", file)...)
		Eventually(err).WithTimeout(patience).Should(gbytes.Say("msg=serving"))
		Expect(os.WriteFile(file, []byte("log: {level: loud}\n"), 0o600)).To(Succeed())
		signals <- syscall.SIGHUP
		Eventually(err).WithTimeout(patience).Should(gbytes.Say("configuration refused: what was in force stays so"))
		Expect(os.WriteFile(file, []byte("log: {level: debug}\n"), 0o600)).To(Succeed())
		signals <- syscall.SIGHUP
		Eventually(err).WithTimeout(patience).Should(gbytes.Say("configuration in force"))
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("asks a gateway that runs, and changes what is going on in it", func() {
		word := filepath.Join(GinkgoT().TempDir(), "authority.json")
		Expect(os.WriteFile(word, []byte(`{"services":{"test":{"GET /c":{"claims":[{"type":"scope","value":"x"},{"type":"team"}]}}}}`), 0o600)).To(Succeed())
		next, wrong := filepath.Join(filepath.Dir(word), "next.yaml"), filepath.Join(filepath.Dir(word), "wrong.yaml")
		Expect(os.WriteFile(next, []byte("http: 127.0.0.1:1\ntransports: {retain: 1h}\nlog: {level: warn}\nauthority: {source: none}\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(wrong, []byte("nod: {}\n"), 0o600)).To(Succeed())
		GinkgoT().Setenv("STELLA_AUTHORITY_SOURCE", word)
		out, _, signals, code := start(anyPort...)
		Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators http`))
		text := string(out.Contents())
		address := regexp.MustCompile(`operators http://(\S+)`).FindStringSubmatch(text)[1]
		dial := regexp.MustCompile(`services dial (\S+),`).FindStringSubmatch(text)[1]
		connect(dial)
		ctl := func(args ...string) (int, string) {
			GinkgoHelper()
			out, err, _, code := start(append([]string{"ctl", "--admin", address}, args...)...)
			var got int
			Eventually(code).WithTimeout(patience).Should(Receive(&got))
			return got, string(out.Contents()) + string(err.Contents())
		}
		Eventually(func() string { _, text := ctl("services"); return text }).WithTimeout(patience).Should(MatchRegexp(`test +1\.0\.0 +one +eu +healthy +0 +8`))
		for _, c := range []struct {
			code int
			want string
			args []string
		}{
			{0, "GET     /a    test     1.0.0    true      1", []string{"endpoints", "ls"}},
			{0, `"public": "a test"`, []string{"endpoints", "show", "GET /a"}},
			{1, `stella-gateway: nothing is routed as "GET /b": stella-gateway ctl endpoints ls lists what is`, []string{"endpoints", "show", "GET /b"}},
			{2, `stella-gateway: expected METHOD /path in quotes, such as 'GET /invoices/{id}', and got "/a"`, []string{"endpoints", "show", "/a"}},
			{0, "GET     /a    test", []string{"endpoints"}},
			{2, `stella-gateway: expected the id of a request`, []string{"inflight", "cancel", ""}},
			{2, `stella-gateway: expected the name of a service and the id of an instance, and got "test" and ""`, []string{"instances", "drain", "test", ""}},
			{2, "--format nagios is for ctl check; expected text or json", []string{"services", "ls", "--format", "nagios"}},
			{2, "--format prometheus is for ctl check", []string{"--format", "prometheus", "audit"}},
			{2, `--format must be one of "text"`, []string{"services", "ls", "--format", "yaml"}},
			{0, "test one: drain", []string{"drain", "one"}},
			{0, "test one: resume", []string{"resume", "one"}},
			{0, "test one: drain", []string{"drain", "test", "one"}},
			{0, "test one: resume", []string{"resume", "test", "one"}},
			{1, `no service has an instance "two"`, []string{"drain", "two"}},
			{1, `service "shop" has no instance "one" here`, []string{"drain", "shop", "one"}},
			{2, `expected one instance: [SERVICE] INSTANCE`, []string{"drain", "test", "one", "two"}},
			{0, `"origin": "manifest"`, []string{"endpoints", "show", "GET /a"}},
			{0, "test     GET /c    scope=x team          authority  no service offers it\n", []string{"access"}},
			{0, "authority.json: answered ", []string{"access"}},
			{0, `"offered": false`, []string{"access", "--format", "json"}},
			{0, "REQUEST", []string{"inflight"}},
			{0, "version   1.0.0   100 %  the policy's choice: capacity\n", []string{"request", "--explain-routing", "GET /a"}},
			{0, "instance  one  1.0.0  eu  tier 1  0 of 8  healthy\n", []string{"request", "--explain-routing", "GET /a"}},
			{0, "fault    no service offers this path\n", []string{"request", "--explain-routing", "GET /b"}},
			{2, "stella-gateway: expected METHOD /path in quotes", []string{"request", "--explain-routing", "/a"}},
			{0, `"balancer": "ewma"`, []string{"request", "--explain-routing", "GET /a?b", "--version", "1.0.0", "--format", "json"}},
			{0, "SERVICE  VERSION  ENDPOINT  PER SECOND", []string{"top", "--count", "1", "--interval", "100ms"}},
			{2, "expected an --interval of 100ms or more", []string{"top", "--interval", "1ms"}},
			{1, "it has ended", []string{"inflight", "cancel", "01a21f09-10d5-7d26-bf9b-172fd49a0714"}},
			{0, "OK: 1 versions of services, 1 instances routed", []string{"check", "health"}},
			{0, "test one: drain", []string{"instances", "drain", "test", "one"}},
			{0, "taken out of routing by an operator", []string{"services"}},
			{0, "no instance can take a call now\n", []string{"request", "--explain-routing", "GET /a"}},
			{2, "CRITICAL: 1 versions of services, 0 instances routed", []string{"check", "health"}},
			{2, "STELLA CRITICAL - ", []string{"check", "health", "--format", "nagios"}},
			{2, "stella_check_state 2\n", []string{"check", "health", "--format", "prometheus"}},
			{2, `"missing": [`, []string{"check", "health", "--format", "json"}},
			{0, "test one: resume", []string{"instances", "resume", "test", "one"}},
			{1, `no instance "two"`, []string{"instances", "resume", "test", "two"}},
			{0, "in force", []string{"reload"}},
			{0, "--admin", []string{"config"}},
			{0, "~ transports.retain: 10m -> 1h\n~ log.level: info -> warn\n2 changes, 0 of them need a restart\n", []string{"config", "diff", next}},
			{0, `"kind": "changed"`, []string{"config", "diff", next, "--format", "json"}},
			{2, "wrong.yaml:1:1: there is no key", []string{"config", "diff", wrong}},
			{0, "local  admin  reload", []string{"audit"}},
		} {
			got, text := ctl(c.args...)
			Expect(got).To(Equal(c.code), "%v: %s", c.args, text)
			Expect(text).To(ContainSubstring(c.want), "%v", c.args)
		}
		front := regexp.MustCompile(`serves (http://[^,\s]+),`).FindStringSubmatch(text)[1]
		tail, _, _, ended := start("ctl", "--admin", address, "tail", "--count", "1", "--path", "/none", "--status", "404", "--service", "")
		Eventually(func() string {
			if resp, err := http.Get(front + "/none"); err == nil {
				_ = resp.Body.Close()
			}
			return string(tail.Contents())
		}).WithTimeout(patience).Should(MatchRegexp(`404 not_found +\S+ GET /none no service offers this path\n`))
		Eventually(ended).WithTimeout(patience).Should(Receive(BeZero()))
		top, _, interrupt, ended := start("ctl", "--admin", address, "top", "--interval", "100ms")
		Eventually(func() string {
			if resp, err := http.Get(front + "/none"); err == nil {
				_ = resp.Body.Close()
			}
			return string(top.Contents())
		}).WithTimeout(patience).Should(MatchRegexp(`-  +\(none\) +\d+\.[1-9] +0\.0 % +\S+s +\S+s +0\n`))
		interrupt <- syscall.SIGINT
		Eventually(ended).WithTimeout(patience).Should(Receive(BeZero()))
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
		got, said := ctl("check", "health")
		Expect(got).To(Equal(3))
		Expect(said).To(HavePrefix("UNKNOWN: "))
	})

	It("shows what has not moved yet, and what both sides are asked", func() {
		old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/books/bad" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
		defer old.Close()
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte("legacy:\n  upstreams: [{name: shop, url: '"+old.URL+"'}]\n  routes:\n"+
			"    - {path: '/books/{rest...}', methods: [GET], upstream: shop, weight: 90, sticky: 'header:X-Caller', public: a test}\n"+
			"    - {path: /moved, upstream: shop, weight: 0, claims: [scope x]}\n"), 0o600)).To(Succeed())
		out, _, signals, code := start(append(anyPort, "--config", file)...)
		Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators http`))
		text := string(out.Contents())
		address := regexp.MustCompile(`operators http://(\S+)`).FindStringSubmatch(text)[1]
		front := regexp.MustCompile(`serves (http://[^,\s]+),`).FindStringSubmatch(text)[1]
		tail, _, _, ended := start("ctl", "--admin", address, "tail", "--count", "1", "--path", "/books/", "--status", "500")
		Eventually(func() string {
			if resp, err := http.Get(front + "/books/bad"); err == nil {
				_ = resp.Body.Close()
			}
			return string(tail.Contents())
		}).WithTimeout(patience).Should(MatchRegexp(`500 server_error +\S+ GET /books/bad legacy:shop\n`))
		Eventually(ended).WithTimeout(patience).Should(Receive(BeZero()))
		for want, args := range map[string][]string{
			`GET /books/\{rest\.\.\.\} +shop +90 % +header:X-Caller +[1-9]\d* +[1-9]\d* \(100 %\) +0 +0 +\n`: {"legacy", "ls"},
			`/moved +shop +0 % +0 +0 +0 +0 +scope=x\n`:                                                       {"legacy"},
			`"server_error": [1-9]`: {"legacy", "--format", "json"},
			`legacy:shop +GET /books/\{rest\.\.\.\} +100 % +no service has the method and path\n$`: {"request", "--explain-routing", "GET /books/7"},
			`legacy:shop +/moved +100 % +no service has the method and path\n$`:                    {"request", "--explain-routing", "GET /moved"},
			`legacy:shop +GET /books/\S+ +0 % +the request names a version`:                        {"request", "--explain-routing", "GET /books/7", "--version", "1.0.0"},
			`REQUEST`: {"inflight"},
		} {
			said, _, _, code := start(append([]string{"ctl", "--admin", address}, args...)...)
			Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
			Expect(string(said.Contents())).To(MatchRegexp(want), "%v", args)
		}
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("shows the limits, and what they have decided", func() {
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte("limits:\n  rules: [{name: few, by: address, rate: 2, per: 1h}]\n"+
			"  store: valkey://127.0.0.1:1\n  concurrency: {total: 9, adaptive: true}\n  connections: {total: 99}\n"+
			"legacy:\n  upstreams: [{name: shop, url: 'http://127.0.0.1:1'}]\n  routes: [{path: /old, upstream: shop, weight: 100, public: a test}]\n"), 0o600)).To(Succeed())
		out, _, signals, code := start(append(anyPort, "--config", file)...)
		Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators http`))
		text := string(out.Contents())
		address := regexp.MustCompile(`operators http://(\S+)`).FindStringSubmatch(text)[1]
		front := regexp.MustCompile(`serves (http://[^,\s]+),`).FindStringSubmatch(text)[1]
		for range 3 {
			resp, err := http.Get(front + "/old")
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
		}
		for want, args := range map[string][]string{
			`few +- +- +address +2 in 1h0m0s +2 +memory +- +2 +1\n`:                                                           {"limits"},
			`store 127\.0\.0\.1:1, environment default: does not answer.*breaker closed`:                                      {"limits"},
			`requests at once: 0 of 9\nunary calls at once: 0 of \d+, .*\nrefused since too many were served at once: none\n`: {"limits"},
			`connections: \d+ of 99, of one address any number; refused: none\n$`:                                             {"limits"},
			`"rules": \[\n +\{\n +"name": "few"(?s:.*)"refused": 1(?s:.*)"adaptive": true`:                                    {"limits", "--format", "json"},
		} {
			said, _, _, code := start(append([]string{"ctl", "--admin", address}, args...)...)
			Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
			Expect(string(said.Contents())).To(MatchRegexp(want), "%v", args)
		}
		http.DefaultClient.CloseIdleConnections()
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("says which services have not come that should have", func() {
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte("services: {billing: {instances: 2}}\n"), 0o600)).To(Succeed())
		out, _, signals, code := start(append(anyPort, "--config", file)...)
		Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators http`))
		address := regexp.MustCompile(`operators http://(\S+)`).FindStringSubmatch(string(out.Contents()))[1]
		said, _, _, health := start("ctl", "--admin", address, "check", "health")
		Eventually(health).WithTimeout(patience).Should(Receive(Equal(2)))
		Expect(said).To(gbytes.Say("CRITICAL: .*, 0 versions without an instance, 1 services with too few instances, .*\n" +
			"nothing is routed: no service is connected, and there is no legacy route\nmissing: billing has 0 of the 2 instances that it should have\n"))
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	DescribeTable("a check of its health says what keeps requests from being served",
		func(file string, ready, code int, reason string) {
			name := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
			Expect(os.WriteFile(name, []byte(file), 0o600)).To(Succeed())
			out, _, signals, ended := start(append(anyPort, "--config", name)...)
			Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators http`))
			text := string(out.Contents())
			address := regexp.MustCompile(`operators (http://\S+)`).FindStringSubmatch(text)[1]
			s := connect(regexp.MustCompile(`services dial (\S+),`).FindStringSubmatch(text)[1])
			check := func(args ...string) (int, string) {
				GinkgoHelper()
				out, _, _, code := start(append([]string{"ctl", "--admin", address, "check"}, args...)...)
				var got int
				Eventually(code).WithTimeout(patience).Should(Receive(&got))
				return got, string(out.Contents())
			}
			Eventually(func() string { _, text := check("health"); return text }).WithTimeout(patience).Should(MatchRegexp(
				`(?m)^[A-Z]+: 1 versions of services, 1 instances routed, .*(\n.*)*` + reason))
			got, _ := check("health")
			Expect(got).To(Equal(code))
			got, said := check("health", "--format", "nagios")
			Expect(got).To(Equal(code))
			Expect(said).To(MatchRegexp(`^STELLA (OK|WARNING|CRITICAL) - .*` + reason + `[^|]* \| live=1;;;0 [^|]*\n$`))
			got, said = check("health", "--format", "json")
			Expect(got).To(Equal(code))
			var found struct {
				State   string   `json:"state"`
				Reasons []string `json:"reasons"`
			}
			Expect(json.Unmarshal([]byte(said), &found)).To(Succeed())
			Expect(found.State).To(Equal(healthWords[code]))
			if code > 0 {
				Expect(found.Reasons).To(ContainElement(MatchRegexp(reason)))
			}
			got, said = check("ready")
			Expect(got).To(Equal(ready), said)
			resp, err := http.Get(address + "/readyz")
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(resp.StatusCode).To(Equal(map[int]int{0: 200, 2: 503}[ready]))
			Expect(s.Close()).To(Succeed())
			http.DefaultClient.CloseIdleConnections()
			signals <- syscall.SIGTERM
			Eventually(ended).WithTimeout(patience).Should(Receive(BeZero()))
		},
		Entry("nothing", "log: {level: info}", 0, 0, ""),
		Entry("an authority that nobody passes without", `authority: {source: "http://127.0.0.1:1/a"}`, 2, 2,
			`authority http://127.0.0.1:1/a: never reached, and nobody passes before: .*refused`),
		Entry("an authority without which what is declared counts", `authority: {source: "http://127.0.0.1:1/a", unreached: declared}`, 0, 1,
			`authority http://127.0.0.1:1/a: never reached, and what services and configuration say counts until then: .*refused`),
		Entry("the only issuer without keys", `issuers: [{issuer: "https://a", audiences: [x], algorithms: [RS256], jwks: "http://127.0.0.1:1/keys"}]`, 0, 2,
			`issuer https://a: closed, no token of it is taken: .*refused`),
		Entry("the server of a limit for everything that fails closed",
			`limits: {store: "valkey://127.0.0.1:1", rules: [{name: a, rate: 5, per: 1s, scope: environment, failure: closed}]}`, 0, 2,
			`limits: 127.0.0.1:1 does not answer \(there has been no connection yet\), and rule a fails closed: everything`),
		Entry("the server of a limit for one service that fails closed",
			`limits: {store: "valkey://127.0.0.1:1", rules: [{name: a, service: shop, rate: 5, per: 1s, scope: environment, failure: closed}]}`, 0, 1,
			`rule a fails closed: shop is refused`),
		Entry("the server of a limit that fails open",
			`limits: {store: "valkey://127.0.0.1:1", rules: [{name: a, rate: 5, per: 1s, scope: environment, failure: open}]}`, 0, 1, `rule a fails open`),
		Entry("one instance of two", `services: {test: {instances: 2}}`, 0, 1,
			`missing: test has 1 of the 2 instances that it should have`),
	)

	It("says why its health is not known, in every format", func() {
		for format, want := range map[string]string{
			"text": `^UNKNOWN: .*refused.*\n$`, "nagios": `^STELLA UNKNOWN - .*refused.* \| live=0`, "json": `"reasons": \[\s+".*refused`,
			"prometheus": `stella_check_state 3\n`,
		} {
			for _, what := range []string{"health", "ready"} {
				out, _, _, code := start("ctl", "--admin", "127.0.0.1:1", "check", what, "--format", format)
				Eventually(code).WithTimeout(patience).Should(Receive(Equal(3)))
				if what == "health" || format != "nagios" {
					Expect(string(out.Contents())).To(MatchRegexp(want))
				}
			}
		}
	})

	It("says the reason of a refused configuration, and is ready all the same", func() {
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte("log: {level: info}\n"), 0o600)).To(Succeed())
		out, _, signals, code := start(append(anyPort, "--config", file)...)
		Eventually(out).WithTimeout(patience).Should(gbytes.Say(`operators http`))
		text := string(out.Contents())
		address := regexp.MustCompile(`operators (http://\S+)`).FindStringSubmatch(text)[1]
		s := connect(regexp.MustCompile(`services dial (\S+),`).FindStringSubmatch(text)[1])
		Expect(os.WriteFile(file, []byte("log: {level: 'a|b'}\n"), 0o600)).To(Succeed())
		signals <- syscall.SIGHUP
		Eventually(func() string {
			out, _, _, code := start("ctl", "--admin", address, "check", "health", "--format", "nagios")
			Eventually(code).WithTimeout(patience).Should(Receive())
			return string(out.Contents())
		}).WithTimeout(patience).Should(MatchRegexp(`^STELLA WARNING - configuration refused: .*log\.level.*"a/b.*; 1 versions of services[^|]* \| live=1`))
		_, _, _, ready := start("ctl", "--admin", address, "check", "ready")
		Eventually(ready).WithTimeout(patience).Should(Receive(BeZero()))
		Expect(s.Close()).To(Succeed())
		signals <- syscall.SIGTERM
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("tells the service manager that started it when it serves, and when it stops", func() {
		name := filepath.Join(GinkgoT().TempDir(), "notify")
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		Expect(err).NotTo(HaveOccurred())
		defer manager.Close()
		GinkgoT().Setenv("NOTIFY_SOCKET", name)
		told := func() string {
			GinkgoHelper()
			text := make([]byte, 100)
			Expect(manager.SetReadDeadline(time.Now().Add(patience))).To(Succeed())
			n, err := manager.Read(text)
			Expect(err).NotTo(HaveOccurred())
			return string(text[:n])
		}
		_, _, signals, code := start(anyPort...)
		Expect(told()).To(Equal("READY=1"))
		signals <- syscall.SIGTERM
		Expect(told()).To(Equal("STOPPING=1"))
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
	})

	It("does not end in good order when it panics", func() {
		Expect(func() { run([]string{"version"}, streams{out: broken{}, err: GinkgoWriter}) }).To(PanicWith("broken"))
	})

	It("prints what it is, and help", func() {
		out, _, _, code := start("version")
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
		Expect(out).To(gbytes.Say("protocol 1"))
		out, _, _, code = start("run", "--help")
		Eventually(code).WithTimeout(patience).Should(Receive(BeZero()))
		Expect(out).To(gbytes.Say("STELLA_HTTP"))
	})
})
