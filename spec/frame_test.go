package spec_test

import (
	"bytes"
	"errors"
	"math"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// parse checks a header as it would arrive.
func parse(h spec.Header, limit uint32) error {
	var b [spec.HeaderSize]byte
	h.Put(b[:])
	got, err := spec.ParseHeader(b[:], limit)
	Expect(got).To(Equal(h))
	return err
}

var _ = Describe("A frame header", func() {
	DescribeTable("breaks the protocol", func(h spec.Header, why string) {
		var fault *spec.FrameError
		err := parse(h, spec.MaxFrameDefault)
		Expect(errors.As(err, &fault)).To(BeTrue(), "%v", err)
		Expect(fault.Reason).To(ContainSubstring(why))
		Expect(fault.Header).To(Equal(h))
		Expect(err).To(MatchError(ContainSubstring(h.Type.String())))
	},
		Entry("with a payload over the limit in force", spec.Header{Type: spec.TypeRequest, Stream: 2, Length: spec.MaxFrameDefault + 1}, "the limit is 131072"),
		Entry("with the largest length there is", spec.Header{Type: 0x40, Length: math.MaxUint32}, "the limit is 131072"),
		Entry("with the top bit of the stream id", spec.Header{Type: spec.TypeCancel, Stream: 1 << 31}, "top bit"),
		Entry("with more metadata than payload", spec.Header{Type: spec.TypeRequest, Stream: 2, Length: 3, MetaLen: 4}, "longer than the payload"),
		Entry("with type 0", spec.Header{}, "unknown type"),
		Entry("with the first type after the known ones", spec.Header{Type: 19}, "unknown type"),
		Entry("with the last type before those that may be ignored", spec.Header{Type: 0x3f}, "unknown type"),
		Entry("with the first type after those that may be ignored", spec.Header{Type: 0x80}, "unknown type"),
		Entry("with a flag that nobody knows", spec.Header{Type: spec.TypeRequest, Stream: 2, Flags: 0x10}, "flags 0x10, allowed are 0x0f"),
		Entry("with a flag of another type", spec.Header{Type: spec.TypeResponse, Stream: 2, Flags: spec.FlagRetry}, "flags 0x08, allowed are 0x03"),
		Entry("without the flag that its type always has", spec.Header{Type: spec.TypeTrailers, Stream: 2}, "flags 0x00, expected 0x01"),
		Entry("of trailers with a body", spec.Header{Type: spec.TypeTrailers, Flags: spec.FlagEnd, Stream: 2, Length: 1}, "body of 1 bytes, the limit is 0"),
		Entry("of a call on the session", spec.Header{Type: spec.TypeRequest}, "not allowed on the session"),
		Entry("of the session on a stream", spec.Header{Type: spec.TypeHello, Stream: 2}, "allowed on the session only"),
		Entry("with metadata where the type has none",
			spec.Header{Type: spec.TypeRequestStreamData, Stream: 2, Length: 1, MetaLen: 1}, "metadata of 1 bytes, the limit is 0"),
		Entry("with a reason that is too long", spec.Header{Type: spec.TypeCancel, Length: 1025, MetaLen: 1025}, "metadata of 1025 bytes, the limit is 1024"),
		Entry("with a body that no flag announces", spec.Header{Type: spec.TypeRequest, Stream: 2, Length: 2, MetaLen: 1}, "body without INLINE_BODY"),
		Entry("with an inline body that is too long",
			spec.Header{Type: spec.TypeResponse, Flags: spec.FlagInlineBody, Stream: 2, Length: spec.MaxInlineBody + 1},
			"body of 16385 bytes, the limit is 16384"),
		Entry("with a chunk that is too long",
			spec.Header{Type: spec.TypeRequestStreamData, Stream: 2, Length: spec.MaxChunk + 1}, "body of 65537 bytes, the limit is 65536"),
		Entry("with a body where the type has none", spec.Header{Type: spec.TypePing, Length: 1}, "body of 1 bytes, the limit is 0"),
		Entry("with aux where the type has none", spec.Header{Type: spec.TypeHello, Aux: 1}, "aux 1, expected 0"),
		Entry("with no credit", spec.Header{Type: spec.TypeCredit, Stream: 2}, "credit of 0 bytes"),
		Entry("with more credit than a stream may have", spec.Header{Type: spec.TypeCredit, Stream: 2, Aux: 1 << 31}, "the limit is 2147483647"),
	)

	DescribeTable("is taken", func(h spec.Header) { Expect(parse(h, spec.MaxFrameDefault)).To(Succeed()) },
		Entry("at the limits of a REQUEST", spec.Header{
			Type: spec.TypeRequest, Flags: 0x0f, Stream: spec.MaxStreamID, Aux: math.MaxUint32,
			Length: spec.MaxMetadata + spec.MaxInlineBody, MetaLen: spec.MaxMetadata,
		}),
		Entry("with INLINE_BODY and an empty body", spec.Header{Type: spec.TypeHello, Flags: spec.FlagInlineBody}),
		Entry("with a whole chunk", spec.Header{Type: spec.TypeResponseStreamData, Stream: 2, Length: spec.MaxChunk, Aux: math.MaxUint32}),
		Entry("with an empty chunk", spec.Header{Type: spec.TypeResponseStreamData, Flags: spec.FlagEnd, Stream: 2}),
		Entry("of trailers as large as there are", spec.Header{
			Type: spec.TypeTrailers, Flags: spec.FlagEnd, Stream: 2, Length: spec.MaxMetadata, MetaLen: spec.MaxMetadata, Aux: math.MaxUint32,
		}),
		Entry("of CANCEL on a stream", spec.Header{Type: spec.TypeCancel, Stream: 2, Length: 1024, MetaLen: 1024}),
		Entry("of CANCEL on the session", spec.Header{Type: spec.TypeCancel, Aux: 99}),
		Entry("of a type that may be ignored, whatever its flags, stream and aux",
			spec.Header{Type: 0x40, Flags: 0xff, Stream: 3, Aux: 1, Length: spec.MaxFrameDefault, MetaLen: 7}),
		Entry("of the last type that may be ignored", spec.Header{Type: 0x7f}),
	)

	It("is short as long as a byte is missing", func() {
		for n := range spec.HeaderSize {
			_, err := spec.ParseHeader(make([]byte, n), spec.MaxFrameDefault)
			Expect(err).To(MatchError(spec.ErrShort))
		}
	})

	DescribeTable("says when the frame is of no use any more", func(h spec.Header, ms uint32) {
		got, says := h.Expires()
		Expect(got).To(Equal(ms))
		Expect(says).To(Equal(h.Type != spec.TypeMAC))
	},
		Entry("of a whole request, at its deadline", spec.Header{Type: spec.TypeRequest, Flags: spec.FlagEnd, Stream: 2, Aux: 7}, uint32(7)),
		Entry("of one without a deadline, never", spec.Header{Type: spec.TypeRequest, Flags: spec.FlagEnd, Stream: 2}, uint32(0)),
		Entry("of one whose body follows, never", spec.Header{Type: spec.TypeRequest, Stream: 2, Aux: 7}, uint32(0)),
		Entry("of data, never", spec.Header{Type: spec.TypeRequestStreamData, Flags: spec.FlagEnd, Stream: 2, Aux: 7}, uint32(0)),
		Entry("of a MAC, with what it covers", spec.Header{Type: spec.TypeMAC}, uint32(0)),
		Entry("of a CANCEL, never", spec.Header{Type: spec.TypeCancel, Stream: 2, Aux: 2}, uint32(0)),
	)

	It("names types it does not know by their number", func() {
		Expect(spec.FrameType(0x99).String()).To(Equal("type 0x99"))
	})
})

var _ = Describe("A frame", func() {
	It("is whole with its last byte and not before, and aliases what it was read from", func() {
		b, err := spec.AppendFrame([]byte("before"), spec.Header{Type: spec.TypeCancel, Stream: 2, Aux: 1}, []byte("why"), nil)
		Expect(err).NotTo(HaveOccurred())
		b = b[len("before"):]
		for n := range b {
			_, payload, size, err := spec.DecodeFrame(b[:n], spec.MaxFrameDefault)
			Expect(err).NotTo(HaveOccurred())
			Expect(size).To(BeZero())
			Expect(payload).To(BeNil())
		}
		_, payload, size, err := spec.DecodeFrame(append(b, "after"...), spec.MaxFrameDefault)
		Expect(err).NotTo(HaveOccurred())
		Expect(size).To(Equal(len(b)))
		Expect(payload).To(Equal([]byte("why")))
		Expect(payload).To(HaveCap(len(payload)), "an append to the payload must not overwrite the next frame")
		payload[0] = 'W'
		Expect(b[spec.HeaderSize]).To(Equal(byte('W')))
	})

	It("with a fault is refused as soon as its header is whole", func() {
		var b [spec.HeaderSize]byte
		spec.Header{Type: spec.TypePing, Length: 1 << 30}.Put(b[:])
		_, _, _, err := spec.DecodeFrame(b[:], spec.MaxFrameDefault)
		Expect(err).To(MatchError(ContainSubstring("the limit is")))
	})

	It("that the header cannot express is not written", func() {
		dst := []byte("kept")
		got, err := spec.AppendFrame(dst, spec.Header{Type: spec.TypeRequest}, make([]byte, spec.MaxMetadata+1), nil)
		Expect(err).To(MatchError(ContainSubstring("metadata of 65536 bytes")))
		Expect(got).To(Equal(dst))
		got, err = spec.AppendFrame(dst, spec.Header{Type: spec.TypeRequest}, nil, make([]byte, spec.MaxFrameHard+1))
		Expect(err).To(MatchError(ContainSubstring("payload of 1048577 bytes")))
		Expect(got).To(Equal(dst))
	})

	It("carries a body of any bytes as it is (invariant 6, at the codec: it never looks into a body)", func() {
		for _, body := range [][]byte{
			[]byte(`{"json":`), []byte("\x00STELA\r\n"), []byte("\xff\xfe"), bytes.Repeat([]byte{0}, spec.MaxChunk),
		} {
			b, err := spec.AppendFrame(nil, spec.Header{Type: spec.TypeRequestStreamData, Stream: 2}, nil, body)
			Expect(err).NotTo(HaveOccurred())
			_, payload, _, err := spec.DecodeFrame(b, spec.MaxFrameDefault)
			Expect(err).NotTo(HaveOccurred())
			Expect(bytes.Equal(payload, body)).To(BeTrue())
		}
	})
})

var _ = Describe("A code", func() {
	It("has a name, and an unknown one its number", func() {
		Expect(spec.CodeNoError.String()).To(Equal("NO_ERROR"))
		Expect(spec.CodeIdle.String()).To(Equal("IDLE"))
		Expect(spec.CodeTooLarge.String()).To(Equal("TOO_LARGE"))
		Expect((spec.CodeTooLarge + 1).String()).To(Equal("code 18"))
	})

	It("allows a retry whatever the method only where the call was not taken on", func() {
		for c := range spec.CodeIdle + 1 {
			Expect(c.Retryable()).To(Equal(c == spec.CodeRefused || c == spec.CodeStale), "%s", c)
		}
	})
})
