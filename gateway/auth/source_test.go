package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
)

var _ = Describe("the source of an issuer's keys", func() {
	var ctx context.Context
	BeforeEach(func() { ctx = context.Background() })

	It("is asked once by however many come first, and they wait for the answer", func() {
		k := newEd("a")
		p := serving()
		asked, hold := make(chan struct{}), make(chan struct{})
		p.do(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-hold
			_, _ = w.Write(keySet(k.jwk()))
		})
		v := running(issuer(p.URL))
		token := k.token(claimsAt(time.Now()))
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		for range 100 {
			wg.Go(func() {
				_, err := v.Verify(ctx, token, time.Now())
				errs <- err
			})
		}
		Eventually(asked).WithTimeout(patience).Should(BeClosed())
		short, cancel := context.WithCancel(ctx)
		cancel()
		_, err := v.Verify(short, token, time.Now())
		Expect(err).To(MatchError(auth.ErrKeys), "a request that goes away waits no longer, and ends nobody's fetch")
		close(hold)
		wg.Wait()
		for range 100 {
			Expect(<-errs).NotTo(HaveOccurred())
		}
		Expect(p.asked.Load()).To(Equal(int64(1)))
	})

	It("ends at once with the verifier, in the middle of a fetch", func() {
		p := serving()
		asked := make(chan struct{})
		p.do(func(_ http.ResponseWriter, r *http.Request) {
			close(asked)
			<-r.Context().Done()
		})
		v, err := auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{issuer(p.URL)}, Logger: quiet})
		Expect(err).NotTo(HaveOccurred())
		run, cancel := context.WithCancel(ctx)
		ended, refused := make(chan struct{}), make(chan error)
		go func() {
			defer close(ended)
			v.Run(run)
		}()
		go func() {
			_, err := v.Verify(ctx, newEd("a").token(claimsAt(time.Now())), time.Now())
			refused <- err
		}()
		Eventually(asked).WithTimeout(patience).Should(BeClosed())
		cancel()
		Eventually(ended).WithTimeout(time.Second).Should(BeClosed())
		Eventually(refused).WithTimeout(time.Second).Should(Receive(MatchError(auth.ErrKeys)))
	})

	DescribeTable("is not believed", func(answer http.HandlerFunc, why string) {
		p := serving()
		p.do(answer)
		v := running(issuer(p.URL))
		_, err := v.Verify(ctx, newEd("a").token(claimsAt(time.Now())), time.Now())
		Expect(err).To(MatchError(auth.ErrKeys))
		Expect(err).To(MatchError(ContainSubstring(why)))
		Expect(v.Status()[0].LastError).To(ContainSubstring(why))
		Expect(v.Status()[0].Closed).To(BeTrue())
	},
		Entry("when it sends elsewhere", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/else" {
				_, _ = w.Write(keySet(newEd("a").jwk()))
				return
			}
			http.Redirect(w, r, "/else", http.StatusFound)
		}, "answered 302 Found: expected 200, redirects are not followed"),
		Entry("when it has none", http.NotFound, "answered 404"),
		Entry("when it answers with part of it", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`))
		}, "cannot be read"),
		Entry("when it never ends", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat(" ", 32<<10))); err != nil {
					return
				}
			}
		}, "over 1048576 bytes"),
		Entry("with a header of megabytes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			_, _ = w.Write(keySet(newEd("a").jwk()))
		}, "header"),
		Entry("with a page instead", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JSON object"),
		Entry("with too many keys", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat("{},", 100) + `{}]}`))
		}, "more than 100 keys"),
		Entry("with no keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }, "holds no keys"),
		Entry("with secrets", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`))
		}, "secret"),
	)

	It("is given up on after five seconds", func() {
		p := serving()
		p.do(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		v := running(issuer(p.URL))
		begun := time.Now()
		_, err := v.Verify(ctx, newEd("a").token(claimsAt(begun)), begun)
		Expect(err).To(MatchError(auth.ErrKeys))
		Expect(time.Since(begun)).To(And(BeNumerically(">", 3*time.Second), BeNumerically("<", 2*patience)))
	})

	It("may hold keys of no use beside others, and says so", func() {
		good, two := newEd("good"), newEd("twice")
		private := must(jwkPrivate(newEd("private")))
		p := serving(
			good.jwk(map[string]any{"alg": nil, "use": nil}),
			map[string]any{"kty": "RSA", "kid": "weak", "n": b64(weakRSA().N.Bytes()), "e": "AQAB"}, newEd("enc").jwk(map[string]any{"use": "enc"}),
			newEd("ops").jwk(map[string]any{"key_ops": []string{"sign"}}), newEd("other alg").jwk(map[string]any{"alg": "ES256"}),
			map[string]any{"kty": "new", "kid": "future"}, newEd("cut").jwk(map[string]any{"x": "AAAA"}),
			map[string]any{"kty": "oct", "kid": "hs", "k": "c2VjcmV0", "alg": "HS256"}, private,
			signer{"off curve", "ES256", p256()}.jwk(map[string]any{"x": b64(make([]byte, 32))}),
			signer{"e1", "RS256", rsaKeys()[0]}.jwk(map[string]any{"e": "AQ"}),
			two.jwk(), two.jwk(), newEd("twice").jwk(), newEd(strings.Repeat("k", 600)).jwk(),
		)
		v := running(issuer(p.URL))
		at := time.Now()
		for _, k := range []signer{good, two} {
			_, err := v.Verify(ctx, k.token(claimsAt(at)), at)
			Expect(err).NotTo(HaveOccurred())
		}
		s := v.Status()[0]
		Expect(s.Keys).To(Equal([]auth.KeyStatus{
			{ID: "good", Kind: "Ed25519"}, {ID: "twice", Algorithm: "EdDSA", Kind: "Ed25519"}, {ID: "twice", Algorithm: "EdDSA", Kind: "Ed25519"},
		}))
		for i, why := range []string{
			"1024 bits", `use is "enc"`, "key_ops", "none of the issuer's algorithms", "not a key", "", "secret", "secret", "", "exponent", "twice", "kid has over",
		} {
			Expect(s.Ignored[i]).To(ContainSubstring(why), "%d of %v", i, s.Ignored)
		}
		Expect(s.Ignored).To(HaveLen(12))
		_, err := v.Verify(ctx, signer{"weak", "RS256", weakRSA()}.token(claimsAt(at)), at)
		Expect(err).To(MatchError(auth.ErrToken))
	})

	It("tries a token without kid with four keys at most", func() {
		keys := make([]map[string]any, 0, 6)
		signers := make([]signer, 0, 6)
		for i := range 6 {
			k := newEd(strconv.Itoa(i))
			keys, signers = append(keys, k.jwk()), append(signers, k)
		}
		v := running(issuer(serving(keys...).URL))
		at := time.Now()
		for i, k := range signers {
			_, err := v.Verify(ctx, k.token(claimsAt(at), map[string]any{"kid": nil}), at)
			Expect(err == nil).To(Equal(i < 4), "%d: %v", i, err)
			_, err = v.Verify(ctx, k.token(claimsAt(at, map[string]any{"jti": "named"})), at)
			Expect(err).NotTo(HaveOccurred())
		}
	})

	It("by https is held against the roots that it is told of", func() {
		k := newEd("a")
		p := servingTLS(k.jwk())
		roots := x509.NewCertPool()
		roots.AddCert(p.Certificate())
		at := time.Now()
		stranger := running(issuer(p.URL))
		_, err := stranger.Verify(ctx, k.token(claimsAt(at)), at)
		Expect(err).To(MatchError(auth.ErrKeys))
		Expect(err).To(MatchError(ContainSubstring("certificate")))
		v := runningWith(auth.Config{Issuers: []auth.Issuer{issuer(p.URL)}, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
		_, err = v.Verify(ctx, k.token(claimsAt(at)), at)
		Expect(err).NotTo(HaveOccurred())
	})

	It("that is a file has to be one, and to hold keys, from the start", func() {
		dir := GinkgoT().TempDir()
		for path, why := range map[string]string{dir: "not a file", dir + "/none": "no such file"} {
			_, err := auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{issuer(path)}, Logger: quiet})
			Expect(err).To(MatchError(auth.ErrConfig))
			Expect(err).To(MatchError(ContainSubstring(why)))
		}
	})
})
