package spec_test

import (
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
		Entry(nil, "Priority", false),
	)
})
