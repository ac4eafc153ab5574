package stella_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// board is a broker at which gateways announce themselves: a URL board://any stands for all that are on it.
type board struct {
	mu    sync.Mutex
	urls  []string
	err   error
	asked int // since set
}

var announcements board

func (b *board) set(err error, urls ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.urls, b.err, b.asked = urls, err, 0
}

func (b *board) list(context.Context, *url.URL) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return slices.Clone(b.urls), b.err
}

// looks is how often the board has been looked at since it was set.
func (b *board) looks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// Dial dials one of them, as where there are several ways to one gateway.
func (b *board) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	urls, err := b.list(ctx, u)
	if err != nil || len(urls) == 0 {
		return nil, errors.Join(err, errors.New("nobody is on the board"))
	}
	return transports.Dial(ctx, urls[0])
}

var _ = BeforeSuite(func() {
	transports.Register(transports.Transport{Scheme: "board", Gateways: announcements.list, Dialer: &announcements})
})

var _ = Describe("Gateways that announce themselves at a broker", func() {
	// listed bounds what follows on an announcement.
	const listed = 10 * time.Second

	start := func(parts ...stella.Part) *process {
		GinkgoHelper()
		DeferCleanup(func() { announcements.set(nil) })
		m, e := service(public("GET", "/a", nothing))
		return run(m, append(parts, e, stella.WithLease(12))...)
	}

	It("have a session each, share the lease, and are dialled as they come", func() {
		one, two, three := listen("inmemory://board-1"), listen("inmemory://board-2"), listen("inmemory://board-3")
		announcements.set(nil, one.url, two.url)
		start(stella.WithGateways("board://any"))
		a, b := one.connected(), two.connected()
		for _, s := range []func() int{a.Lease, b.Lease} {
			Eventually(s).WithTimeout(patience).Should(Equal(6))
		}
		Expect(three.sessions).NotTo(Receive())
		announcements.set(nil, one.url, two.url, three.url)
		Eventually(three.sessions).WithTimeout(listed).Should(Receive())
		Eventually(a.Lease).WithTimeout(patience).Should(Equal(4))
		Expect(send(a, request{}).Status).To(Equal(200))
		Expect(send(b, request{}).Status).To(Equal(200))
		Expect(one.sessions).NotTo(Receive(), "a second session with the same gateway")
	})

	It("are kept for as long as they serve, and while they are not listed for a moment; and then forgotten", func() {
		one, two := listen("inmemory://board-kept-1"), listen("inmemory://board-kept-2")
		announcements.set(nil, one.url, two.url)
		p := start(stella.WithGateways("board://any"))
		a, b := one.connected(), two.connected()

		// The broker has lost all that it knew, and so have sessions; it hears of the gateways again.
		announcements.set(nil)
		Expect(a.Close(spec.CodeOperator, "")).To(Succeed())
		again := one.connected()
		Expect(again.Hello().Supersedes).To(Equal(a.Secret()), "the gateway has to know whose place the session takes")
		announcements.set(errors.New("away"))
		Expect(again.Close(spec.CodeOperator, "")).To(Succeed())
		again = one.connected()
		Expect(send(again, request{}).Status).To(Equal(200))

		// The second has left for good, and is dropped when its session ends.
		announcements.set(nil, one.url)
		Eventually(announcements.looks).WithTimeout(listed).Should(BeNumerically(">", 1))
		Expect(send(b, request{}).Status).To(Equal(200))
		two.refuse = func(*spec.Hello) error { return &session.Error{Code: spec.CodeRefused, Reason: "gone"} }
		Expect(b.Close(spec.CodeOperator, "")).To(Succeed())
		Eventually(p.log.String).WithTimeout(2 * listed).Should(ContainSubstring("not announced any more"))
		Eventually(again.Lease).WithTimeout(patience).Should(Equal(12))
		Expect(again.Err()).NotTo(HaveOccurred())
	})

	It("are waited for where there are none, which the log says once", func() {
		p := start(stella.WithGateways("board://any"))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("no gateway has announced itself there"))
		one := listen("inmemory://board-late")
		announcements.set(nil, one.url)
		Eventually(one.sessions).WithTimeout(listed).Should(Receive())
	})

	It("are one gateway where the broker is one of several ways to it", func() {
		one, two := listen("inmemory://board-way-1"), listen("inmemory://board-way-2")
		announcements.set(nil, one.url, two.url)
		start(stella.WithVariable(stella.EnvGateways, "inmemory://board-nobody|board://any"))
		one.connected()
		Consistently(two.sessions).WithTimeout(500 * time.Millisecond).ShouldNot(Receive())
	})
})
