package gateway_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
)

var _ = DescribeTable("addresses that a gateway takes twice are refused",
	func(cfg gateway.Config, want string) {
		err := gateway.Check(cfg)
		if want == "" {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(And(MatchError(gateway.ErrConfig), MatchError(ContainSubstring("is taken already, by "+want))))
	},
	Entry("by two listeners", gateway.Config{HTTP: "127.0.0.1:8080", Listeners: []gateway.Listener{{Address: "127.0.0.1:8080"}}}, "http (127.0.0.1:8080)"),
	Entry("by clients and operators", gateway.Config{HTTP: "127.0.0.1:5190"}, "http (127.0.0.1:5190)"),
	Entry("by services twice", gateway.Config{Listen: []string{"tcp://127.0.0.1:5100", "tcp://127.0.0.1"}}, "transports.listen[0] (tcp://127.0.0.1:5100)"),
	Entry("by services and clients", gateway.Config{HTTP: "127.0.0.1:5100"}, "http (127.0.0.1:5100)"),
	Entry("by all addresses of the machine", gateway.Config{
		HTTP: "127.0.0.1:80", Listeners: []gateway.Listener{{Address: "0.0.0.0:80"}},
	}, "http (127.0.0.1:80)"),
	Entry("by all of both kinds", gateway.Config{HTTP: "0.0.0.0:80", Listeners: []gateway.Listener{{Address: ":80"}}}, "http (0.0.0.0:80)"),
	Entry("by all of both kinds, and one", gateway.Config{HTTP: ":80", Listeners: []gateway.Listener{{Address: "127.0.0.1:80"}}}, "http (:80)"),
	Entry("by a name", gateway.Config{HTTP: "localhost:80", Listeners: []gateway.Listener{{Address: "localhost:80"}}}, "http (localhost:80)"),
	Entry("by two sockets of the file system", gateway.Config{
		Listen: []string{"unix:///run/a.sock"}, Admin: "unix:///run/a.sock",
	}, "transports.listen[0] (unix:///run/a.sock)"),
	Entry("but not ports that are free", gateway.Config{
		HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Listen: []string{"tcp://127.0.0.1:0", "tcp://127.0.0.1:0"},
	}, ""),
	Entry("but not other addresses", gateway.Config{
		HTTP: "127.0.0.1:80", Listeners: []gateway.Listener{{Address: "127.0.0.2:80"}, {Address: "[::1]:80"}, {Address: "127.0.0.1:81"}},
	}, ""),
	Entry("nor the other kind's", gateway.Config{HTTP: "0.0.0.0:80", Listeners: []gateway.Listener{{Address: "[::1]:80"}}}, ""),
)

var _ = DescribeTable("addresses of UDP are others than those of TCP",
	func(listen string, taken bool) {
		secure := gateway.Listener{Address: "127.0.0.1:5103", TLS: &gateway.ListenerTLS{Cert: "none", Key: "none", HTTP3: true}}
		err := gateway.Check(gateway.Config{Listeners: []gateway.Listener{secure}, Listen: []string{listen}})
		if taken {
			Expect(err).To(MatchError(ContainSubstring(listen + " is taken already, by listeners[0].tls.http3 (127.0.0.1:5103)")))
			return
		}
		Expect(err).NotTo(MatchError(ContainSubstring("is taken already")))
	},
	Entry("of QUIC and HTTP/3", "quic://127.0.0.1", true),
	Entry("of QUIC elsewhere", "quic://127.0.0.1:5104", false),
	Entry("of TCP and HTTPS", "tcp://127.0.0.1:5104", false),
)

var _ = It("refuses a queue where there are none", func() {
	Expect(gateway.Check(gateway.Config{Queue: "tcp://127.0.0.1:1"})).To(And(MatchError(gateway.ErrConfig),
		MatchError(ContainSubstring("queue: tcp://127.0.0.1:1 has no queues: expected the URL of a broker"))))
})

var _ = It("refuses certificates that nobody is asked for", func() {
	cfg := gateway.Config{HTTP: "127.0.0.1:0"}
	cfg.Policy.Certificates = new(auth.CertRule)
	Expect(gateway.Check(cfg)).To(MatchError(ContainSubstring("no client is asked for a certificate: expected a listener with tls.clientCAs")))
})
