package faultproxy_test

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports/faultproxy"
)

var _ = Describe("A TCP proxy", func() {
	It("passes bytes on both ways, whole and in order, and the end of each half", func() {
		p, client, server := through()
		want := pattern(3 << 20)
		go func() {
			_, _ = client.Write(want)
			_ = client.CloseWrite()
		}()
		got, err := io.ReadAll(server)
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Equal(got, want)).To(BeTrue())
		write(server, []byte("answer"))
		Expect(server.CloseWrite()).To(Succeed())
		got, err = io.ReadAll(client)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got)).To(Equal("answer"))
		Expect(p.Forwarded(faultproxy.ToTarget)).To(BeEquivalentTo(len(want)))
		Expect(p.Forwarded(faultproxy.ToClient)).To(BeEquivalentTo(len("answer")))
		Eventually(p.Connections).WithTimeout(patience).Should(BeZero())
	})

	It("delays one direction and not the other, and keeps the order under jitter", func() {
		p, client, server := through()
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Delay: 150 * time.Millisecond, Jitter: 50 * time.Millisecond})
		begin := time.Now()
		want := pattern(200_000)
		go func() {
			for b := want; len(b) > 0; b = b[1000:] {
				_, _ = client.Write(b[:1000])
			}
		}()
		Expect(bytes.Equal(read(server, len(want)), want)).To(BeTrue())
		Expect(time.Since(begin)).To(BeNumerically(">=", 150*time.Millisecond))
		begin = time.Now()
		write(server, []byte("x"))
		read(client, 1)
		Expect(time.Since(begin)).To(BeNumerically("<", 150*time.Millisecond))
	})

	It("makes some chunks late, the same ones for the same seed", func() {
		const late, chunks = 100 * time.Millisecond, 100
		lateOnes := func(seed uint64) []int {
			p, client, server := throughSeeded(seed)
			p.Set(faultproxy.ToTarget, faultproxy.Faults{Late: 0.1, LateBy: late})
			ones := []int{}
			for i := range chunks {
				begin := time.Now()
				write(client, []byte("a chunk"))
				read(server, 7)
				if time.Since(begin) >= late {
					ones = append(ones, i)
				}
			}
			return ones
		}
		first := lateOnes(7)
		Expect(len(first)).To(BeNumerically("~", chunks/10, 7))
		Expect(lateOnes(7)).To(Equal(first))
		Expect(lateOnes(8)).NotTo(Equal(first))
	})

	It("makes what is behind a late chunk late with it, and nothing before it, and not the other direction", func() {
		const late, chunk, all = 300 * time.Millisecond, 1400, 10
		p, client, server := through()
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Late: 0.2, LateBy: late})
		want := pattern(all * chunk)
		write(client, want)
		write(server, []byte("x"))
		begin := time.Now()
		read(client, 1)
		Expect(time.Since(begin)).To(BeNumerically("<", late/2))
		Expect(server.SetReadDeadline(begin.Add(late / 2))).To(Succeed())
		early, err := io.ReadAll(server)
		Expect(err).To(MatchError(ContainSubstring("timeout")))
		Expect(len(early)%chunk).To(BeZero(), "%d bytes came at once", len(early))
		Expect(len(early)).To(And(BeNumerically(">", 0), BeNumerically("<", len(want))), "the seed makes one late that is neither the first nor none")
		Expect(server.SetReadDeadline(time.Now().Add(patience))).To(Succeed())
		Expect(bytes.Equal(append(early, read(server, len(want)-len(early))...), want)).To(BeTrue())
		Expect(time.Since(begin)).To(BeNumerically(">=", late*9/10))
	})

	It("lets no more bytes a second through than its bandwidth", func() {
		p, client, server := through()
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Bandwidth: 200_000})
		begin := time.Now()
		go func() { _, _ = client.Write(pattern(100_000)) }()
		read(server, 100_000)
		Expect(time.Since(begin)).To(BeNumerically(">=", 490*time.Millisecond))
	})

	It("swallows one direction while the other goes on, and the sender does not notice", func() {
		p, client, server := through()
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Blackhole: faultproxy.Swallow})
		write(client, pattern(20<<20)) // more than any buffer holds
		write(server, []byte("still there"))
		Expect(string(read(client, 11))).To(Equal("still there"))
		quiet(server)
		p.Set(faultproxy.ToTarget, faultproxy.Faults{})
		write(client, []byte("again"))
		Expect(string(read(server, 5))).To(Equal("again"))
	})

	It("stalls one direction, which the sender notices, and loses nothing", func() {
		p, client, server := through()
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Blackhole: faultproxy.Stall})
		want := pattern(20 << 20)
		Expect(client.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))).To(Succeed())
		n, err := client.Write(want)
		Expect(err).To(MatchError(ContainSubstring("timeout")))
		quiet(server)
		p.Set(faultproxy.ToTarget, faultproxy.Faults{})
		Expect(bytes.Equal(read(server, n), want[:n])).To(BeTrue())
	})

	It("cuts a stream off after so many bytes", func() {
		p, client, server := through()
		p.Set(faultproxy.ToTarget, faultproxy.Faults{CutAfter: 50_001})
		want := pattern(100_000)
		_, _ = client.Write(want)
		got, err := io.ReadAll(server)
		Expect(errors.Is(err, syscall.ECONNRESET) || err == nil).To(BeTrue(), "%v", err)
		Expect(bytes.Equal(got, want[:50_001])).To(BeTrue())
		_, err = io.ReadAll(client)
		Expect(errors.Is(err, syscall.ECONNRESET) || err == nil).To(BeTrue(), "%v", err)
	})

	It("closes one half: the receiver reads the end, the sender is not told, the other half goes on", func() {
		p, client, server := through()
		write(client, []byte("before"))
		read(server, 6)
		p.HalfClose(faultproxy.ToTarget)
		_, err := server.Read(make([]byte, 1))
		Expect(err).To(MatchError(io.EOF))
		write(client, pattern(5<<20))
		write(server, []byte("after"))
		Expect(string(read(client, 5))).To(Equal("after"))
	})

	It("resets every connection on both sides, and takes new ones", func() {
		p, client, server := through()
		Expect(p.Connections()).To(Equal(1))
		p.Reset()
		for _, c := range []io.Reader{client, server} {
			_, err := c.Read(make([]byte, 1))
			Expect(err).To(MatchError(syscall.ECONNRESET))
		}
		Eventually(p.Connections).WithTimeout(patience).Should(BeZero())
	})

	It("refuses a client as its target would that does not listen, and ends with open connections", func() {
		noLeaks()
		p, err := faultproxy.ListenTCP("127.0.0.1:1", 1)
		Expect(err).NotTo(HaveOccurred())
		_, client, _ := through()
		_ = client
		Expect(p.Close()).To(Succeed())
		Expect(p.Close()).To(Succeed())
	})
})
