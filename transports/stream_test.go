package transports_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// preamble is written out here as the law has it, not taken from the code.
func preamble(low, high uint16) []byte {
	b := []byte{0x00, 'S', 'T', 'E', 'L', 'A', '\r', '\n'}
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, low), high)
}

// opened is what OpenStream made of a connection.
type opened struct {
	link transports.Link
	err  error
}

func openStream(conn net.Conn) <-chan opened {
	done := make(chan opened, 1)
	go func() {
		link, err := transports.OpenStream(conn, "test")
		done <- opened{link, err}
	}()
	return done
}

// rawLink is a link over a pipe, and the pipe's other end, which has done its part of the opening.
func rawLink() (transports.Link, net.Conn) {
	GinkgoHelper()
	near, far := net.Pipe()
	done := openStream(near)
	got := make([]byte, 12)
	_, err := io.ReadFull(far, got)
	Expect(err).NotTo(HaveOccurred())
	Expect(got).To(Equal(preamble(1, 1)))
	_, err = far.Write(preamble(1, 1))
	Expect(err).NotTo(HaveOccurred())
	var o opened
	Eventually(done).WithTimeout(patience).Should(Receive(&o))
	Expect(o.err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(o.link.Close()).To(Succeed())
		Expect(far.Close()).To(Succeed())
	})
	return o.link, far
}

// tcpLinks are both ends of a link over TCP.
func tcpLinks() (a, b transports.Link) {
	GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(ln.Close()).To(Succeed()) }()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	Expect(err).NotTo(HaveOccurred())
	accepted, err := ln.Accept()
	Expect(err).NotTo(HaveOccurred())
	one, two := openStream(dialled), openStream(accepted)
	var oa, ob opened
	Eventually(one).WithTimeout(patience).Should(Receive(&oa))
	Eventually(two).WithTimeout(patience).Should(Receive(&ob))
	Expect(errors.Join(oa.err, ob.err)).To(Succeed())
	DeferCleanup(func() {
		Expect(oa.link.Close()).To(Succeed())
		Expect(ob.link.Close()).To(Succeed())
	})
	return oa.link, ob.link
}

// send writes raw bytes as a peer that knows no frames.
func send(conn net.Conn, b []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := conn.Write(b)
		done <- err
	}()
	return done
}

var _ = Describe("Opening a stream", func() {
	DescribeTable("turns away what is not this protocol, without waiting for more", func(said []byte, why string) {
		near, far := net.Pipe()
		defer func() { Expect(far.Close()).To(Succeed()) }()
		done := openStream(near)
		_, err := io.ReadFull(far, make([]byte, 12))
		Expect(err).NotTo(HaveOccurred())
		sent := send(far, said)
		var o opened
		Eventually(done).WithTimeout(spec.HelloTimeout / 2).Should(Receive(&o))
		Expect(o.link).To(BeNil())
		Expect(o.err).To(MatchError(transports.ErrPreamble))
		Expect(o.err).To(MatchError(ContainSubstring(why)))
		Eventually(sent).WithTimeout(patience).Should(Receive())
		_, err = far.Read(make([]byte, 1))
		Expect(err).To(MatchError(io.EOF), "the connection is closed")
	},
		Entry("random bytes", []byte{0x9f, 0x12, 0x00, 0xfe}, `got "\x9f"`),
		Entry("a TLS ClientHello", []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}, `got "\x16"`),
		Entry("an HTTP request", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), `got "G"`),
		Entry("HTTP/2 by prior knowledge", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), `got "P"`),
		Entry("our magic after something took the NUL away", []byte("STELA\r\n\x00\x01\x00\x01"), `got "S"`),
		Entry("our magic after something changed its line end", []byte("\x00STELA\n\x00\x01\x00\x01"), `got "\x00STELA\n"`),
		Entry("only newer versions", preamble(2, 3), "peer speaks versions 2 to 3, this side speaks 1"),
		Entry("only older versions", preamble(0, 0), "peer speaks versions 0 to 0"),
		Entry("versions that end before they begin", preamble(3, 1), "peer speaks versions 3 to 1"),
	)

	It("takes the highest version that both speak, out of any range that has it", func() {
		near, far := net.Pipe()
		defer func() { Expect(far.Close()).To(Succeed()) }()
		done := openStream(near)
		_, err := io.ReadFull(far, make([]byte, 12))
		Expect(err).NotTo(HaveOccurred())
		Eventually(send(far, preamble(0, 9))).WithTimeout(patience).Should(Receive(BeNil()))
		var o opened
		Eventually(done).WithTimeout(patience).Should(Receive(&o))
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.link.Close()).To(Succeed())
	})

	It("says how far a peer came that closed within the preamble", func() {
		near, far := net.Pipe()
		done := openStream(near)
		_, err := io.ReadFull(far, make([]byte, 12))
		Expect(err).NotTo(HaveOccurred())
		Eventually(send(far, preamble(1, 1)[:9])).WithTimeout(patience).Should(Receive(BeNil()))
		Expect(far.Close()).To(Succeed())
		var o opened
		Eventually(done).WithTimeout(patience).Should(Receive(&o))
		Expect(o.err).To(MatchError(transports.ErrPreamble))
		Expect(o.err).To(MatchError(io.EOF))
		Expect(o.err).To(MatchError(ContainSubstring("9 of 12 bytes came")))
	})
})

var _ = Describe("A stream link", func() {
	It("delivers batches of small and large frames whole and in order", func() {
		a, b := tcpLinks()
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		const count = 2000
		bodies := make([][]byte, count)
		for i := range bodies {
			size := random.IntN(300)
			if random.IntN(4) == 0 { // around the border between small and large, and up to the largest
				size = []int{4079, 4080, 4081, 9000, spec.MaxChunk}[random.IntN(5)]
			}
			bodies[i] = make([]byte, size)
			for j := range bodies[i] {
				bodies[i][j] = byte(i + j)
			}
		}
		written := make(chan error, 1)
		go func() {
			var batch []*transports.Frame
			for i, body := range bodies {
				batch = append(batch, newFrame(spec.TypeRequestStreamData, 0, 2, uint32(i), "", string(body)))
				if random.IntN(8) == 0 || i == count-1 {
					if err := a.WriteFrames(batch); err != nil {
						written <- err
						return
					}
					batch = batch[:0]
				}
			}
			written <- nil
		}()
		for i, body := range bodies {
			f, err := b.ReadFrame()
			Expect(err).NotTo(HaveOccurred())
			Expect(f.Header().Aux).To(Equal(uint32(i)))
			Expect(bytes.Equal(f.Body(), body)).To(BeTrue(), "frame %d of %d bytes", i, len(body))
			f.Release()
		}
		Eventually(written).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("writes nothing for an empty batch", func() {
		a, b := tcpLinks()
		Expect(a.WriteFrames(nil)).To(Succeed())
		Expect(a.WriteFrames([]*transports.Frame{newFrame(spec.TypePing, 0, 0, 9, "", "")})).To(Succeed())
		f, err := b.ReadFrame()
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Header().Aux).To(Equal(uint32(9)))
		f.Release()
	})

	It("carries bodies of any bytes as they are (invariant 6, at the transport: bodies are opaque)", func() {
		a, b := tcpLinks()
		for _, body := range []string{
			`{"json":`, "\x00STELA\r\n\x00\x01\x00\x01", "\xff\xfe\x00", string(newFrame(spec.TypeCancel, 0, 2, 1, "", "").Bytes()),
		} {
			Expect(a.WriteFrames([]*transports.Frame{newFrame(spec.TypeResponseStreamData, 0, 2, 0, "", body)})).To(Succeed())
			f, err := b.ReadFrame()
			Expect(err).NotTo(HaveOccurred())
			Expect(string(f.Body())).To(Equal(body))
			f.Release()
		}
	})

	It("checks the limit before it allocates, and waits for none of the payload", func() {
		link, far := rawLink()
		var head [spec.HeaderSize]byte
		spec.Header{Type: spec.TypeHello, Flags: spec.FlagInlineBody, Length: 1<<32 - 1}.Put(head[:])
		sent := send(far, head[:])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := link.ReadFrame()
		runtime.ReadMemStats(&after)
		var fault *spec.FrameError
		Expect(errors.As(err, &fault)).To(BeTrue(), "%v", err)
		Expect(fault.Reason).To(Equal("payload of 4294967295 bytes, the limit is 262144"))
		Expect(after.TotalAlloc-before.TotalAlloc).To(BeNumerically("<", 64<<10), "bytes allocated")
		Eventually(sent).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("has HELLO's limit first, and then the one that was set", func() {
		a, b := tcpLinks()
		large := func() *transports.Frame {
			return newFrame(spec.TypeHello, spec.FlagInlineBody, 0, 0, "{}", string(make([]byte, spec.MaxFrameHello-2)))
		}
		Expect(a.WriteFrames([]*transports.Frame{large(), large()})).To(Succeed())
		f, err := b.ReadFrame()
		Expect(err).NotTo(HaveOccurred())
		f.Release()
		b.SetMaxPayload(spec.MaxFrameDefault)
		_, err = b.ReadFrame()
		Expect(err).To(MatchError(ContainSubstring("the limit is 131072")))
	})

	DescribeTable("tells an orderly end from a broken one", func(last []byte, want error) {
		link, far := rawLink()
		sent := send(far, last)
		go func() {
			<-sent
			_ = far.Close()
		}()
		_, err := link.ReadFrame()
		Expect(err).To(MatchError(want))
	},
		Entry("between frames", nil, io.EOF),
		Entry("within a header", make([]byte, spec.HeaderSize-1), io.ErrUnexpectedEOF),
		Entry("after a header", newFrame(spec.TypeCancel, 0, 2, 1, "why", "").Bytes()[:spec.HeaderSize], io.ErrUnexpectedEOF),
		Entry("within a payload", newFrame(spec.TypeCancel, 0, 2, 1, "why", "").Bytes()[:spec.HeaderSize+2], io.ErrUnexpectedEOF),
	)

	It("is closed once, and ends what reads and writes", func() {
		link, _ := rawLink()
		read, wrote := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := link.ReadFrame()
			read <- err
		}()
		go func() { wrote <- link.WriteFrames([]*transports.Frame{newFrame(spec.TypePing, 0, 0, 1, "", "")}) }()
		Expect(link.Close()).To(Succeed())
		Expect(link.Close()).To(Succeed())
		Eventually(read).WithTimeout(patience).Should(Receive(HaveOccurred()))
		Eventually(wrote).WithTimeout(patience).Should(Receive(HaveOccurred()))
	})

	It("releases the frames of a batch once, whether it can write them or not", func() {
		for _, broken := range []bool{false, true} {
			a, b := tcpLinks()
			if broken {
				Expect(a.Close()).To(Succeed())
			}
			batch := []*transports.Frame{transports.NewFrame(spec.MaxFrameHard), transports.NewFrame(spec.MaxFrameHard)} // too large for the pool
			for _, f := range batch {
				f.Seal(spec.TypePing, 0, 0, 0, 0)
				f.Retain()
			}
			Expect(a.WriteFrames(batch) == nil).To(Equal(!broken))
			for _, f := range batch {
				f.Release()
				Expect(f.Release).To(PanicWith(ContainSubstring("released twice")))
			}
			Expect(b.Close()).To(Succeed())
		}
	})

	It("says what it can do", func() {
		a, b := tcpLinks()
		t := a.Traits()
		Expect(t.Remote).To(HavePrefix("127.0.0.1:"))
		t.Remote = ""
		Expect(t).To(Equal(transports.Traits{Order: transports.OrderLink, MaxPayload: spec.MaxFrameHard, Streams: true, Scheme: "test"}))
		Expect(b.Traits().Remote).NotTo(Equal(a.Traits().Remote))
	})

	It("goes on after a write that was left, whenever the peer reads again", func() {
		a, b := tcpLinks()
		b.SetMaxPayload(spec.MaxFrameHard)
		patient := a.(transports.Patient) //nolint:forcetypeassert // fails the spec
		sequence := uint32(0)
		some := func(size int) []*transports.Frame {
			sequence++
			return []*transports.Frame{newFrame(spec.TypeRequestStreamData, 0, 2, sequence, "", string(make([]byte, size)))}
		}
		for left, err := false, error(nil); !left; {
			left, err = patient.WriteSome(some(spec.MaxChunk - spec.HeaderSize))
			Expect(err).NotTo(HaveOccurred())
		}
		time.Sleep(2 * transports.Moment) //nolint:forbidigo // until the deadline of that write is long over
		held := sequence
		got := make(chan error, 1)
		go func() {
			for want := uint32(1); want <= held+2; want++ {
				f, err := b.ReadFrame()
				if err == nil && f.Header().Aux != want {
					err = fmt.Errorf("frame %d, expected %d", f.Header().Aux, want)
				}
				if err != nil {
					got <- err
					return
				}
				f.Release()
			}
			got <- nil
		}()
		Expect(a.WriteFrames(some(10))).To(Succeed())
		time.Sleep(2 * transports.Moment) //nolint:forbidigo // as above
		Expect(patient.WriteSome(some(10))).To(BeFalse())
		Eventually(got).WithTimeout(patience).Should(Receive(Succeed()))
	})

	It("passes on why the connection cannot be used at all", func() {
		near, far := net.Pipe()
		Expect(far.Close()).To(Succeed())
		Expect(near.Close()).To(Succeed())
		_, err := transports.OpenStream(near, "test")
		Expect(err).To(MatchError(io.ErrClosedPipe))
		Expect(err).To(MatchError(ContainSubstring("preamble")))
	})
})
