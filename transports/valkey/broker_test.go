package valkey_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/valkey"
)

var _ = Describe("A link whose server", func() {
	// within bounds how long both ends may take to notice.
	const within = 3 * time.Second

	fails := func(ends ...<-chan error) {
		GinkgoHelper()
		for _, end := range ends {
			var err error
			Eventually(end).WithTimeout(within).Should(Receive(&err))
			Expect(err).NotTo(Equal(io.EOF))
		}
	}

	It("freezes fails, and so do its writes", func() {
		service, gateway := pair()
		one, two := ending(service), ending(gateway)
		server.Stop()
		defer server.Cont()
		began := time.Now()
		err := service.WriteFrames([]*transports.Frame{ping(1)})
		Expect(err).To(MatchError(ContainSubstring("does not answer")))
		Expect(time.Since(began)).To(BeNumerically("<", within))
		fails(one, two)
		Expect(service.Close()).To(Succeed())
		Expect(gateway.Close()).To(Succeed())
	})

	It("freezes until one end has given up tells the other end", func() {
		// Where this process gets no time for half a second, the other end has given up by itself, which shows nothing.
		for range 5 {
			service, gateway := pair()
			given, told := ending(gateway), ending(service)
			write(service, ping(1))
			<-time.After(500 * time.Millisecond) // so much later does the service hear of the server for the last time
			write(gateway, ping(2))
			server.Stop()
			DeferCleanup(server.Cont)
			fails(given)
			Expect(gateway.Close()).To(Succeed())
			alone := len(told) > 0
			server.Cont()
			if !alone {
				Eventually(told).WithTimeout(patience).Should(Receive(Equal(io.EOF)))
				return
			}
		}
		Fail("the service gave up as soon as the gateway did, five times")
	})

	It("stands still for a moment lives on", func() {
		service, gateway := pair()
		server.Stop()
		resume := time.AfterFunc(1500*time.Millisecond, server.Cont)
		defer resume.Stop()
		for i := range uint32(3) {
			write(service, ping(i))
			Expect(read(gateway).Header().Aux).To(Equal(i))
		}
	})

	It("sees no sign of the peer's process any more fails", func() {
		service, gateway := pair()
		end := ending(gateway)
		valkey.Abandon(service)
		server.Command("EVAL", "return redis.call('PEXPIRE', redis.call('KEYS', '*:s2g')[1], 1)", "0")
		fails(end)
	})

	It("is flushed fails", func() {
		service, gateway := pair()
		one, two := ending(service), ending(gateway)
		server.Flush()
		fails(one, two)
		Expect(service.WriteFrames([]*transports.Frame{ping(1)})).NotTo(Succeed())
	})

	It("is restarted fails, and the gateway can be dialled again", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		one, two := ending(service), ending(gateway)
		server.Restart()
		fails(one, two)
		var again transports.Link
		Eventually(func() (err error) {
			again, err = transports.Dial(GinkgoT().Context(), far())
			return err
		}).WithTimeout(patience).Should(Succeed())
		DeferCleanup(again.Close)
		gateway, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gateway.Close)
		write(again, ping(3))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(3))
	})

	It("drops connections loses nothing and repeats nothing", func() {
		service, gateway := pair()
		const n = 3000
		for _, way := range [][2]transports.Link{{service, gateway}, {gateway, service}} {
			go func() {
				defer GinkgoRecover()
				for i := range uint32(n) {
					write(way[0], chunk(i, 100))
				}
			}()
		}
		kills := time.NewTicker(50 * time.Millisecond)
		defer kills.Stop()
		for i := range uint32(n) {
			select {
			case <-kills.C:
				server.Command("CLIENT", "KILL", "TYPE", "normal")
			default:
			}
			for _, l := range []transports.Link{service, gateway} {
				f, err := l.ReadFrame()
				Expect(err).NotTo(HaveOccurred())
				Expect(f.Header().Aux).To(Equal(i))
				f.Release()
			}
		}
	})

	It("is short of memory waits until there is some", func() {
		service, gateway := pair()
		server.Command("CONFIG", "SET", "maxmemory", "1")
		DeferCleanup(func() { server.Command("CONFIG", "SET", "maxmemory", "0") })
		resume := time.AfterFunc(300*time.Millisecond, func() { server.Command("CONFIG", "SET", "maxmemory", "0") })
		defer resume.Stop()
		write(service, ping(1), ping(2))
		write(service, ping(3))
		for i := range uint32(3) {
			Expect(read(gateway).Header().Aux).To(Equal(i + 1))
		}
	})

	It("has nobody to say anything is asked little", func() {
		pair()
		asked := func() int {
			var n int
			text := server.Command("EVAL", `return string.match(redis.call('INFO', 'stats'), 'total_commands_processed:(%d+)') + 0`, "0")
			_, err := fmt.Sscanf(text, ":%d", &n)
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		before := asked()
		<-time.After(time.Second)
		// A read, four renewals and a half of a registration for each process, with the times that tests have.
		Expect(asked() - before).To(BeNumerically("<", 30))
	})

	It("loses one stream fails at both ends", func() {
		service, gateway := pair()
		one, two := ending(service), ending(gateway)
		server.Command("EVAL", "return redis.call('DEL', unpack(redis.call('KEYS', '*:s2g')))", "0")
		fails(two, one)
	})

	It("has something else under its key fails, and others live on", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		end := ending(gateway)
		server.Command("EVAL", "return redis.call('SET', redis.call('KEYS', '*:s2g')[1], 'x')", "0")
		other, far := dialTo(ln)
		fails(end)
		write(other, ping(4))
		Expect(read(far).Header().Aux).To(BeEquivalentTo(4))
		_ = service.Close()
	})

	It("has entries of somebody else in its stream fails", func() {
		ln := listenAt(near())
		for _, fields := range [][]string{
			{"f", "x"}, {"f", "x", "f", "y"}, {"q", ""}, {"e", "17"}, {"f", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
		} {
			service, gateway := dialTo(ln)
			end := ending(gateway)
			server.Command(append([]string{"EVAL", "return redis.call('XADD', redis.call('KEYS', '*:s2g')[1], '2-0', unpack(ARGV))", "0"}, fields...)...)
			fails(end)
			Expect(service.Close()).To(Succeed())
			Expect(gateway.Close()).To(Succeed())
		}
	})
})

var _ = Describe("A listener", func() {
	It("shares the services with another", func() {
		one, two := listenAt(near()), listenAt(near())
		accepted := make(chan int, 4)
		for i, ln := range []transports.Listener{one, two} {
			go func() {
				for {
					l, err := ln.Accept()
					if err != nil {
						return
					}
					defer func() { _ = l.Close() }()
					accepted <- i
				}
			}()
		}
		got := map[int]int{}
		for range 4 {
			l, err := transports.Dial(GinkgoT().Context(), far())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(l.Close)
			got[<-accepted]++
		}
		Expect(got).To(Equal(map[int]int{0: 2, 1: 2}))
	})

	It("serves many at once", func() {
		lns := []transports.Listener{listenAt(near()), listenAt(near())}
		for _, ln := range lns {
			go func() {
				for {
					l, err := ln.Accept()
					if err != nil {
						return
					}
					go func() {
						echo(l)
						_ = l.Close()
					}()
				}
			}()
		}
		const links, frames = 24, 50
		done := make(chan struct{}, links)
		for range links {
			go func() {
				defer GinkgoRecover()
				l, err := transports.Dial(GinkgoT().Context(), far())
				Expect(err).NotTo(HaveOccurred())
				for i := range uint32(frames) {
					write(l, chunk(i, int(i)*100))
					f, err := l.ReadFrame()
					Expect(err).NotTo(HaveOccurred())
					Expect(f.Header().Aux).To(Equal(i))
					f.Release()
				}
				Expect(l.Close()).To(Succeed())
				done <- struct{}{}
			}()
		}
		for range links {
			Eventually(done).WithTimeout(patience).Should(Receive())
		}
	})

	It("is listed for as long as it listens, as a URL that reaches it and no other", func() {
		u, t, err := transports.Parse(far() + "?prefix=several")
		Expect(err).NotTo(HaveOccurred())
		listed := func() []string {
			GinkgoHelper()
			urls, err := t.Gateways(GinkgoT().Context(), u)
			Expect(err).NotTo(HaveOccurred())
			return urls
		}
		Expect(listed()).To(BeEmpty())
		lns := map[string]transports.Listener{}
		for range 3 {
			before := listed()
			ln := listenAt(near() + "?prefix=several")
			after := slices.DeleteFunc(listed(), func(url string) bool { return slices.Contains(before, url) })
			Expect(after).To(HaveLen(1))
			lns[after[0]] = ln
		}
		for url, ln := range lns {
			for range 3 {
				service, err := transports.Dial(GinkgoT().Context(), url)
				Expect(err).NotTo(HaveOccurred())
				gateway, err := ln.Accept()
				Expect(err).NotTo(HaveOccurred())
				write(service, ping(1))
				Expect(read(gateway).Header().Aux).To(BeEquivalentTo(1))
				Expect(service.Close()).To(Succeed())
				Expect(gateway.Close()).To(Succeed())
			}
			u, t, err := transports.Parse(url)
			Expect(err).NotTo(HaveOccurred())
			Expect(t.Gateways(GinkgoT().Context(), u)).To(Equal([]string{url}))
		}
		for url, ln := range lns {
			Expect(ln.Close()).To(Succeed())
			Expect(listed()).NotTo(ContainElement(url))
			_, err := transports.Dial(GinkgoT().Context(), url)
			Expect(err).To(MatchError(valkey.ErrNoGateway))
		}
		_, err = transports.Listen(GinkgoT().Context(), near()+"?gateway=0123456789abcdef", transports.ListenConfig{})
		Expect(err).To(MatchError(ContainSubstring("gateway is for services")))
	})

	It("that has closed is not dialled", func() {
		ln := listenAt(near())
		Expect(ln.Close()).To(Succeed())
		_, err := ln.Accept()
		Expect(err).To(HaveOccurred())
		_, err = transports.Dial(GinkgoT().Context(), far())
		Expect(err).To(MatchError(valkey.ErrNoGateway))
	})

	It("that died is passed over", func() {
		server.Command("EVAL", "return redis.call('ZADD', '{stella}:gateways', redis.call('TIME')[1] * 1000 + 9000, 'deaddeaddeaddead')", "0")
		ln := listenAt(near())
		for range 4 {
			service, gateway := dialTo(ln)
			write(service, ping(1))
			read(gateway)
		}
	})

	It("lives through garbage in its inbox", func() {
		rejected := make(chan error, 10)
		ln, err := transports.Listen(GinkgoT().Context(), near(), transports.ListenConfig{
			Rejected: func(_ string, err error) { rejected <- err },
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(ln.Close)
		const add = "return redis.call('XADD', redis.call('KEYS', '*:gateway:*')[1], '*', unpack(ARGV))"
		for _, fields := range [][]string{{"x", "y"}, {"n", "../../etc"}, {"n", "0123456789abcdef"}, {"n", "0123456789abcdef", "v", "7 9"}} {
			server.Command(append([]string{"EVAL", add, "0"}, fields...)...)
			Eventually(rejected).WithTimeout(patience).Should(Receive())
		}
		service, gateway := dialTo(ln)
		write(service, ping(1))
		read(gateway)
	})

	It("reads from the beginning of an inbox that was lost", func() {
		ln := listenAt(near())
		server.Flush()
		Eventually(func() error {
			l, err := transports.Dial(GinkgoT().Context(), far())
			if err == nil {
				DeferCleanup(l.Close)
			}
			return err
		}).WithTimeout(patience).Should(Succeed())
		l, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		Expect(l.Close()).To(Succeed())
	})

	It("wants a server that keeps what it has", func() {
		s := brokertest.Valkey(GinkgoT(), "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
		_, err := transports.Listen(GinkgoT().Context(), "valkey://"+s.Addr, transports.ListenConfig{})
		Expect(err).To(MatchError(And(ContainSubstring("allkeys-lru"), ContainSubstring("noeviction"))))
		_, err = transports.Dial(GinkgoT().Context(), "valkey://"+s.Addr)
		Expect(err).To(MatchError(ContainSubstring("noeviction")))
	})

	It("logs in, and says when that fails", func() {
		s := brokertest.Valkey(GinkgoT(), "--requirepass", "secret")
		_, err := transports.Dial(GinkgoT().Context(), "valkey://:wrong@"+s.Addr)
		Expect(err).To(MatchError(ContainSubstring("WRONGPASS")))
		Expect(err).NotTo(MatchError(ContainSubstring("wrong@")))
		ln := listenAt("valkey://:secret@" + s.Addr + "/1?prefix=other")
		Expect(ln.Addr()).To(Equal("valkey://" + s.Addr + "/1?prefix=other"))
		_, err = transports.Dial(GinkgoT().Context(), "valkey://:secret@"+s.Addr+"/1")
		Expect(err).To(MatchError(valkey.ErrNoGateway))
	})

	It("does with a user who may do what the transport does", func() {
		server.Command(documented(0)...)
		DeferCleanup(func() { server.Command("ACL", "DELUSER", "billing") })
		ln := listenAt("valkey://billing:SECRET@" + server.Addr + "?prefix=billing")
		own := strings.Replace(far(), "redis://", "redis://billing:SECRET@", 1)
		service, err := transports.Dial(GinkgoT().Context(), own+"?prefix=billing")
		Expect(err).NotTo(HaveOccurred())
		gateway, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		write(service, ping(1))
		read(gateway)
		Expect(service.Close()).To(Succeed())
		Expect(gateway.Close()).To(Succeed())
		_, err = transports.Dial(GinkgoT().Context(), own+"?prefix=orders")
		Expect(err).To(MatchError(ContainSubstring("NOPERM")))
	})

	It("wants peers that prove who they are where others reach the server", func() {
		_, err := transports.Listen(GinkgoT().Context(), "valkey://192.0.2.1:6379", transports.ListenConfig{})
		Expect(err).To(MatchError(ContainSubstring("loopback")))
	})
})

var _ = Describe("Dialling", func() {
	It("says that nobody listens", func() {
		_, err := transports.Dial(GinkgoT().Context(), near())
		Expect(err).To(MatchError(valkey.ErrNoGateway))
		Expect(err).To(MatchError(ContainSubstring("valkey://" + server.Addr)))
	})

	It("wants TLS of a server where the URL says so", func() {
		_, err := transports.Dial(GinkgoT().Context(), "valkeys://"+server.Addr)
		Expect(err).To(MatchError(ContainSubstring("with TLS")))
	})

	It("says that there is no server", func() {
		_, err := transports.Dial(GinkgoT().Context(), "valkey://127.0.0.1:1")
		Expect(err).To(MatchError(ContainSubstring("refused")))
	})

	It("ends with its context", func() {
		const mute = "00000000000000ff"
		server.Command("XADD", "{stella}:gateway:"+mute, "*", "o", "")
		server.Command("ZADD", "{stella}:gateways", "9e15", mute)
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := transports.Dial(ctx, near())
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(time.Since(began)).To(BeNumerically("<", time.Second))
	})

	DescribeTable("refuses URLs", func(raw, want string) {
		_, _, err := transports.Parse(raw)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("without a port", "valkey://host", "expected valkey://"),
		Entry("without a host", "valkey://:6379", "expected valkey://"),
		Entry("with a port that is none", "valkey://host:66000", "port"),
		Entry("with a path that is no database", "valkey://host:1/x", "database"),
		Entry("with a deep path", "redis://host:1/1/2", "database"),
		Entry("with another parameter", "rediss://host:1?stream=x", "prefix, group and dead are the parameters"),
		Entry("with a gateway that is none", "valkey://host:1?gateway=here", "16 hexadecimal digits"),
		Entry("with two prefixes", "valkey://host:1?prefix=a&prefix=b", "once"),
		Entry("with a prefix that ends the hash tag", "valkey://host:1?prefix=a%7Db", "letters"),
		Entry("with a group that ends the hash tag", "valkey://host:1?group=a%7Db", "a group of 1 to 64 letters"),
		Entry("with dead jobs where others are", "valkey://host:1?dead=queue", "cannot be kept"),
		Entry("with an empty prefix", "valkey://host:1?prefix=", "letters"),
		Entry("with a fragment", "valkeys://host:1#x", "expected valkey://"),
		Entry("with a user alone", "valkey://me@host:1", "password"),
	)

	It("does not show passwords", func() {
		_, _, err := transports.Parse("valkey://me:hidden@host:1/x")
		Expect(err).NotTo(MatchError(ContainSubstring("hidden")))
	})
})

// documented is the words of one of the commands in docs/reference that let a user do what the transport does: the first is
// for sessions, the second for queues.
func documented(n int) []string {
	GinkgoHelper()
	page, err := os.ReadFile("../../docs/reference/transports.md")
	Expect(err).NotTo(HaveOccurred())
	var found [][]string
	for line := range strings.Lines(string(page)) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "ACL" {
			found = append(found, words)
		}
	}
	Expect(found).To(HaveLen(2))
	return found[n]
}
