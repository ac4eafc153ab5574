package spec_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

func indexed(paths ...string) *spec.Manifest {
	GinkgoHelper()
	m := &spec.Manifest{Service: "a", Version: "1.0.0", Schemas: map[string]*spec.Schema{"s": {Type: "string"}}}
	for _, p := range paths {
		m.Endpoints = append(m.Endpoints, spec.Endpoint{
			Method: "GET", Path: p, Handler: "H", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "x", Limits: spec.DefaultLimits,
			Response: &spec.Schema{Ref: "s"},
		})
	}
	_, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return m
}

var _ = Describe("The index of a session's endpoints", func() {
	number := func(x *spec.Index, identity string) uint32 {
		GinkgoHelper()
		n, ok := x.Number(identity)
		Expect(ok).To(BeTrue(), identity)
		return n
	}

	It("never changes what a number means: appended endpoints follow, in their manifest's order", func() {
		x, err := spec.NewIndex(indexed("/b", "/d"))
		Expect(err).NotTo(HaveOccurred())
		Expect(x.Generation).To(BeZero())
		next, err := x.Append(indexed("/a", "/b", "/c", "/d"))
		Expect(err).NotTo(HaveOccurred())
		Expect(next.Generation).To(BeEquivalentTo(1))
		Expect([]uint32{number(next, "GET /b"), number(next, "GET /d"), number(next, "GET /a"), number(next, "GET /c")}).
			To(Equal([]uint32{0, 1, 2, 3}))
		last, err := next.Append(indexed("/0", "/a", "/b", "/c", "/d"))
		Expect(err).NotTo(HaveOccurred())
		Expect(number(last, "GET /0")).To(BeEquivalentTo(4))
		Expect(number(last, "GET /a")).To(BeEquivalentTo(2))
		_, known := x.Number("GET /a")
		Expect(known).To(BeFalse(), "the older one is as it was")
	})

	DescribeTable("is not continued by a manifest", func(change func(*spec.Manifest), why string) {
		x, err := spec.NewIndex(indexed("/b", "/d"))
		Expect(err).NotTo(HaveOccurred())
		m := indexed("/a", "/b", "/d")
		change(m)
		_, err = x.Append(m)
		Expect(err).To(MatchError(spec.ErrManifest))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("of another version", func(m *spec.Manifest) { m.Version = "1.0.1" }, "a 1.0.1 are appended to those of a 1.0.0"),
		Entry("that lacks an endpoint", func(m *spec.Manifest) { m.Endpoints = m.Endpoints[:2] }, "GET /d has changed or is gone"),
		Entry("that changes an endpoint", func(m *spec.Manifest) { m.Endpoints[1].Status = 201 }, "GET /b has changed"),
		Entry("that changes a schema", func(m *spec.Manifest) { m.Schemas["s"] = &spec.Schema{Type: "integer"} }, `schema "s" has changed`),
	)
})
