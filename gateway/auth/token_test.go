package auth_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// hs256 is what an attacker can make who takes the public key for a secret.
func hs256(secret []byte, header, claims map[string]any) string {
	signed := b64(must(json.Marshal(header))) + "." + b64(must(json.Marshal(claims)))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

var _ = Describe("a token", func() {
	var (
		ctx    context.Context
		at     time.Time
		signed []signer // one for every algorithm
		ed     signer
		p      *publisher
	)
	BeforeEach(func() {
		ctx, at = context.Background(), time.Now().Truncate(time.Second)
		ed = newEd("ed")
		signed = []signer{
			{"r", "RS256", rsaKeys()[0]}, {"r384", "RS384", rsaKeys()[0]}, {"r512", "RS512", rsaKeys()[0]}, {"p", "PS256", rsaKeys()[0]},
			{"p384", "PS384", rsaKeys()[0]}, {"p512", "PS512", rsaKeys()[0]}, {"e", "ES256", p256()}, {"e384", "ES384", p384()}, {"e512", "ES512", p521()}, ed,
		}
		var keys []map[string]any
		for _, s := range signed {
			keys = append(keys, s.jwk())
		}
		p = serving(keys...)
	})

	It("is taken with every algorithm that can be configured, and gives the identity that it proves", func() {
		v := running(issuer(p.URL))
		for _, s := range signed {
			got, err := v.Verify(ctx, s.token(claimsAt(at, map[string]any{"tid": "acme", "scope": "a b"})), at)
			Expect(err).NotTo(HaveOccurred(), s.alg)
			Expect(got.Subject).To(Equal("alice"))
			Expect(got.Tenant).To(Equal("acme"))
			Expect(got.Issuer).To(Equal(name))
			Expect(got.Until).To(BeTemporally("==", at.Add(5*time.Minute+auth.DefaultSkew)))
			Expect(got.Claims).To(ContainElements(spec.Claim{Type: "scope", Value: "a"}, spec.Claim{Type: "scope", Value: "b"}))
		}
		Expect(p.asked.Load()).To(Equal(int64(1)))
	})

	It("is taken for one of several audiences, with a typ for access tokens or none, and whatever it says of where keys are", func() {
		other := newEd("ed")
		i := issuer(p.URL)
		i.Audiences = []string{"shipping", audience}
		v := running(i)
		for what, token := range map[string]string{
			"audiences": ed.token(claimsAt(at, map[string]any{"aud": []string{"x", audience}})),
			"no typ":    ed.token(claimsAt(at), map[string]any{"typ": nil}),
			"at+jwt":    ed.token(claimsAt(at), map[string]any{"typ": "application/at+JWT"}),
			"no kid":    signed[6].token(claimsAt(at), map[string]any{"kid": nil}),
			"sources of keys": ed.token(claimsAt(at), map[string]any{
				"jku": p.URL + "/other", "x5u": p.URL + "/other", "jwk": other.jwk(), "x5c": []string{"AAAA"},
			}),
		} {
			_, err := v.Verify(ctx, token, at)
			Expect(err).NotTo(HaveOccurred(), what)
		}
		_, err := v.Verify(ctx, other.token(claimsAt(at), map[string]any{"jwk": other.jwk(), "jku": p.URL + "/other"}), at)
		Expect(err).To(MatchError(auth.ErrToken), "signed with the key that it brings along")
		Expect(p.asked.Load()).To(Equal(int64(1)), "nobody is asked for it")
	})

	It("is refused for what it lacks, says or is", func() {
		v := running(issuer(p.URL))
		good := ed.token(claimsAt(at))
		parts := strings.Split(good, ".")
		r := signed[0]
		der, err := x509.MarshalPKIXPublicKey(r.key.Public())
		Expect(err).NotTo(HaveOccurred())
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		claim := func(changes map[string]any) string { return ed.token(claimsAt(at, changes)) }
		header := func(changes map[string]any) string { return ed.token(claimsAt(at), changes) }
		none := func(alg any) string {
			return b64(must(json.Marshal(map[string]any{"alg": alg, "kid": "ed"}))) + "." + parts[1] + "."
		}
		tokens := map[string]string{
			"alg none":                           none("none"),
			"alg None":                           none("None"),
			"alg empty":                          none(""),
			"alg null":                           none(nil),
			"alg a list":                         none([]string{"EdDSA"}),
			"no alg":                             header(map[string]any{"alg": nil}),
			"alg in another case":                header(map[string]any{"alg": "eddsa"}),
			"ALG instead of alg":                 header(map[string]any{"alg": nil, "ALG": "EdDSA"}),
			"alg with a space":                   header(map[string]any{"alg": "EdDSA "}),
			"HS256 with the public key as PEM":   hs256(public, map[string]any{"alg": "HS256", "kid": "r"}, claimsAt(at)),
			"HS256 with the public key as DER":   hs256(der, map[string]any{"alg": "HS256", "kid": "r"}, claimsAt(at)),
			"HS256 that says RS256":              hs256(public, map[string]any{"alg": "RS256", "kid": "r"}, claimsAt(at)),
			"RS256 with an EC key":               signer{"e", "RS256", rsaKeys()[0]}.token(claimsAt(at)),
			"PS256 with a key for RS256":         signer{"r", "PS256", rsaKeys()[0]}.token(claimsAt(at)),
			"ES256 with a key on P-384":          signer{"e384", "ES256", p256()}.token(claimsAt(at)),
			"a signature in ASN.1":               ecdsaInASN1(signed[6], claimsAt(at)),
			"another key":                        newEd("ed").token(claimsAt(at)),
			"another key, without kid":           newEd("").token(claimsAt(at)),
			"an unknown kid":                     header(map[string]any{"kid": "nobody"}),
			"a kid that is a path":               header(map[string]any{"kid": "../../etc/passwd"}),
			"a kid that is a URL":                header(map[string]any{"kid": p.URL + "/other"}),
			"a kid that is a query":              header(map[string]any{"kid": "x' OR '1'='1"}),
			"a kid that is a number":             header(map[string]any{"kid": 7}),
			"a kid of NUL":                       header(map[string]any{"kid": "ed\x00"}),
			"a kid that is very long":            header(map[string]any{"kid": strings.Repeat("k", 4000)}),
			"crit":                               header(map[string]any{"crit": []string{"exp"}, "exp": 1}),
			"an empty crit":                      header(map[string]any{"crit": []string{}}),
			"b64":                                header(map[string]any{"b64": false}),
			"a token in it":                      header(map[string]any{"cty": "JWT"}),
			"a typ for other uses":               header(map[string]any{"typ": "logout+jwt"}),
			"a typ that is no string":            header(map[string]any{"typ": true}),
			"enc":                                header(map[string]any{"enc": "A256GCM"}),
			"JWE":                                parts[0] + "." + parts[1] + "." + parts[2] + "." + parts[1] + "." + parts[2],
			"two parts":                          parts[0] + "." + parts[1],
			"no payload":                         parts[0] + ".." + parts[2],
			"no header":                          "." + parts[1] + "." + parts[2],
			"no signature":                       parts[0] + "." + parts[1] + ".",
			"an empty string":                    "",
			"dots":                               "..",
			"padding":                            good + "=",
			"a line end":                         good[:40] + "\n" + good[40:],
			"another spelling of the signature":  respell(good),
			"JSON serialisation":                 fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
			"a header that is a list":            ed.sign([]byte(`["alg"]`), must(json.Marshal(claimsAt(at)))),
			"a header that is null":              ed.sign([]byte(`null`), must(json.Marshal(claimsAt(at)))),
			"a payload that is a list":           ed.sign([]byte(`{"alg":"EdDSA","kid":"ed"}`), []byte(`[]`)),
			"a payload that is null":             ed.sign([]byte(`{"alg":"EdDSA","kid":"ed"}`), []byte(`null`)),
			"a payload that is text":             ed.sign([]byte(`{"alg":"EdDSA","kid":"ed"}`), []byte(`hello`)),
			"another issuer":                     claim(map[string]any{"iss": "https://else.example"}),
			"an issuer with a slash more":        claim(map[string]any{"iss": name + "/"}),
			"no issuer":                          claim(map[string]any{"iss": nil}),
			"an issuer that is a list":           claim(map[string]any{"iss": []string{name}}),
			"another audience":                   claim(map[string]any{"aud": "shipping"}),
			"an audience in another case":        claim(map[string]any{"aud": "Billing"}),
			"no audience":                        claim(map[string]any{"aud": nil}),
			"no audiences":                       claim(map[string]any{"aud": []string{}}),
			"no end":                             claim(map[string]any{"exp": nil}),
			"an end that is text":                claim(map[string]any{"exp": "never"}),
			"an end before now less the skew":    claim(map[string]any{"exp": at.Add(-auth.DefaultSkew).Unix()}),
			"a beginning after now and the skew": claim(map[string]any{"nbf": at.Add(auth.DefaultSkew + time.Second).Unix()}),
			"issued after now and the skew":      claim(map[string]any{"iat": at.Add(auth.DefaultSkew + time.Second).Unix()}),
			"too many claims":                    claim(map[string]any{"roles": slices.Repeat([]string{"r"}, spec.MaxFields+1)}),
			"a tenant that is a list":            claim(map[string]any{"tenant": []string{"a"}}),
			"a tenant that is no name":           claim(map[string]any{"tenant": "a'; DROP TABLE x; --"}),
			"a tenant without a name":            claim(map[string]any{"tenant": ""}),
			"over 8 KiB":                         claim(map[string]any{"x": strings.Repeat("x", 9<<10)}),
			"over 8 MiB":                         strings.Repeat("A", 8<<20) + ".e30.AA",
			"deep nesting":                       ed.sign([]byte(`{"alg":"EdDSA","kid":"ed"}`), []byte(strings.Repeat("[", 5000))),
		}
		for what, token := range tokens {
			_, err := v.Verify(ctx, token, at)
			Expect(err).To(MatchError(auth.ErrToken), what)
			Expect(err).NotTo(MatchError(auth.ErrKeys), what)
			if len(token) > 32 {
				Expect(err.Error()).NotTo(ContainSubstring(token[:32]), "%s: an error does not repeat the token", what)
			}
		}
		Expect(p.asked.Load()).To(BeNumerically("<=", 2), "all unknown keys together may ask once")
		_, err = v.Verify(ctx, good, at)
		Expect(err).NotTo(HaveOccurred())
	})

	It("is taken up to the skew before its beginning and after its end, and from memory no longer", func() {
		i := issuer(p.URL)
		i.Skew = 10 * time.Second
		v := running(i)
		end := at.Add(time.Minute)
		token := ed.token(claimsAt(at, map[string]any{"nbf": at.Unix(), "exp": end.Unix()}))
		for moment, ok := range map[time.Time]bool{
			at.Add(-10*time.Second - time.Nanosecond): false, at.Add(-10 * time.Second): true, at: true,
			end.Add(10*time.Second - time.Nanosecond): true, end.Add(10 * time.Second): false, end.Add(time.Hour): false,
		} {
			fresh := ed.token(claimsAt(at, map[string]any{"nbf": at.Unix(), "exp": end.Unix(), "jti": moment.String()}))
			_, err := v.Verify(ctx, fresh, moment)
			Expect(err == nil).To(Equal(ok), "%s: %v", moment, err)
		}
		first, err := v.Verify(ctx, token, at)
		Expect(err).NotTo(HaveOccurred())
		again, err := v.Verify(ctx, token, end.Add(10*time.Second-time.Nanosecond))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Identity).To(BeIdenticalTo(first.Identity), "from memory")
		_, err = v.Verify(ctx, token, first.Until)
		Expect(err).To(MatchError(ContainSubstring("expired")))
	})

	It("is refused with an algorithm that its issuer may not use, though a key of that kind is published", func() {
		v := running(issuer(p.URL, "ES256"))
		_, err := v.Verify(ctx, signed[6].token(claimsAt(at)), at)
		Expect(err).NotTo(HaveOccurred())
		for _, s := range slices.Delete(slices.Clone(signed), 6, 7) {
			_, err := v.Verify(ctx, s.token(claimsAt(at)), at)
			Expect(err).To(MatchError(auth.ErrToken), s.alg)
		}
	})

	It("is held against the keys of the issuer that it names, and of no other", func() {
		const second = "https://second.example"
		theirs := newEd("ed") // the same kid
		q := serving(theirs.jwk())
		other := issuer(q.URL)
		other.Issuer = second
		v := running(issuer(p.URL), other)
		for _, good := range []string{ed.token(claimsAt(at)), theirs.token(claimsAt(at, map[string]any{"iss": second}))} {
			_, err := v.Verify(ctx, good, at)
			Expect(err).NotTo(HaveOccurred())
		}
		for _, bad := range []string{theirs.token(claimsAt(at)), ed.token(claimsAt(at, map[string]any{"iss": second}))} {
			_, err := v.Verify(ctx, bad, at)
			Expect(err).To(MatchError(auth.ErrToken))
		}
	})

	It("of development is taken beside those of issuers", func() {
		key, err := auth.EnsureDevKey(GinkgoT().TempDir() + "/key")
		Expect(err).NotTo(HaveOccurred())
		v, err := auth.NewVerifier(auth.Config{Dev: key, Issuers: []auth.Issuer{issuer(p.URL)}, Logger: quiet})
		Expect(err).NotTo(HaveOccurred())
		token, err := key.Token([]spec.Claim{{Type: "scope", Value: "a"}}, at, time.Minute)
		Expect(err).NotTo(HaveOccurred())
		got, err := v.Verify(ctx, token, at)
		Expect(err).NotTo(HaveOccurred(), "it needs no Run")
		Expect(got.Subject).To(Equal("developer"))
		Expect(v.Status()).To(HaveLen(2))
		Expect(v.Status()[0].Closed).To(BeFalse())
		Expect(v.Status()[1].Closed).To(BeTrue())
	})

	It("is forgotten rather than that memory grows", func() {
		v := running(issuer(p.URL))
		for i := range 20_000 {
			if i%2 == 0 {
				continue
			}
			_, err := v.Verify(ctx, ed.token(claimsAt(at, map[string]any{"jti": strconv.Itoa(i)})), at)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(p.asked.Load()).To(Equal(int64(1)))
	})
})

// ecdsaInASN1 signs as X.509 does, and not as RFC 7518 wants it.
func ecdsaInASN1(s signer, claims map[string]any) string {
	signed := b64(must(json.Marshal(map[string]any{"alg": s.alg, "kid": s.kid}))) + "." + b64(must(json.Marshal(claims)))
	sum := sha256.Sum256([]byte(signed))
	return signed + "." + b64(must(s.key.Sign(rand.Reader, sum[:], crypto.SHA256)))
}

// respell changes bits of the last letter that base64 decoders may ignore: 64 bytes end in 4 bits of 6.
func respell(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + string(letters[at^1])
}
