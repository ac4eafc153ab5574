package breaking_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/breaking"
)

const waiverText = `# what we know of
waivers:
  - rule: ENDPOINT_REMOVED
    endpoint: DELETE /invoices/{id}
    fingerprint: "0123456789012345"
    reason: >
      nobody calls it
    owner: "@billing"
    until: 2027-01-31
  - rule: STL2001
`

var _ = Describe("a file of waivers", func() {
	It("is read with the place of each", func() {
		list, err := breaking.ParseWaivers("w.yaml", []byte(waiverText))
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(HaveLen(2))
		Expect(list[0].Pos.String()).To(Equal("w.yaml:3:5"))
		Expect(list[1].Pos.String()).To(Equal("w.yaml:10:5"))
		list[0].Pos = list[1].Pos
		Expect(list[0]).To(Equal(breaking.Waiver{
			Rule: "ENDPOINT_REMOVED", Endpoint: "DELETE /invoices/{id}", Fingerprint: "0123456789012345", Reason: "nobody calls it",
			Owner: "@billing", Until: "2027-01-31", Pos: list[1].Pos,
		}))
		Expect(breaking.ParseWaivers("w.yaml", []byte("waivers: []"))).To(BeEmpty())
	})

	DescribeTable("that is wrong is refused, with its place",
		func(text, message string) {
			_, err := breaking.ParseWaivers("w.yaml", []byte(text))
			Expect(err).To(MatchError(HavePrefix("w.yaml:" + message)))
		},
		Entry(nil, "", "1:1: the file is empty"),
		Entry(nil, "# nothing", "1:1: the file is empty"),
		Entry(nil, "waivers:\n\t- a", "2:1: found character that cannot start any token"),
		Entry(nil, "waivers: []\n---\nwaivers: []", "2:1: a second document begins here"),
		Entry(nil, "- rule: a", "1:1: expected keys and values: waivers"),
		Entry(nil, "waivers: {}", "1:10: expected a list of waivers"),
		Entry(nil, "waiver: []", `1:1: unknown key "waiver", expected waivers: did you mean waivers?`),
		Entry(nil, "waivers: []\nwaivers: []", "2:1: key waivers given twice"),
		Entry(nil, "waivers: [a]", "1:11: expected keys and values: rule"),
		Entry(nil, "waivers:\n  - rule: a\n    untli: b", `3:5: unknown key "untli"`),
		Entry(nil, "waivers:\n  - rule: a\n    rule: b", "3:5: key rule given twice"),
		Entry(nil, "waivers:\n  - rule: [a]", "2:11: rule: expected text"),
		Entry(nil, "waivers:\n  - rule:", "2:10: rule: expected text"),
		Entry(nil, "waivers:\n  - rule: &a b\n    owner: *a", "2:11: anchor &a is refused: a value is read where it stands\nw.yaml:3:12: alias *a is refused"),
	)

	It("is refused if it is larger than anybody writes", func() {
		_, err := breaking.ParseWaivers("w.yaml", make([]byte, 1<<20+1))
		Expect(err).To(MatchError(ContainSubstring("expected at most 1048576")))
	})
})

func FuzzParseWaivers(f *testing.F) {
	f.Add([]byte(waiverText))
	f.Add([]byte("waivers:\n  - {rule: *a, ? [b] : c}\n  - !!binary x"))
	f.Fuzz(func(t *testing.T, source []byte) {
		list, err := breaking.ParseWaivers("w.yaml", source)
		if err != nil && list != nil {
			t.Fatalf("both %v and %v", list, err)
		}
	})
}
