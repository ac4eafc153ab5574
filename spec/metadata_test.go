package spec_test

import (
	"bytes"
	"encoding/binary"
	"net/textproto"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// requestHead is REQUEST metadata up to and without what follows the request id, with all text empty.
func requestHead(bits byte) []byte { return append([]byte{bits}, make([]byte, 8+16)...) }

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func uvarint(n uint64) []byte { return binary.AppendUvarint(nil, n) }

var _ = Describe("REQUEST metadata", func() {
	It("reads back as it was written, into slices that are used again", func() {
		r := spec.Request{Params: make([]string, 0, 8), Header: []spec.Field{{Name: "Old", Value: "old"}}, Identity: &spec.Identity{}}
		Expect(r.Decode(goldenRequest.AppendTo(nil))).To(Succeed())
		Expect(r).To(Equal(goldenRequest))
		least := spec.Request{ContentLength: -1}
		Expect(r.Decode(least.AppendTo(nil))).To(Succeed())
		Expect(r.Identity).To(BeNil())
		Expect(r.Trace).To(Equal(spec.Trace{}))
		Expect(r.Params).To(BeEmpty())
		Expect(r.Header).To(BeEmpty())
	})

	It("keeps nothing of the bytes it was read from", func() {
		b := goldenRequest.AppendTo(nil)
		var r spec.Request
		Expect(r.Decode(b)).To(Succeed())
		clear(b)
		Expect(r).To(Equal(goldenRequest))
	})

	It("tells a body of no bytes from one of unknown length", func() {
		for _, n := range []int64{-1, 0, 1, 1 << 62} {
			var r spec.Request
			Expect(r.Decode((&spec.Request{ContentLength: n}).AppendTo(nil))).To(Succeed())
			Expect(r.ContentLength).To(Equal(n))
		}
	})

	It("says what the client asks to change to, and nothing where it asks for nothing", func() {
		var r spec.Request
		Expect(r.Decode(goldenUpgrade.AppendTo(nil))).To(Succeed())
		Expect(r.Upgrade).To(Equal("websocket"))
		Expect(r.Decode((&spec.Request{ContentLength: 0}).AppendTo(nil))).To(Succeed())
		Expect(r.Upgrade).To(BeEmpty())
		longest := spec.Request{ContentLength: -1, Upgrade: strings.Repeat("a", spec.MaxUpgrade)}
		Expect(r.Decode(longest.AppendTo(nil))).To(Succeed())
		Expect(r.Upgrade).To(Equal(longest.Upgrade))
		for b, n := goldenUpgrade.AppendTo(nil), 0; n < len(b); n++ {
			Expect(new(spec.Request).Decode(b[:n])).To(MatchError(spec.ErrMetadata), "%d bytes", n)
		}
	})

	It("fits the head that is written apart from its header fields", func() {
		r := goldenRequest
		b := r.AppendHead(nil, len(r.Header))
		for _, f := range r.Header {
			b = spec.AppendField(b, f.Name, f.Value)
		}
		Expect(b).To(Equal(r.AppendTo(nil)))
	})

	It("is refused when it ends early, wherever that is, and when anything follows", func() {
		b := goldenRequest.AppendTo(nil)
		for n := range b {
			Expect(new(spec.Request).Decode(b[:n])).To(MatchError(spec.ErrMetadata), "%d bytes", n)
		}
		Expect(new(spec.Request).Decode(append(b, 0))).To(MatchError(ContainSubstring("1 bytes after the last part")))
	})

	DescribeTable("is refused", func(b []byte, why string) {
		err := new(spec.Request).Decode(b)
		Expect(err).To(MatchError(spec.ErrMetadata))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("with a bit that nobody knows", concat(requestHead(0x20), []byte{0}), "unknown bits 0x20"),
		Entry("with a generation over 32 bits", concat([]byte{0}, uvarint(1<<32)), "over 32 bits"),
		Entry("with a number over 64 bits", concat([]byte{0}, bytes.Repeat([]byte{0xff}, 9), []byte{0x02}), "over 64 bits"),
		Entry("with a number that never ends", concat([]byte{0}, bytes.Repeat([]byte{0x80}, 20)), "over 64 bits"),
		Entry("with a number that is longer than it must be", []byte{0, 0x80, 0x00}, "shortest form"),
		Entry("with a method that is none", (&spec.Request{Method: "get"}).AppendTo(nil), `method "get"`),
		Entry("with a path that is none", (&spec.Request{Path: "x"}).AppendTo(nil), "does not begin with a slash"),
		Entry("with more parameters than are allowed", (&spec.Request{Params: make([]string, 129)}).AppendTo(nil), "129 path parameters, the limit is 128"),
		Entry("with more claims than are allowed",
			(&spec.Request{Identity: &spec.Identity{Claims: make([]spec.Claim, 129)}}).AppendTo(nil), "129 claims, the limit is 128"),
		Entry("with more fields than are allowed", (&spec.Request{Header: make([]spec.Field, 129)}).AppendTo(nil), "129 header fields, the limit is 128"),
		Entry("with more parameters than bytes", []byte{0, 0, 0, 0, 100}, "100 path parameters do not fit"),
		Entry("with a length beyond the end", []byte{0, 0, 0, 9}, "needs 9 more bytes, has 0"),
		Entry("with a content length that no reader can hold", concat(requestHead(0x08), uvarint(1<<62+1)), "content length"),
		Entry("with an upgrade to nothing", concat(requestHead(0x10), []byte{0, 0}), `upgrade to ""`),
		Entry("with an upgrade that has more than one form", (&spec.Request{Upgrade: "WebSocket"}).AppendTo(nil), "expected a token in lower case"),
		Entry("with an upgrade to what is no token", (&spec.Request{Upgrade: "h2c, websocket"}).AppendTo(nil), "expected a token"),
		Entry("with an upgrade that breaks its line", (&spec.Request{Upgrade: "websocket\r\nx"}).AppendTo(nil), "expected a token"),
		Entry("with an upgrade of too long a name", (&spec.Request{Upgrade: strings.Repeat("a", 65)}).AppendTo(nil), "up to 64 bytes"),
		Entry("with a trace that has no id", concat(requestHead(0x02), make([]byte, 16+8+1+1), []byte{0}), "trace without an id"),
	)
})

var _ = Describe("RESPONSE metadata", func() {
	It("reads back as it was written", func() {
		var r spec.Response
		Expect(r.Decode(goldenResponse.AppendTo(nil))).To(Succeed())
		Expect(r).To(Equal(goldenResponse))
	})

	It("writes every negative content length as unknown", func() {
		var r spec.Response
		Expect(r.Decode((&spec.Response{Status: 200, ContentLength: -7}).AppendTo(nil))).To(Succeed())
		Expect(r.ContentLength).To(Equal(int64(-1)))
	})

	It("is refused when it ends early, wherever that is, and when anything follows", func() {
		b := goldenResponse.AppendTo(nil)
		for n := range b {
			Expect(new(spec.Response).Decode(b[:n])).To(MatchError(spec.ErrMetadata), "%d bytes", n)
		}
		Expect(new(spec.Response).Decode(append(b, 0))).To(MatchError(ContainSubstring("1 bytes after the last part")))
	})

	DescribeTable("is refused", func(b []byte, why string) {
		err := new(spec.Response).Decode(b)
		Expect(err).To(MatchError(spec.ErrMetadata))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("with an informational status", (&spec.Response{Status: 103}).AppendTo(nil), "status 103, expected 101, or 200 to 599"),
		Entry("with an upgrade that has a body", (&spec.Response{Status: 101, ContentLength: 1}).AppendTo(nil), "status 101 with a content length"),
		Entry("with an upgrade that has an empty body", (&spec.Response{Status: 101}).AppendTo(nil), "status 101 with a content length"),
		Entry("with a status that HTTP does not have", (&spec.Response{Status: 600}).AppendTo(nil), "status 600"),
		Entry("with a negative status", (&spec.Response{Status: -1}).AppendTo(nil), "status"),
		Entry("with a content length that no reader can hold", concat(uvarint(200), uvarint(1<<62+2), []byte{0}), "content length"),
		Entry("with more fields than are allowed", (&spec.Response{Status: 200, Header: make([]spec.Field, 129)}).AppendTo(nil), "129 header fields"),
		Entry("with a name's number that there is not", concat(uvarint(200), []byte{0, 1, 65, 0}), "header name number 65, the last is 64"),
		Entry("with an empty name", concat(uvarint(200), []byte{0, 1, 0, 0, 0}), `header name ""`),
		Entry("with a name that is no token", concat(uvarint(200), []byte{0, 1, 0, 3}, []byte("a b"), []byte{0}), `header name "a b"`),
		Entry("with a line break in a value", (&spec.Response{Status: 200, Header: []spec.Field{{Name: "X", Value: "a\r\nb"}}}).AppendTo(nil), "control character"),
		Entry("with a NUL in a value", (&spec.Response{Status: 200, Header: []spec.Field{{Name: "X", Value: "\x00"}}}).AppendTo(nil), "control character"),
	)
})

var _ = Describe("Header fields", func() {
	It("have their static names in canonical form, each once, and each in two bytes with an empty value", func() {
		seen := map[string]bool{}
		for i, name := range spec.StaticNames() {
			Expect(name).To(Equal(textproto.CanonicalMIMEHeaderKey(name)))
			Expect(seen[name]).To(BeFalse(), name)
			seen[name] = true
			Expect(spec.AppendField(nil, name, "")).To(Equal([]byte{byte(i + 1), 0}))
		}
	})

	It("give out a copy of the static names", func() {
		spec.StaticNames()[0] = "changed"
		Expect(spec.StaticNames()[0]).To(Equal("Accept"))
	})

	It("have names without case", func() {
		var r spec.Response
		sent := spec.Response{Status: 200, Header: []spec.Field{{Name: "content-TYPE", Value: "a"}, {Name: "x-y", Value: "b\tc ü"}}}
		Expect(r.Decode(sent.AppendTo(nil))).To(Succeed())
		Expect(r.Header).To(Equal([]spec.Field{{Name: "Content-Type", Value: "a"}, {Name: "X-Y", Value: "b\tc ü"}}))
	})

	DescribeTable("are checked by the sender as by the receiver", func(f spec.Field, ok bool) {
		sent, taken := f.Check(), new(spec.Response).Decode((&spec.Response{Status: 200, Header: []spec.Field{f}}).AppendTo(nil))
		if ok {
			Expect(sent).To(Succeed())
			Expect(taken).To(Succeed())
			return
		}
		Expect(sent).To(MatchError(ContainSubstring("header")))
		Expect(taken).To(MatchError(spec.ErrMetadata))
	},
		Entry("plain", spec.Field{Name: "X-A", Value: "b"}, true),
		Entry("every character of a token", spec.Field{Name: "!#$%&'*+-.^_`|~09azAZ", Value: "b"}, true),
		Entry("an empty value", spec.Field{Name: "A"}, true),
		Entry("an empty name", spec.Field{Value: "b"}, false),
		Entry("a colon in the name", spec.Field{Name: ":path", Value: "b"}, false),
		Entry("a byte over ASCII in the name", spec.Field{Name: "Ä", Value: "b"}, false),
		Entry("DEL in the value", spec.Field{Name: "A", Value: "\x7f"}, false),
		Entry("a line feed in the value", spec.Field{Name: "A", Value: "b\nc"}, false),
	)
})

var _ = Describe("A request id", func() {
	It("is written as a UUID", func() {
		Expect(goldenRequest.ID.String()).To(Equal("01975bd9-9a00-7abc-8def-0123456789ab"))
	})
})

var _ = Describe("A claim requirement", func() {
	held := []spec.Claim{{Type: "scope", Value: "billing:read"}, {Type: "scope", Value: "billing:write"}, {Type: "admin"}}

	DescribeTable("looks among the caller's claims", func(r spec.ClaimRequirement, want bool) {
		Expect(r.Satisfied(held)).To(Equal(want))
		Expect(r.Satisfied(nil)).To(BeFalse())
	},
		Entry("for one of several values", spec.ClaimRequirement{Type: "scope", Value: "billing:write"}, true),
		Entry("for presence, where no value is asked for", spec.ClaimRequirement{Type: "scope"}, true),
		Entry("for a value that is not held", spec.ClaimRequirement{Type: "scope", Value: "billing"}, false),
		Entry("for a value of a claim that has none", spec.ClaimRequirement{Type: "admin", Value: "yes"}, false),
		Entry("for a type that is not held", spec.ClaimRequirement{Type: "Scope"}, false),
	)

	It("reads as TYPE=VALUE", func() {
		Expect(spec.ClaimRequirement{Type: "scope", Value: "a"}.String()).To(Equal("scope=a"))
		Expect(spec.ClaimRequirement{Type: "scope"}.String()).To(Equal("scope"))
	})
})

var _ = Describe("An unauthenticated byte", func() {
	It("cannot make a decoder allocate more than a small multiple of what came", func() {
		// Every count is checked against the bytes that are left: 128 fields of 2 bytes are the most that few bytes ask for.
		b := concat(requestHead(0), uvarint(128), bytes.Repeat([]byte{1, 0}, 128))
		var r spec.Request
		Expect(r.Decode(b)).To(Succeed())
		Expect(cap(r.Header)).To(BeNumerically("<=", 2*spec.MaxFields))
		Expect(new(spec.Request).Decode(concat(requestHead(0), uvarint(128), []byte{1, 0}))).To(MatchError(ContainSubstring("do not fit")))
		Expect(strings.Count(r.Header[127].Name, "Accept")).To(Equal(1))
	})
})
