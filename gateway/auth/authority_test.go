package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// decree is a document with one rule.
func decree(scope string) string {
	return `{"services":{"billing":{"POST /invoices/{id}":{"claims":[{"type":"scope","value":"` + scope + `"},{"type":"team"}]}}}}`
}

func ofFile(tb testing.TB, text string) (*auth.Authority, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "authority.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return auth.NewAuthority(auth.AuthorityConfig{Source: path, Logger: quiet})
}

var _ = Describe("an authority", func() {
	It("says of endpoints who may call them", func() {
		a, err := ofFile(GinkgoTB(), ` {"services": {
			"billing": {"POST /invoices/{id}": {"claims": [{"type": "scope", "value": "billing:write"}, {"type": "team"}]},
			            "GET /a~b": {"public": "why"}},
			"empty": {}}}
		`)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Decrees().Rules).To(Equal([]auth.Rule{
			{Service: "billing", Endpoint: "POST /invoices/{id}", Claims: []spec.ClaimRequirement{{Type: "scope", Value: "billing:write"}, {Type: "team"}}},
			{Service: "billing", Endpoint: "GET /a~b", Public: "why"},
		}))
		Expect(a.Status()).To(And(HaveField("Reached", true), HaveField("Rules", 2), HaveField("Digest", HavePrefix("sha256:")), HaveField("LastError", "")))
	})

	It("may say what docs/authentication.md shows", func() {
		page, err := os.ReadFile("../../docs/authentication.md")
		Expect(err).NotTo(HaveOccurred())
		found := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
		Expect(found).NotTo(BeNil())
		a, err := ofFile(GinkgoTB(), string(found[1]))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Decrees().Rules).To(HaveLen(2))
	})

	It("may say nothing", func() {
		a, err := ofFile(GinkgoTB(), `{"services":{}}`)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Decrees().Rules).To(BeEmpty())
	})

	rule := func(text string) string { return `{"services":{"billing":{"GET /a":` + text + `}}}` }
	DescribeTable("is not believed a part of what is wrong", func(text, why string) {
		_, err := ofFile(GinkgoTB(), text)
		Expect(err).To(MatchError(auth.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("nothing", "", "expected an object"),
		Entry("no object", "[]", "expected an object"),
		Entry("no services", "{}", `no member "services"`),
		Entry("another member", `{"service":{}}`, "/service: there is no such member"),
		Entry("a member in capitals", `{"Services":{}}`, "/Services: there is no such member"),
		Entry("services twice", `{"services":{},"services":{}}`, "/services: it is there twice"),
		Entry("services that are none", `{"services":null}`, "/services: expected an object"),
		Entry("a half", `{"services":{"billing":{`, "/services/billing"),
		Entry("something behind it", `{"services":{}}{}`, "follows"),
		Entry("rubbish behind it", `{"services":{}} x`, "follows"),
		Entry("a service that is no name", `{"services":{"Billing!":{}}}`, "/services/Billing!"),
		Entry("a service twice", `{"services":{"a":{},"a":{}}}`, "/services/a: it is there twice"),
		Entry("an endpoint without a method", `{"services":{"a":{"/x":{"public":"y"}}}}`, "a method and a path"),
		Entry("an endpoint of another method", `{"services":{"a":{"FETCH /x":{"public":"y"}}}}`, "a method and a path"),
		Entry("an endpoint that is no path", `{"services":{"a":{"GET x":{"public":"y"}}}}`, "/services/a/GET x"),
		Entry("an endpoint twice", `{"services":{"a":{"GET /x":{"public":"y"},"GET /x":{"public":"y"}}}}`, "/services/a/GET ~1x: it is there twice"),
		Entry("an endpoint twice, by other parameters", `{"services":{"a":{"GET /{x}":{"public":"y"},"GET /{y}":{"public":"y"}}}}`, "the same endpoint"),
		Entry("a rule of nothing", rule(`{}`), "either claims, or why"),
		Entry("a rule of no claims", rule(`{"claims":[]}`), "either claims, or why"),
		Entry("a rule of both", rule(`{"claims":[{"type":"a"}],"public":"b"}`), "either claims, or why"),
		Entry("a rule of null", rule(`null`), "expected an object"),
		Entry("a rule of true", rule(`true`), "expected an object"),
		Entry("public without a reason", rule(`{"public":""}`), "either claims, or why"),
		Entry("public that is true", rule(`{"public":true}`), "/public: expected a string"),
		Entry("another member of a rule", rule(`{"public":"a","claim":[]}`), "/claim: there is no such member"),
		Entry("claims that are no list", rule(`{"claims":{"type":"a"}}`), "/claims: expected a list"),
		Entry("claims that are null", rule(`{"claims":null}`), "/claims: expected a list"),
		Entry("a claim that is a string", rule(`{"claims":["scope a"]}`), "/claims/0: expected an object"),
		Entry("a claim without a type", rule(`{"claims":[{"value":"a"}]}`), "without a type"),
		Entry("a claim with an empty value", rule(`{"claims":[{"type":"a","value":""}]}`), "leave it out"),
		Entry("a claim of null", rule(`{"claims":[{"type":"a","value":null}]}`), "/claims/0/value: expected a string"),
		Entry("a claim with a type twice", rule(`{"claims":[{"type":"a","type":"b"}]}`), "/type: it is there twice"),
		Entry("a claim with another member", rule(`{"claims":[{"type":"a","values":["b"]}]}`), "/values: there is no such member"),
		Entry("a claim with a control character", rule(`{"claims":[{"type":"a\u0000"}]}`), "control character"),
		Entry("too many claims", rule(`{"claims":[`+strings.Repeat(`{"type":"a"},`, spec.MaxFields)+`{"type":"a"}]}`), "more than 128 claims"),
		Entry("depth", strings.Repeat(`{"services":`, 10_000), "a method and a path"),
		Entry("length", `{"services":{}}`+strings.Repeat(" ", 4<<20), "over 4194304 bytes"),
	)

	It("of too many endpoints is not believed", func() {
		var b strings.Builder
		b.WriteString(`{"services":{"a":{"GET /x":{"public":"y"}`)
		for i := range 16_384 {
			fmt.Fprintf(&b, `,"GET /%d":{"public":"y"}`, i)
		}
		b.WriteString(`}}}`)
		_, err := ofFile(GinkgoTB(), b.String())
		Expect(err).To(MatchError(ContainSubstring("more than 16384 endpoints")))
	})

	DescribeTable("has to be somewhere", func(source, why string) {
		_, err := auth.NewAuthority(auth.AuthorityConfig{Source: source})
		Expect(err).To(MatchError(auth.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("but not in the clear elsewhere", "http://192.0.2.1/", "expected https"),
		Entry("but not behind a login in its URL", "https://a:b@authority.example/", "login"),
		Entry("but not by another scheme", "ftp://authority.example/", "expected https"),
		Entry("and a file that is there", "/not/there", "no such file"),
	)

	It("in a file is heard when the file has changed, and its last word counts while the file is wrong or gone", func() {
		before := gleak.Goroutines()
		path := filepath.Join(GinkgoT().TempDir(), "authority.json")
		put := func(text string) {
			GinkgoHelper()
			Expect(os.WriteFile(path+".new", []byte(text), 0o600)).To(Succeed())
			Expect(os.Rename(path+".new", path)).To(Succeed())
		}
		saying := func(scope string) OmegaMatcher {
			return HaveField("Rules", ConsistOf(HaveField("Claims", ContainElement(spec.ClaimRequirement{Type: "scope", Value: scope}))))
		}
		put(decree("a"))
		changes := make(chan *auth.Decrees, 10)
		a, err := auth.NewAuthority(auth.AuthorityConfig{Source: path, Logger: quiet, Changed: func(d *auth.Decrees) { changes <- d }})
		Expect(err).NotTo(HaveOccurred())
		Expect(changes).To(Receive()) // at once
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.Run(ctx)
		}()
		put(decree("b"))
		Eventually(changes).WithTimeout(patience).Should(Receive(saying("b")))
		put("{")
		Eventually(func() string { return a.Status().LastError }).WithTimeout(patience).ShouldNot(BeEmpty())
		Expect(a.Decrees().Rules).To(HaveLen(1))
		Expect(os.Remove(path)).To(Succeed())
		Eventually(func() string { return a.Status().LastError }).WithTimeout(patience).Should(ContainSubstring("no such file"))
		Expect(a.Status()).To(And(HaveField("Reached", true), HaveField("Rules", 1), HaveField("FailsFrom", Not(BeZero()))))
		put(decree("c"))
		Eventually(changes).WithTimeout(patience).Should(Receive(saying("c")))
		Expect(a.Status()).To(And(HaveField("LastError", ""), HaveField("FailsFrom", BeZero())))
		Expect(changes).NotTo(Receive(), "what is wrong is no change")
		cancel()
		Eventually(ended).WithTimeout(patience).Should(BeClosed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
})

// TestAuthorityByHTTP: it is asked every so often, told of once for each word, and an outage of an hour changes nothing.
func TestAuthorityByHTTP(t *testing.T) {
	p := newPublisher()
	defer p.Close()
	p.fail()
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		a, err := auth.NewAuthority(auth.AuthorityConfig{
			Source: p.URL, Every: 20 * time.Second, Logger: quiet,
			Changed: func(d *auth.Decrees) { heard = append(heard, d.Rules[0].Claims[0].Value) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if a.Decrees() != nil || a.Status().Reached {
			t.Fatal("it has been reached before it was asked")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.Run(ctx)
		}()
		expect := func(after time.Duration, fails bool, words ...string) {
			t.Helper()
			pass(after)
			if got := strings.Join(heard, " "); got != strings.Join(words, " ") {
				t.Fatalf("heard %q, expected %q", got, words)
			}
			s := a.Status()
			if (s.LastError != "") != fails || s.Reached != (len(words) > 0) || s.FailsFrom.IsZero() == fails {
				t.Fatalf("%+v, fails: %v", s, fails)
			}
		}
		expect(time.Second, true)
		p.say("max-age=86400", []byte(decree("a")))
		expect(20*time.Second, false, "a")
		asked := p.asked.Load()
		expect(10*time.Minute, false, "a")
		if n := p.asked.Load() - asked; n < 30 || n > 40 {
			t.Fatalf("asked %d times in 10 minutes, expected every 16 to 20 seconds, whatever the answer says of its age", n)
		}
		p.say("", []byte(decree("b")))
		expect(20*time.Second, false, "a", "b")
		for _, broken := range []func(){
			p.fail,
			func() { p.say("", []byte(`{"services":{"billing":{"POST /invoices":{}}}}`)) },
			func() {
				p.do(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
			},
		} {
			broken()
			expect(time.Hour, true, "a", "b")
			if len(a.Decrees().Rules) != 1 || a.Status().Age < time.Hour-time.Minute {
				t.Fatalf("its last word is gone: %+v", a.Status())
			}
		}
		p.say("", []byte(decree("b")))
		expect(20*time.Second, false, "a", "b")
		cancel()
		<-ended
	})
}

// TestAuthorityWithToken: the token of the file is sent, as it is then, and one that cannot be read is an outage like any other.
func TestAuthorityWithToken(t *testing.T) {
	p := newPublisher()
	defer p.Close()
	p.do(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer one":
			_, _ = io.WriteString(w, decree("a"))
		case "Bearer two":
			_, _ = io.WriteString(w, decree("b"))
		default:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		}
	})
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"", " \n", "two words", "a\x00", "über", strings.Repeat("x", 20_000)} {
		write(bad)
		_, err := auth.NewAuthority(auth.AuthorityConfig{Source: p.URL, TokenFile: path, Logger: quiet})
		if !errors.Is(err, auth.ErrConfig) || !strings.Contains(err.Error(), path) {
			t.Errorf("a token of %.20q: %v", bad, err)
		}
	}
	if _, err := auth.NewAuthority(auth.AuthorityConfig{Source: path, TokenFile: path, Logger: quiet}); !errors.Is(err, auth.ErrConfig) {
		t.Errorf("a token for a file: %v", err)
	}
	write("one\n")
	synctest.Test(t, func(t *testing.T) {
		a, err := auth.NewAuthority(auth.AuthorityConfig{Source: p.URL, TokenFile: path, Every: 20 * time.Second, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.Run(ctx)
		}()
		expect := func(says, problem string) {
			t.Helper()
			if d := a.Decrees(); d == nil || d.Rules[0].Claims[0].Value != says || !strings.Contains(a.Status().LastError, problem) {
				t.Fatalf("%+v, expected %s and %q", a.Status(), says, problem)
			}
		}
		pass(time.Second)
		expect("a", "")
		write("two")
		pass(20 * time.Second)
		expect("b", "")
		write("three")
		pass(time.Minute)
		expect("b", "401")
		write("")
		pass(time.Minute)
		expect("b", "expected a token")
		write("one")
		pass(time.Minute)
		expect("a", "")
		cancel()
		<-ended
	})
}
