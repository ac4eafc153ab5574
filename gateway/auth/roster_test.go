package auth_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
)

var _ = Describe("a verifier whose issuers change", func() {
	var (
		ctx    = context.Background()
		k      signer
		p      *publisher
		before auth.Issuer
	)
	BeforeEach(func() {
		k = newEd("a")
		p = serving(k.jwk())
		before = issuer(p.URL)
	})
	put := func(v *auth.Verifier, issuers ...auth.Issuer) {
		GinkgoHelper()
		apply, err := v.Prepare(issuers)
		Expect(err).NotTo(HaveOccurred())
		apply()
	}
	verify := func(v *auth.Verifier, token string) error {
		_, err := v.Verify(ctx, token, time.Now())
		return err
	}
	good := func() string { return k.token(claimsAt(time.Now())) }

	It("keeps the keys of those that are the same, and fetches nothing", func() {
		v := running(before)
		token := good()
		Expect(verify(v, token)).To(Succeed())
		other := serving(newEd("b").jwk())
		second := issuer(other.URL)
		second.Issuer = "https://second.example"
		for range 3 {
			put(v, second, before)
			put(v, before)
		}
		Expect(verify(v, token)).To(Succeed())
		Expect(verify(v, good())).To(Succeed())
		Expect(p.asked.Load()).To(Equal(int64(1)))
	})

	It("refuses the tokens of one that is gone at once, those that it remembers, too, and takes them when it is back", func() {
		v := running(before)
		token := good()
		Expect(verify(v, token)).To(Succeed())
		Expect(verify(v, token)).To(Succeed())
		put(v)
		Expect(v.Takes()).To(BeFalse())
		Expect(v.Status()).To(BeEmpty())
		Expect(verify(v, token)).To(MatchError(auth.ErrToken))
		put(v, before)
		Eventually(func() error { return verify(v, token) }).WithTimeout(patience).Should(Succeed())
		Expect(p.asked.Load()).To(Equal(int64(2)), "its keys were forgotten")
	})

	It("takes the tokens of one that has come", func() {
		v := running()
		Expect(verify(v, good())).To(MatchError(auth.ErrToken))
		put(v, before)
		Eventually(func() error { return verify(v, good()) }).WithTimeout(patience).Should(Succeed())
	})

	DescribeTable("holds remembered tokens against an entry that has changed",
		func(change func(*auth.Issuer), taken bool) {
			v := running(before)
			token := good()
			Expect(verify(v, token)).To(Succeed())
			p.fail() // keys that were known have to do
			after := before
			change(&after)
			put(v, after)
			err := verify(v, token)
			if taken {
				Expect(err).NotTo(HaveOccurred())
				return
			}
			Expect(err).To(MatchError(auth.ErrToken))
		},
		Entry("for another audience", func(i *auth.Issuer) { i.Audiences = []string{"other"} }, false),
		Entry("for one more audience", func(i *auth.Issuer) { i.Audiences = []string{"other", audience} }, true),
		Entry("for other algorithms", func(i *auth.Issuer) { i.Algorithms = []string{"RS256"} }, false),
		Entry("of another tenant claim", func(i *auth.Issuer) { i.TenantClaim = "org" }, true),
	)

	It("ends the fetch of one that is gone, and the waiting for it: no goroutine is left", func() {
		asked := make(chan struct{})
		p.do(func(_ http.ResponseWriter, r *http.Request) {
			close(asked)
			<-r.Context().Done()
		})
		v := running()
		put(v, before)
		refused := make(chan error, 1)
		go func() { refused <- verify(v, good()) }()
		Eventually(asked).WithTimeout(patience).Should(BeClosed())
		put(v)
		Eventually(refused).WithTimeout(patience).Should(Receive(Or(MatchError(auth.ErrKeys), MatchError(auth.ErrToken))))
		Expect(verify(v, good())).To(MatchError(auth.ErrToken))
		p.CloseClientConnections()
	})

	It("changes nothing by a list that is wrong, and says everything that is", func() {
		v := running(before)
		token := good()
		Expect(verify(v, token)).To(Succeed())
		broken, missing := before, before
		broken.Audiences = nil
		missing.Issuer, missing.JWKS = "https://file.example", keyFile(GinkgoTB(), []byte("{}"))
		_, err := v.Prepare([]auth.Issuer{before, before, broken, missing})
		Expect(err).To(MatchError(auth.ErrConfig))
		Expect(err).To(MatchError(And(ContainSubstring("it is there twice"), ContainSubstring("audiences"), ContainSubstring("key set"))))
		Expect(verify(v, token)).To(Succeed())
		Expect(p.asked.Load()).To(Equal(int64(1)))
		Expect(v.Status()).To(HaveLen(1))
	})

	It("reads a file of keys when its issuer comes", func() {
		path := keyFile(GinkgoTB(), keySet(k.jwk()))
		v := running()
		put(v, issuer(path))
		Expect(verify(v, good())).To(Succeed())
		put(v, issuer(path))
		Expect(os.Remove(path)).To(Succeed())
		put(v, issuer(path)) // the same: it is not read again
		Expect(verify(v, good())).To(Succeed())
	})

	It("may change before it runs", func() {
		v, err := auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{before}, Logger: quiet})
		Expect(err).NotTo(HaveOccurred())
		put(v)
		Expect(verify(v, good())).To(MatchError(auth.ErrToken))
		put(v, before)
		Expect(p.asked.Load()).To(BeZero())
	})

	It("answers each token by one list or the other while they change, and by the last one after", func() {
		v := running(before)
		token := good()
		Expect(verify(v, token)).To(Succeed())
		other := before
		other.Audiences = []string{"other"}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := verify(v, token); err != nil && !errors.Is(err, auth.ErrToken) && !errors.Is(err, auth.ErrKeys) {
						errs <- err
						return
					}
				}
			})
		}
		for i := range 300 {
			switch i % 3 {
			case 0:
				put(v, other)
				Expect(verify(v, token)).To(MatchError(auth.ErrToken), "the list in force is the other one")
			case 1:
				put(v)
				Expect(verify(v, token)).To(MatchError(auth.ErrToken))
			default:
				put(v, before)
			}
		}
		close(stop)
		wg.Wait()
		Expect(errs).NotTo(Receive())
		Eventually(func() error { return verify(v, token) }).WithTimeout(patience).Should(Succeed())
		put(v)
		Expect(verify(v, token)).To(MatchError(auth.ErrToken))
	})
})
