package transports_test

import (
	"context"
	"errors"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports"
)

var errNowhere = errors.New("nowhere to dial")

// nowhere is a transport that leads nowhere, and says where it was to lead.
type nowhere struct{ dialled []string }

func (n *nowhere) Dial(_ context.Context, u *url.URL) (transports.Link, error) {
	n.dialled = append(n.dialled, u.Host)
	return nil, errNowhere
}

func (n *nowhere) listen(context.Context, *url.URL, transports.ListenConfig) (transports.Listener, error) {
	return nil, errNowhere
}

var _ = Describe("The registry", Ordered, func() {
	n := &nowhere{}

	BeforeAll(func() {
		transports.Register(transports.Transport{Scheme: "nowhere", Dialer: n, Listen: n.listen})
	})

	It("finds a transport by its URL's scheme", func() {
		u, t, err := transports.Parse("nowhere://host:1/path?x=y")
		Expect(err).NotTo(HaveOccurred())
		Expect(u.Host).To(Equal("host:1"))
		Expect(t.Scheme).To(Equal("nowhere"))
	})

	It("dials and listens through it", func() {
		_, err := transports.Dial(context.Background(), "nowhere://there")
		Expect(err).To(MatchError(errNowhere))
		Expect(n.dialled).To(ContainElement("there"))
		_, err = transports.Listen(context.Background(), "nowhere://there", transports.ListenConfig{})
		Expect(err).To(MatchError(errNowhere))
	})

	It("says which transports are linked in when there is none of that name", func() {
		for _, open := range []func(string) error{
			func(u string) error { _, err := transports.Dial(context.Background(), u); return err },
			func(u string) error {
				_, err := transports.Listen(context.Background(), u, transports.ListenConfig{})
				return err
			},
		} {
			err := open("pigeon://host")
			Expect(err).To(MatchError(transports.ErrScheme))
			Expect(err).To(MatchError(And(ContainSubstring(`scheme "pigeon"`), ContainSubstring("nowhere"))))
		}
	})

	DescribeTable("refuses what is no URL, with an example", func(raw string) {
		_, _, err := transports.Parse(raw)
		Expect(err).To(MatchError(ContainSubstring("is not a URL such as tcp://127.0.0.1:5100")))
	},
		Entry(nil, ""), Entry(nil, "127.0.0.1:5100"), Entry(nil, "localhost"), Entry(nil, "://x"), Entry(nil, "tcp://[::1"),
	)

	It("refuses a URL without //", func() {
		_, _, err := transports.Parse("nowhere:host")
		Expect(err).To(MatchError(ContainSubstring(`"nowhere:host" has no //`)))
	})

	It("has the transport check the URL before anything is dialled or listened on", func() {
		errName := errors.New("not a name")
		never := &nowhere{}
		transports.Register(transports.Transport{Scheme: "checked", Dialer: never, Listen: never.listen, Check: func(u *url.URL) error {
			if u.Host == "bad" {
				return errName
			}
			return nil
		}})
		_, _, err := transports.Parse("checked://bad")
		Expect(err).To(MatchError(errName))
		_, err = transports.Dial(context.Background(), "checked://bad")
		Expect(err).To(MatchError(errName))
		_, err = transports.Listen(context.Background(), "checked://bad", transports.ListenConfig{})
		Expect(err).To(MatchError(errName))
		Expect(never.dialled).To(BeEmpty())
		_, _, err = transports.Parse("checked://good")
		Expect(err).NotTo(HaveOccurred())
	})

	It("takes a scheme once", func() {
		Expect(func() { transports.Register(transports.Transport{Scheme: "nowhere"}) }).To(PanicWith(ContainSubstring("registered twice")))
	})
})
