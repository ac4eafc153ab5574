package rabbitmq_test

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/rabbitmq"
)

var _ = Describe("A link", func() {
	It("carries frames both ways, in order", func() {
		service, gateway := pair()
		const n = 1000
		for _, way := range [][2]transports.Link{{service, gateway}, {gateway, service}} {
			go func() {
				defer GinkgoRecover()
				for i := uint32(0); i < n; {
					var batch []*transports.Frame
					for range 1 + i%7 {
						batch = append(batch, chunk(i, int(i*i%3000)))
						i++
					}
					write(way[0], batch...)
				}
			}()
			for i := range uint32(n) {
				want := chunk(i, int(i*i%3000))
				got, err := way[1].ReadFrame()
				Expect(err).NotTo(HaveOccurred())
				Expect(got.Bytes()).To(Equal(want.Bytes()))
				got.Release()
				want.Release()
			}
		}
	})

	It("has the traits of a stream", func() {
		service, gateway := pair()
		for _, l := range []transports.Link{service, gateway} {
			t := l.Traits()
			Expect(t.Order).To(Equal(transports.OrderLink))
			Expect(t.Streams).To(BeTrue())
			Expect(t.MaxPayload).To(BeEquivalentTo(spec.MaxFrameHard))
			Expect(t.Scheme).To(Equal("rabbitmq"))
		}
		Expect(gateway.Traits().Remote).To(HavePrefix(server.Addr + " "))
	})

	It("carries the largest frames, and many of them", func() {
		service, gateway := pair()
		gateway.SetMaxPayload(spec.MaxFrameHard)
		go func() {
			defer GinkgoRecover()
			for range 5 {
				write(service, large(spec.MaxFrameHard), ping(1), large(spec.MaxFrameHard))
			}
		}()
		for range 5 {
			Expect(read(gateway).Payload()).To(HaveLen(spec.MaxFrameHard))
			Expect(read(gateway).Header().Aux).To(BeEquivalentTo(1))
			Expect(read(gateway).Payload()).To(HaveLen(spec.MaxFrameHard))
		}
	})

	It("refuses a frame over the limit", func() {
		service, gateway := pair()
		write(service, large(spec.MaxFrameHello+1))
		_, err := gateway.ReadFrame()
		var fault *spec.FrameError
		Expect(errors.As(err, &fault)).To(BeTrue(), "%v", err)
	})

	It("makes a writer wait for its reader, and fails when that takes too long", func() {
		service, gateway := pair()
		rabbitmq.SetStall(service, 300*time.Millisecond)
		written := 0
		var err error
		for ; err == nil && written < 1000; written++ {
			err = service.WriteFrames([]*transports.Frame{chunk(0, spec.MaxChunk)})
		}
		Expect(err).To(MatchError(os.ErrDeadlineExceeded))
		Expect(written * spec.MaxChunk).To(BeNumerically("<", 5<<20))
		Expect(written * spec.MaxChunk).To(BeNumerically(">", 1<<20))
		for range written - 1 {
			read(gateway) // nothing unread was lost
		}
	})

	It("leaves a write half way to a writer that has other things to do", func() {
		service, gateway := pair()
		patient, ok := service.(transports.Patient)
		Expect(ok).To(BeTrue())
		left, n := false, uint32(0)
		for ; !left && n < 1000; n++ {
			var err error
			left, err = patient.WriteSome([]*transports.Frame{chunk(n, spec.MaxChunk)})
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(left).To(BeTrue())
		done := make(chan error, 1)
		go func() { done <- service.WriteFrames(nil) }()
		for i := range n {
			Expect(read(gateway).Header().Aux).To(Equal(i))
		}
		Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("ends in order: what was written before is read, then comes the end", func() {
		ln := listenAt(near())
		for _, byService := range []bool{true, false} {
			a, b := dialTo(ln)
			if !byService {
				a, b = b, a
			}
			write(a, ping(1), ping(2))
			Expect(a.Close()).To(Succeed())
			Expect(a.Close()).To(Succeed())
			Expect(a.WriteFrames([]*transports.Frame{ping(1)})).To(MatchError(net.ErrClosed))
			_, err := a.ReadFrame()
			Expect(err).To(MatchError(net.ErrClosed))
			Expect(read(b).Header().Aux).To(BeEquivalentTo(1))
			Expect(read(b).Header().Aux).To(BeEquivalentTo(2))
			_, err = b.ReadFrame()
			Expect(err).To(Equal(io.EOF))
			Expect(b.WriteFrames([]*transports.Frame{ping(1)})).To(MatchError(io.ErrClosedPipe))
			Expect(b.Close()).To(Succeed())
		}
	})

	It("leaves no queues", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		write(service, ping(1))
		read(gateway)
		Expect(service.Close()).To(Succeed())
		Expect(gateway.Close()).To(Succeed())
		Expect(ln.Close()).To(Succeed())
		Expect(server.Ctl("list_queues", "name")).NotTo(ContainSubstring(prefix + "."))
	})

	It("leaves nothing with the server that was taken, however little that is", func() {
		service, gateway := pair()
		write(service, ping(1))
		write(gateway, ping(1))
		Eventually(func() string {
			return server.Ctl("list_queues", "name", "messages")
		}).WithTimeout(2 * patience).Should(And(
			ContainSubstring(rabbitmq.Queue(service)+"\t0\n"), ContainSubstring(rabbitmq.Queue(gateway)+"\t0\n")))
	})

	It("outlives its listener", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		Expect(ln.Close()).To(Succeed())
		write(service, ping(7))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(7))
	})

	It("wakes those who read and write when it is closed", func() {
		service, gateway := pair()
		end := ending(service)
		Expect(service.Close()).To(Succeed())
		Eventually(end).WithTimeout(patience).Should(Receive(MatchError(net.ErrClosed)))
		Eventually(ending(gateway)).WithTimeout(patience).Should(Receive(Equal(io.EOF)))
	})
})
