package faultproxy_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports/faultproxy"
)

const settled = 300 * time.Millisecond // nothing has come for so long: nothing comes any more

// send sends n numbered datagrams.
func send(write func([]byte) (int, error), n int) {
	GinkgoHelper()
	for i := range n {
		_, err := write([]byte{byte(i), byte(i >> 8), 'x'})
		Expect(err).NotTo(HaveOccurred())
		if i%50 == 49 {
			<-time.After(time.Millisecond) // no socket's buffer is to lose any
		}
	}
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

var _ = Describe("A UDP proxy", func() {
	It("passes datagrams on in order, and answers back to the client they belong to", func() {
		p, client, server := datagrams(1)
		send(client.Write, 200)
		Expect(collect(server, settled)).To(Equal(upTo(200)))
		send(client.Write, 1)
		buf := make([]byte, 16)
		Expect(server.SetReadDeadline(time.Now().Add(patience))).To(Succeed())
		_, from, err := server.ReadFromUDPAddrPort(buf)
		Expect(err).NotTo(HaveOccurred())
		_, err = server.WriteToUDPAddrPort([]byte{7, 0}, from)
		Expect(err).NotTo(HaveOccurred())
		Expect(collect(client, settled)).To(Equal([]int{7}))
		Expect(p.Flows()).To(Equal(1))
		Expect(p.Forwarded(faultproxy.ToTarget)).To(BeEquivalentTo(201))
	})

	It("loses some, the same ones for the same seed", func() {
		lost := func(seed uint64) []int {
			p, client, server := datagrams(seed)
			p.Set(faultproxy.ToTarget, faultproxy.Faults{Loss: 0.3})
			send(client.Write, 500)
			got := collect(server, settled)
			Expect(len(got)).To(BeNumerically("~", 350, 60))
			Expect(p.Dropped(faultproxy.ToTarget)).To(BeEquivalentTo(500 - len(got)))
			return got
		}
		first := lost(7)
		Expect(lost(7)).To(Equal(first))
		Expect(lost(8)).NotTo(Equal(first))
	})

	It("duplicates some", func() {
		p, client, server := datagrams(1)
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Duplicate: 0.5})
		send(client.Write, 200)
		got := collect(server, settled)
		Expect(len(got)).To(BeNumerically("~", 300, 40))
		Expect(slices.Compact(got)).To(Equal(upTo(200)))
	})

	It("reorders some, and loses none", func() {
		p, client, server := datagrams(1)
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Reorder: 0.3})
		send(client.Write, 300)
		got := collect(server, settled)
		Expect(slices.IsSorted(got)).To(BeFalse())
		slices.Sort(got)
		Expect(got).To(Equal(upTo(300)))
	})

	It("truncates, delays, and is silent one way", func() {
		p, client, server := datagrams(1)
		p.Set(faultproxy.ToTarget, faultproxy.Faults{CutAfter: 2, Delay: 100 * time.Millisecond})
		begin := time.Now()
		send(client.Write, 1)
		buf := make([]byte, 16)
		Expect(server.SetReadDeadline(time.Now().Add(patience))).To(Succeed())
		n, from, err := server.ReadFromUDPAddrPort(buf)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(Equal(2))
		Expect(time.Since(begin)).To(BeNumerically(">=", 100*time.Millisecond))
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Blackhole: faultproxy.Swallow})
		send(client.Write, 5)
		Expect(collect(server, settled)).To(BeEmpty())
		_, err = server.WriteToUDPAddrPort([]byte{9, 0}, from)
		Expect(err).NotTo(HaveOccurred())
		Expect(collect(client, settled)).To(Equal([]int{9}))
	})

	It("lets no more bytes a second through than its bandwidth, and drops what there is no room for", func() {
		p, client, server := datagrams(1)
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Bandwidth: 1000})
		begin := time.Now()
		send(client.Write, 100)
		Expect(collect(server, settled)).To(Equal(upTo(100)))
		Expect(time.Since(begin)).To(BeNumerically(">=", 290*time.Millisecond))
		p.Set(faultproxy.ToTarget, faultproxy.Faults{Delay: time.Minute})
		send(client.Write, 1500)
		Eventually(func() int64 { return p.Dropped(faultproxy.ToTarget) }).WithTimeout(patience).Should(BeNumerically(">", 400))
	})
})
