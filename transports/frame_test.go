package transports_test

import (
	"bytes"
	"sync"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// newFrame is a sealed frame.
func newFrame(t spec.FrameType, flags spec.Flags, stream, aux uint32, meta, body string) *transports.Frame {
	f := transports.NewFrame(len(meta) + len(body))
	f.SetBytes(append(append(f.Bytes(), meta...), body...))
	f.Seal(t, flags, stream, aux, len(meta))
	return f
}

var _ = Describe("A frame", func() {
	It("is as the codec writes it", func() {
		f := newFrame(spec.TypeRequest, spec.FlagEnd|spec.FlagInlineBody, 2, 5000, "meta", "body")
		defer f.Release()
		h := spec.Header{Type: spec.TypeRequest, Flags: spec.FlagEnd | spec.FlagInlineBody, Stream: 2, Aux: 5000}
		want, err := spec.AppendFrame(nil, h, []byte("meta"), []byte("body"))
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Bytes()).To(Equal(want))
		h.Length, h.MetaLen = 8, 4
		Expect(f.Header()).To(Equal(h))
		Expect(string(f.Meta())).To(Equal("meta"))
		Expect(string(f.Body())).To(Equal("body"))
		Expect(string(f.Payload())).To(Equal("metabody"))
	})

	It("can be given another stream id after it was sealed", func() {
		f := newFrame(spec.TypeCancel, 0, 0, 7, "why", "")
		defer f.Release()
		f.SetStream(4)
		Expect(f.Header()).To(Equal(spec.Header{Length: 3, Type: spec.TypeCancel, MetaLen: 3, Stream: 4, Aux: 7}))
	})

	It("of control has metadata alone", func() {
		f := transports.NewControl(spec.TypeGoAway, 0, uint32(spec.CodeShutdown), []byte("bye"))
		defer f.Release()
		Expect(string(f.Meta())).To(Equal("bye"))
		Expect(f.Body()).To(BeEmpty())
		Expect(spec.ParseHeader(f.Bytes(), spec.MaxFrameHello)).Error().NotTo(HaveOccurred())
	})

	It("has the room that was asked for, in every class of sizes and beyond", func() {
		for _, size := range []int{0, 1, 495, 496, 497, 4096, 1<<16 - 16, 1 << 16, 1<<18 - 16, 1<<18 - 15, spec.MaxFrameHard} {
			f := transports.NewFrame(size)
			Expect(f.Payload()).To(BeEmpty())
			Expect(cap(f.Bytes())-spec.HeaderSize).To(BeNumerically(">=", size), "for %d", size)
			f.Release()
		}
	})

	It("has the room that was asked for after smaller and larger ones were given back", func() {
		for range 100 { // what the pool holds differs; the room must not
			f := transports.NewFrame(100)
			f.SetBytes(append(f.Bytes(), make([]byte, 700)...)) // grows into an odd size
			f.Release()
			for _, size := range []int{400, 1000, 2000} {
				g := transports.NewFrame(size)
				Expect(cap(g.Bytes()) - spec.HeaderSize).To(BeNumerically(">=", size))
				g.Release()
			}
		}
	})

	It("lives as long as its last holder", func() {
		f := newFrame(spec.TypePing, 0, 0, 1, "", "")
		f.Retain()
		f.Release()
		Expect(f.Header().Type).To(Equal(spec.TypePing))
		f.Release()
	})

	It("panics when it is released more often than it is held: two would own its bytes", func() {
		f := transports.NewFrame(1 << 20) // too large for the pool, so that nobody else has it by now
		f.Release()
		Expect(f.Release).To(PanicWith(ContainSubstring("released twice")))
	})

	It("may be nil when it is released", func() {
		var f *transports.Frame
		Expect(f.Release).NotTo(Panic())
	})

	It("is owned by one at a time, however many take and give back", func() {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				defer GinkgoRecover()
				want := bytes.Repeat([]byte{byte(i)}, 700)
				for range 200 {
					f := transports.NewFrame(len(want))
					f.SetBytes(append(f.Bytes(), want...))
					f.Retain()
					done := make(chan struct{})
					go func() {
						f.Release()
						close(done)
					}()
					Expect(bytes.Equal(f.Payload(), want)).To(BeTrue())
					<-done
					f.Release()
				}
			})
		}
		wg.Wait()
	})
})

func BenchmarkFrame(b *testing.B) {
	meta, body := make([]byte, 100), make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		f := transports.NewFrame(len(meta) + len(body))
		f.SetBytes(append(append(f.Bytes(), meta...), body...))
		f.Seal(spec.TypeRequest, spec.FlagEnd|spec.FlagInlineBody, 2, 5000, len(meta))
		f.Release()
	}
}
