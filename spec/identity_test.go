package spec_test

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

func pattern(s string) spec.Pattern {
	GinkgoHelper()
	p, err := spec.ParsePattern(s)
	Expect(err).NotTo(HaveOccurred())
	return p
}

var _ = Describe("Invariant 1: method and path are an endpoint's identity", func() {
	identity := func(method, path string) string {
		GinkgoHelper()
		id, err := (&spec.Endpoint{Method: method, Path: path}).Identity()
		Expect(err).NotTo(HaveOccurred())
		return id
	}

	It("does not count the names of parameters", func() {
		Expect(identity("GET", "/x/{id}")).To(Equal(identity("GET", "/x/{key}")))
		Expect(identity("GET", "/x/{rest...}")).To(Equal(identity("GET", "/x/{all...}")))
	})

	It("tells everything else apart", func() {
		ids := []string{
			identity("GET", "/"), identity("GET", "/x"), identity("GET", "/X"), identity("POST", "/x"), identity("GET", "/x/{id}"),
			identity("GET", "/x/{id...}"), identity("GET", "/x/id"), identity("GET", "/{x}/id"), identity("GET", "/x/{id}/y"),
		}
		slices.Sort(ids)
		Expect(slices.Compact(slices.Clone(ids))).To(Equal(ids))
	})

	It("lets one manifest have it once", func() {
		m := billing()
		twin := m.Endpoints[1]
		twin.Path, twin.Handler, twin.Params = "/invoices/{number}", "Service.Other", nil
		m.Endpoints = append(m.Endpoints, twin)
		_, err := m.Encode()
		Expect(err).To(MatchError(spec.ErrManifest))
		Expect(err).To(MatchError(ContainSubstring("GET /invoices/{number} and GET /invoices/{id} are one endpoint (GET /invoices/{})")))
	})

	It("is not there for a path that is none", func() {
		_, err := (&spec.Endpoint{Method: "GET", Path: "x"}).Identity()
		Expect(err).To(MatchError(ContainSubstring("begin with a slash")))
	})
})

var _ = Describe("Invariant 2: versions are strict semver, and equal means written alike", func() {
	DescribeTable("takes", func(s string, stable bool) {
		v, err := spec.ParseVersion(s)
		Expect(err).NotTo(HaveOccurred())
		Expect(v.String()).To(Equal(s))
		Expect(v.Stable()).To(Equal(stable))
		Expect(v.IsZero()).To(BeFalse())
		same, err := spec.ParseVersion(strings.Clone(s))
		Expect(err).NotTo(HaveOccurred())
		Expect(map[spec.Version]bool{v: true}[same]).To(BeTrue())
	},
		Entry(nil, "0.0.0", true), Entry(nil, "1.4.0", true), Entry(nil, "10.20.30", true), Entry(nil, "1.0.0+build.7", true),
		Entry(nil, "1.0.0+0001", true), Entry(nil, "1.0.0+a-b", true),
		Entry(nil, "1.0.0-rc.1", false), Entry(nil, "1.0.0-0", false), Entry(nil, "1.0.0--", false), Entry(nil, "1.0.0-0a.x-y+z", false),
	)

	DescribeTable("refuses", func(s string) {
		v, err := spec.ParseVersion(s)
		Expect(err).To(MatchError(ContainSubstring("is not major.minor.patch")))
		Expect(v.IsZero()).To(BeTrue())
	},
		Entry(nil, ""), Entry(nil, "1"), Entry(nil, "1.2"), Entry(nil, "1.2.3.4"), Entry(nil, "v1.2.3"), Entry(nil, "=1.2.3"),
		Entry(nil, " 1.2.3"), Entry(nil, "1.2.3 "), Entry(nil, "1.2.3\n"), Entry(nil, "01.2.3"), Entry(nil, "1.02.3"), Entry(nil, "1.2.03"),
		Entry(nil, "1.2.x"), Entry(nil, "1..3"), Entry(nil, "-1.2.3"), Entry(nil, "+1.2.3"), Entry(nil, "1.2.3-"), Entry(nil, "1.2.3+"),
		Entry(nil, "1.2.3-+"), Entry(nil, "1.2.3-01"), Entry(nil, "1.2.3-a..b"), Entry(nil, "1.2.3-a."), Entry(nil, "1.2.3-ä"),
		Entry(nil, "1.2.3+a..b"), Entry(nil, "1.2.3+a+b"), Entry(nil, "1.2.3-a_b"), Entry(nil, "99999999999999999999.0.0"),
		Entry(nil, "1.2.3-"+strings.Repeat("a", 1000)), Entry(nil, "latest"), Entry(nil, "1.2.3-\x00"),
	)

	It("tells builds of one version apart, though neither comes before the other", func() {
		one, err := spec.ParseVersion("1.0.0+one")
		Expect(err).NotTo(HaveOccurred())
		two, err := spec.ParseVersion("1.0.0+two")
		Expect(err).NotTo(HaveOccurred())
		Expect(one.Compare(two)).To(BeZero())
		Expect(map[spec.Version]bool{one: true}).NotTo(HaveKey(two))
	})

	It("orders as semver.org does", func() {
		var last spec.Version
		Expect(last.Compare(spec.Version{})).To(BeZero())
		Expect(last.String()).To(BeEmpty())
		Expect(last.Stable()).To(BeFalse())
		Expect(last.Major()).To(BeZero())
		for _, s := range []string{
			"0.0.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
			"1.0.0", "1.2.0", "1.10.0", "2.0.0",
		} {
			v, err := spec.ParseVersion(s)
			Expect(err).NotTo(HaveOccurred())
			Expect(last.Compare(v)).To(BeNumerically("<", 0), "%s before %s", last, v)
			Expect(v.Compare(last)).To(BeNumerically(">", 0))
			last = v
		}
		Expect(last.Major()).To(Equal(uint64(2)))
	})
})

var _ = Describe("A path pattern", func() {
	It("has segments, and the names of its parameters in order", func() {
		p := pattern("/a/{id}/b-c~1/{rest...}")
		Expect(p.Segments).To(Equal([]spec.Segment{{Literal: "a"}, {Param: "id"}, {Literal: "b-c~1"}, {Param: "rest", Rest: true}}))
		Expect(p.Params()).To(Equal([]string{"id", "rest"}))
		Expect(p.HasRest()).To(BeTrue())
		Expect(p.String()).To(Equal("/a/{id}/b-c~1/{rest...}"))
		Expect(pattern("/").Segments).To(BeEmpty())
		Expect(pattern("/").HasRest()).To(BeFalse())
		Expect(pattern("/").Identity()).To(Equal("/"))
	})

	DescribeTable("is refused", func(s, why string) {
		_, err := spec.ParsePattern(s)
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("when empty", "", "does not begin with a slash"),
		Entry("when relative", "a/b", "does not begin with a slash"),
		Entry("with a slash at its end", "/a/", "ends with a slash"),
		Entry("with an empty segment", "/a//b", "empty segment"),
		Entry("with an asterisk for the rest", "/a/*", `segment "*" begins with an asterisk: write {rest...}, as the last segment`),
		Entry("with an asterisk and a name for the rest", "/a/*path", "write {path...}"),
		Entry("with a dot segment", "/a/./b", "would be resolved away"),
		Entry("with two dots", "/a/..", "would be resolved away"),
		Entry("with an end marker", "/a/{$}", "never matches a subtree"),
		Entry("with a part of a segment as a parameter", "/a/x{id}", "must be a whole segment"),
		Entry("with a brace alone", "/a/}", "must be a whole segment"),
		Entry("with a parameter without a name", "/a/{}", "not an identifier"),
		Entry("with a rest without a name", "/a/{...}", "not an identifier"),
		Entry("with a name that is none", "/a/{1d}", "not an identifier"),
		Entry("with a rest that is not last", "/a/{x...}/b", "must be the last segment"),
		Entry("with a name twice", "/a/{x}/{x}", `names parameter "x" twice`),
		Entry("with a space", "/a b", "must not stand in a path"),
		Entry("with a percent sign", "/a%20b", "must not stand in a path"),
		Entry("with a query", "/a?b", "must not stand in a path"),
		Entry("with a letter over ASCII", "/ä", "must not stand in a path"),
		Entry("with a backslash", `/a\b`, "must not stand in a path"),
		Entry("with a control character", "/a\nb", "must not stand in a path"),
	)

	DescribeTable("gives the canonical path for parameter values", func(p string, values []string, want string) {
		Expect(pattern(p).Fill(values)).To(Equal(want))
	},
		Entry("without parameters", "/a/b", nil, "/a/b"),
		Entry("of the root", "/", []string{"x"}, "/"),
		Entry("as they are", "/a/{x}/b/{y}", []string{"1", "two"}, "/a/1/b/two"),
		Entry("with what must be escaped", "/a/{x}", []string{"a b/c%?ü"}, "/a/a%20b%2Fc%25%3F%C3%BC"),
		Entry("with the slashes of a rest", "/a/{x...}", []string{"b/c d"}, "/a/b/c%20d"),
		Entry("with missing values as empty", "/a/{x}/{y}", []string{"1"}, "/a/1/"),
		Entry("with no values as empty", "/a/{x}", nil, "/a/"),
	)

	It("knows the methods of endpoints", func() {
		for _, m := range spec.Methods {
			Expect(spec.ValidMethod(m)).To(BeTrue())
		}
		for _, m := range []string{"", "get", "CONNECT", "TRACE"} {
			Expect(spec.ValidMethod(m)).To(BeFalse(), m)
		}
	})
})
