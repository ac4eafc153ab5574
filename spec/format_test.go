package spec_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

var _ = DescribeTable("a format", func(format string, good, bad []string) {
	Expect(spec.Formats()).To(ContainElement(format))
	for _, text := range good {
		Expect(spec.HasFormat(format, text)).To(BeTrue(), "%s of %q", format, text)
	}
	for _, text := range bad {
		Expect(spec.HasFormat(format, text)).To(BeFalse(), "%s of %q", format, text)
	}
},
	Entry(nil, "date", []string{"2026-02-28"}, []string{"", "2026-02-30", "2026-2-3", "2026-02-28T00:00:00Z"}),
	Entry(nil, "date-time", []string{"2026-02-28T10:00:00Z", "2026-02-28T10:00:00.5+02:00"}, []string{"", "2026-02-28", "2026-02-28 10:00:00Z"}),
	Entry(nil, "time", []string{"10:00:00Z", "10:00:00.25-01:30"}, []string{"", "10:00", "25:00:00Z", "10:00:00"}),
	Entry(nil, "email", []string{"a@example.com", "a.b+c@x.org"}, []string{"", "a", "A <a@example.com>", "a@", "<a@example.com>"}),
	Entry(nil, "hostname", []string{"a", "a-1.example.com"}, []string{"", ".", "a.", "-a", "a-", "a_b", "a b"}),
	Entry(nil, "ipv4", []string{"127.0.0.1"}, []string{"", "::1", "1.2.3", "::ffff:1.2.3.4"}),
	Entry(nil, "ipv6", []string{"::1", "fe80::"}, []string{"", "127.0.0.1", "fe80::%eth0"}),
	Entry(nil, "uri", []string{"https://example.com/a?b#c", "urn:a:b"}, []string{"", "/a", "example.com", "%"}),
	Entry(nil, "uuid", []string{"123e4567-e89b-12d3-a456-42661417400A"}, []string{"", "123e4567e89b12d3a45642661417400a", "123e4567-e89b-12d3-a456-42661417400g"}),
	Entry(nil, "password", []string{"", "secret"}, nil),
)
