package spec_test

import (
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

var _ = Describe("header fields", func() {
	DescribeTable("are reserved, or not",
		func(name string, reserved bool) { Expect(spec.IsReservedHeader(name)).To(Equal(reserved)) },
		Entry(nil, "X-User-Id", true), Entry(nil, "X-Username", true), Entry(nil, "Forwarded", true), Entry(nil, "X-Forwarded-For", true),
		Entry(nil, "Proxy-Authorization", true), Entry(nil, "Stella-Tenant", true), Entry(nil, "Client-Ip", true),
		Entry(nil, "X-Request-Token", false), Entry(nil, "Authorization", false), Entry(nil, "Forwarded-By", false), Entry(nil, "", false),
		Entry(nil, "Priority", false), Entry(nil, "Client-Cert", true), Entry(nil, "Client-Cert-Chain", true), Entry(nil, "Remote-User", true),
		Entry(nil, "X-Http-Method", true), Entry(nil, "X-Envoy-External-Address", true), Entry(nil, "X-Host", true), Entry(nil, "X-Hosting", false),
		Entry(nil, "X-Amzn-Mtls-Clientcert-Subject", true), Entry(nil, "X-Amzn-Mtls", false), Entry(nil, "X-Arr-Clientcert", true),
		Entry(nil, "X-Arr-Log-Id", false), Entry(nil, "X-Pomerium-Jwt-Assertion", true), Entry(nil, "X-Vouch-User", true),
		Entry(nil, "Oidc-Claim-Sub", true), Entry(nil, "Oidc", false), Entry(nil, "Iv-User", true), Entry(nil, "Iv", false),
		Entry(nil, "X", false), Entry(nil, "X-", false), Entry(nil, "Client-Ip-Hint", false), Entry(nil, "Remote", false),
	)

	DescribeTable("may follow a body, or not",
		func(name string, forbidden bool) { Expect(spec.IsForbiddenTrailer(name)).To(Equal(forbidden)) },
		Entry(nil, "X-Sum", false), Entry(nil, "Etag", false), Entry(nil, "Content-Digest", false), Entry(nil, "Server-Timing", false),
		Entry(nil, "Grpc-Status", false), Entry(nil, "", false), Entry(nil, "If", false), Entry(nil, "Hosts", false),
		Entry(nil, "Content-Length", true), Entry(nil, "Transfer-Encoding", true), Entry(nil, "Host", true), Entry(nil, "Authorization", true),
		Entry(nil, "Cookie", true), Entry(nil, "Set-Cookie", true), Entry(nil, "If-Match", true), Entry(nil, "If-None-Match", true),
		Entry(nil, "Content-Type", true), Entry(nil, "Trailer", true), Entry(nil, "Proxy-Authenticate", true), Entry(nil, "Location", true),
	)

	It("that must not follow a body hold all that net/http lets no trailer be", func() {
		list := spec.ForbiddenTrailers()
		Expect(slices.IsSorted(list)).To(BeTrue())
		Expect(slices.Compact(slices.Clone(list))).To(Equal(list))
		for _, name := range list {
			bare := strings.TrimSuffix(name, "*")
			Expect(http.CanonicalHeaderKey(bare)).To(Equal(bare))
			Expect(spec.IsForbiddenTrailer(bare)).To(BeTrue(), name)
			Expect(spec.IsForbiddenTrailer(bare+"x")).To(Equal(bare != name), name)
		}
		for _, name := range []string{ // golang.org/x/net/http/httpguts, ValidTrailerHeader
			"Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Expect",
			"Host", "If-Modified-Since", "Keep-Alive", "Max-Forwards", "Pragma", "Proxy-Authenticate", "Proxy-Authorization",
			"Proxy-Connection", "Range", "Realm", "Te", "Trailer", "Transfer-Encoding", "Www-Authenticate",
		} {
			Expect(spec.IsForbiddenTrailer(name)).To(BeTrue(), name)
		}
	})

	It("are listed as they are reserved: canonical, in order, each once", func() {
		list := spec.ReservedHeaders()
		Expect(slices.IsSorted(list)).To(BeTrue())
		Expect(slices.Compact(slices.Clone(list))).To(Equal(list))
		for _, name := range list {
			bare := strings.TrimSuffix(name, "*")
			Expect(http.CanonicalHeaderKey(bare)).To(Equal(bare))
			Expect(spec.IsReservedHeader(bare)).To(BeTrue(), name)
			Expect(spec.IsReservedHeader(bare+"x")).To(Equal(bare != name), name)
		}
	})
})
