package stella

import (
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The constraints themselves are tested through generated code: see generator/testdata/driver/constraints.txtar.
var _ = Describe("a rule", func() {
	It("compares integers that no float tells apart", func() {
		r := &Rule{Maximum: "9007199254740992", Enum: []string{"9007199254740992", "9007199254740993"}}
		Expect(r.int(9007199254740992)).To(BeEmpty())
		Expect(r.int(9007199254740993)).To(Equal([]string{"expected at most 9007199254740992, got 9007199254740993"}))
		Expect(r.int(9007199254740991)).To(HaveLen(1))
		Expect((&Rule{Minimum: "18446744073709551615"}).uint(18446744073709551614)).To(HaveLen(1))
	})

	It("takes the bound of a float as the float that is nearest", func() {
		Expect((&Rule{Maximum: "0.1"}).float(float64(float32(0.1)), 32)).To(BeEmpty())
		Expect((&Rule{Maximum: "0.1"}).float(0.1, 64)).To(BeEmpty())
		Expect((&Rule{Below: "0.1"}).float(float64(float32(0.1)), 32)).To(HaveLen(1))
	})

	It("divides decimals, not what floats make of them", func() {
		r := &Rule{MultipleOf: "0.1"}
		Expect(r.float(0.3, 64)).To(BeEmpty())
		Expect(r.float(1e22, 64)).To(BeEmpty())
		Expect(r.float(0.35, 64)).To(HaveLen(1))
		Expect(r.float(float64(float32(0.7)), 32)).To(BeEmpty())
	})

	It("counts characters, not bytes", func() {
		Expect((&Rule{MaxLength: 2}).text("äö")).To(BeEmpty())
		Expect((&Rule{MinLength: 3}).text("äö")).To(HaveLen(1))
	})

	It("tells every constraint that a value breaks, and does not repeat all of a long one", func() {
		wrong := (&Rule{MaxLength: 3, Pattern: "^x", Format: "uuid"}).text(strings.Repeat("a", 1000))
		Expect(wrong).To(HaveLen(3))
		for _, detail := range wrong {
			Expect(len(detail)).To(BeNumerically("<", 120))
		}
	})

	It("may be read by many at once", func() {
		r := &Rule{Pattern: "^[0-9]+$", MultipleOf: "3"}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				Expect(r.text("12")).To(BeEmpty())
				Expect(r.text("x")).To(HaveLen(1))
			})
		}
		wg.Wait()
	})

	It("asks for nothing where there is none", func() {
		var r *Rule
		Expect([][]string{r.text(""), r.int(0), r.uint(0), r.float(0, 64), r.items(0), repeated(r, []int{1, 1})}).To(HaveEach(BeEmpty()))
		Expect(r.each()).To(BeNil())
	})
})
