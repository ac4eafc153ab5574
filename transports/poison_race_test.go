//go:build race

package transports_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

var _ = Describe("A frame's bytes, under the race detector", func() {
	It("are rubbish after the last release, so that whoever kept an alias is found out", func() {
		f := newFrame(spec.TypeResponseStreamData, 0, 2, 0, "", "secret")
		kept := f.Body()
		f.Retain()
		f.Release()
		Expect(string(kept)).To(Equal("secret"), "it is still held")
		f.Release()
		Expect(kept).To(Equal([]byte{0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd}))
	})
})
