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
