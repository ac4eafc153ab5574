package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/rabbitmq"
	"github.com/stella-ops/router/transports/trust"
)

var _ = Describe("A link whose server", func() {
	It("freezes fails, and so do its writes", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		one, two := ending(service), ending(gateway)
		server.Stop()
		defer server.Cont()
		began := time.Now()
		for _, l := range []transports.Link{service, gateway} {
			go func() { // the server's network buffer takes it
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				for l.WriteFrames([]*transports.Frame{ping(1)}) == nil {
					<-tick.C
				}
			}()
		}
		Expect(fails(patience, one, two)).To(MatchError(ContainSubstring("not confirmed")))
		Expect(time.Since(began)).To(BeNumerically("<", 4*time.Second))
		Expect(service.WriteFrames([]*transports.Frame{ping(1)})).NotTo(Succeed())
		began = time.Now()
		Expect(service.Close()).To(Succeed())
		Expect(gateway.Close()).To(Succeed())
		Expect(ln.Close()).To(Succeed())
		Expect(time.Since(began)).To(BeNumerically("<", 4*time.Second))
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

	It("closes the connections fails at once, and the gateway can be dialled again", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		one, two := ending(service), ending(gateway)
		server.Ctl("close_all_connections", "maintenance")
		Expect(fails(time.Second, one, two)).To(MatchError(ContainSubstring("maintenance")))
		Expect(service.WriteFrames([]*transports.Frame{ping(1)})).To(MatchError(ContainSubstring("maintenance")))
		service, gateway = again(ln)
		write(service, ping(3))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(3))
	})

	It("deletes the queue of either end fails at once", func() {
		ln := listenAt(near())
		for _, byService := range []bool{true, false} {
			a, b := dialTo(ln)
			if !byService {
				a, b = b, a
			}
			one, two := ending(a), ending(b)
			Expect(rabbitmq.Drop(a)).To(Succeed())
			Expect(fails(time.Second, one)).To(MatchError(ContainSubstring("queue was deleted")))
			// The peer hears of it with the next message, which the server returns.
			began := time.Now()
			write(b, ping(1))
			Expect(fails(time.Second, two)).To(MatchError(ContainSubstring("returned")))
			Expect(time.Since(began)).To(BeNumerically("<", 300*time.Millisecond))
			Expect(b.WriteFrames([]*transports.Frame{ping(1)})).To(MatchError(ContainSubstring("returned")))
			Expect(a.Close()).To(Succeed())
			Expect(b.Close()).To(Succeed())
		}
	})

	It("has lost the peer fails with the first message that it returns", func() {
		service, gateway := pair()
		end := ending(gateway)
		rabbitmq.Abandon(service)
		write(gateway, ping(1))
		Expect(fails(time.Second, end)).To(MatchError(ContainSubstring("returned")))
	})

	It("is short of memory fails within a second, closes in two, and is back when there is some", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		idle, far := dialTo(ln)
		one, two := ending(service), ending(gateway)
		server.Ctl("set_vm_memory_high_watermark", "0")
		DeferCleanup(func() { server.Ctl("set_vm_memory_high_watermark", "0.4") })
		began := time.Now()
		for _, l := range []transports.Link{service, gateway} {
			go func() { // as much as the server takes: none of it may hang
				for l.WriteFrames([]*transports.Frame{chunk(0, 50_000)}) == nil {
				}
			}()
		}
		Expect(fails(patience, one, two)).To(MatchError(rabbitmq.ErrBlocked))
		Expect(time.Since(began)).To(BeNumerically("<", time.Second))

		began = time.Now()
		for _, l := range []transports.Link{idle, service, far, gateway} {
			Expect(l.Close()).To(Succeed())
		}
		Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second))

		began = time.Now()
		Eventually(func() error { // the first message after a connection was opened is still taken
			l, err := transports.Dial(GinkgoT().Context(), server.URL("localhost", "prefix="+prefix))
			if err == nil {
				_ = l.Close()
			}
			return err
		}).WithTimeout(patience).Should(HaveOccurred())
		Expect(time.Since(began)).To(BeNumerically("<", patience))

		server.Ctl("set_vm_memory_high_watermark", "0.4")
		accepted := make(chan transports.Link, 100)
		go func() {
			for {
				l, err := ln.Accept()
				if err != nil {
					close(accepted)
					return
				}
				accepted <- l
			}
		}()
		Eventually(func() (err error) {
			service, err = transports.Dial(GinkgoT().Context(), server.URL("localhost", "prefix="+prefix))
			return err
		}).WithTimeout(2 * patience).Should(Succeed())
		DeferCleanup(service.Close)
		write(service, ping(7))
		Eventually(func() string { // those of attempts that were given up come first
			gateway = <-accepted
			DeferCleanup(gateway.Close)
			return rabbitmq.Nonce(gateway)
		}).WithTimeout(patience).Should(Equal(rabbitmq.Nonce(service)))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(7))
	})

	It("is short of memory ends links on which nobody writes within a second, too: calls wait for answers there", func() {
		service, gateway := pair()
		one, two := ending(service), ending(gateway)
		server.Ctl("set_vm_memory_high_watermark", "0")
		DeferCleanup(func() { server.Ctl("set_vm_memory_high_watermark", "0.4") })
		Expect(fails(time.Second, one, two)).To(MatchError(rabbitmq.ErrBlocked))
	})

	It("blocks closes a link in two seconds, though much is still to be written", func() {
		service, gateway := pair()
		end := ending(gateway)
		server.Ctl("set_vm_memory_high_watermark", "0")
		DeferCleanup(func() { server.Ctl("set_vm_memory_high_watermark", "0.4") })
		stuck := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = service.WriteFrames([]*transports.Frame{large(1 << 20)})
			}
			stuck <- err
		}()
		Consistently(stuck).WithTimeout(200 * time.Millisecond).ShouldNot(Receive(BeNil()))
		began := time.Now()
		Expect(service.Close()).To(Succeed())
		Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second))
		Eventually(stuck).WithTimeout(time.Second).Should(Receive(HaveOccurred()))
		Expect(gateway.Close()).To(Succeed())
		Eventually(end).WithTimeout(time.Second).Should(Receive())
	})

	It("has messages of an older session for it, or of none, lives on", func() {
		service, gateway := pair()
		for _, id := range []string{"", "0123456789abcdef", "0123456789abcdef-2", "x"} {
			for _, l := range []transports.Link{service, gateway} {
				Expect(rabbitmq.Interject(l, amqp.Publishing{Type: "frames", MessageId: "2", CorrelationId: id, Body: []byte("old")})).To(Succeed())
			}
		}
		write(service, ping(4))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(4))
		write(gateway, ping(5))
		Expect(read(service).Header().Aux).To(BeEquivalentTo(5))
	})

	It("has messages of somebody else in its session fails", func() {
		ln := listenAt(near())
		for _, p := range []amqp.Publishing{
			{Type: "frames", MessageId: "17"},
			{Type: "frames", MessageId: "1"},
			{Type: "frames", MessageId: "1", Body: []byte("short")},
			{Type: "frames", MessageId: "x"},
			{Type: "frames", MessageId: "1", Body: []byte(strings.Repeat("\xff", 16))},
			{Type: "version", MessageId: "1", Body: []byte("1 1")},
			{Type: "read", Body: []byte("-1")},
			{Type: "end", Body: []byte("17")},
			{Type: "nonsense"},
			{},
		} {
			service, gateway := dialTo(ln)
			end := ending(gateway)
			p.CorrelationId = rabbitmq.Nonce(service)
			Expect(rabbitmq.Interject(service, p)).To(Succeed())
			if len(p.Body) == 0 && p.MessageId == "1" { // an empty message is skipped, and so the next one is not the first
				write(service, ping(1))
			}
			fails(patience, end)
			Expect(service.Close()).To(Succeed())
			Expect(gateway.Close()).To(Succeed())
		}
	})

	It("throws a message away whose calls have timed out lives on", func() {
		service, gateway := pair()
		release := rabbitmq.Hold(service)
		defer release()
		const held = rabbitmq.Prefetch - 2 // with the offer and the answer to the opening, as much as the service is sent before it confirms
		for i := range uint32(held) {
			write(gateway, ping(i))
		}
		write(gateway, call(2, 1), transports.NewControl(spec.TypeMAC, 0, 0, make([]byte, spec.MACSize))) // a moment, with what signs it
		write(gateway, call(4, 60_000))
		write(gateway, call(6, 1), ping(held)) // the second has to come, and so the first does
		Eventually(func() string {             // what is older is held: what is new is at the head of the queue when it expires
			return server.Ctl("list_queues", "name", "messages")
		}).WithTimeout(2 * patience).Should(ContainSubstring(fmt.Sprintf("%s\t%d\n", rabbitmq.Queue(service), rabbitmq.Prefetch+2)))
		release()
		for i := range uint32(held) {
			Expect(read(service).Header().Aux).To(Equal(i))
		}
		Expect(read(service).Header().Stream).To(BeEquivalentTo(4))
		Expect(read(service).Header().Stream).To(BeEquivalentTo(6))
		Expect(read(service).Header().Aux).To(BeEquivalentTo(held))
	})

	It("may throw messages away does not stop a writer that writes no others", func() {
		service, gateway := pair()
		const n = 1000
		go func() {
			defer GinkgoRecover()
			for i := range uint32(n) {
				write(gateway, call(2*i+2, 60_000))
			}
		}()
		for i := range uint32(n) {
			f, err := service.ReadFrame()
			Expect(err).NotTo(HaveOccurred())
			Expect(f.Header().Stream).To(Equal(2*i + 2))
			f.Release()
		}
	})

	It("is restarted fails, and the gateway can be dialled again", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		one, two := ending(service), ending(gateway)
		began := time.Now()
		server.Kill()
		fails(time.Second, one, two)
		Expect(time.Since(began)).To(BeNumerically("<", time.Second))
		_, err := transports.Dial(GinkgoT().Context(), far())
		Expect(err).To(MatchError(ContainSubstring("refused")))
		server.Start()
		began = time.Now()
		service, gateway = again(ln)
		Expect(time.Since(began)).To(BeNumerically("<", 10*time.Second))
		write(service, ping(3))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(3))
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
			Eventually(done).WithTimeout(2 * patience).Should(Receive())
		}
	})

	It("is listed for as long as it listens, as a URL that reaches it and no other", func() {
		u, t, err := transports.Parse(far())
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
			ln := listenAt(near())
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
		server.Ctl("close_all_connections", "maintenance")
		Eventually(func() ([]string, error) { return t.Gateways(GinkgoT().Context(), u) }).WithTimeout(patience).
			Should(ConsistOf(slices.Collect(maps.Keys(lns))), "the same as before")
		for url, ln := range lns {
			Expect(ln.Close()).To(Succeed())
			Expect(listed()).NotTo(ContainElement(url))
			_, err := transports.Dial(GinkgoT().Context(), url)
			Expect(err).To(MatchError(rabbitmq.ErrNoGateway))
		}
		_, err = transports.Listen(GinkgoT().Context(), near()+"&gateway=0123456789abcdef", transports.ListenConfig{})
		Expect(err).To(MatchError(ContainSubstring("gateway is for services")))
	})

	It("that has closed is not dialled", func() {
		ln := listenAt(near())
		Expect(ln.Close()).To(Succeed())
		_, err := ln.Accept()
		Expect(err).To(HaveOccurred())
		_, err = transports.Dial(GinkgoT().Context(), far())
		Expect(err).To(MatchError(rabbitmq.ErrNoGateway))
	})

	It("lives through garbage in its inbox", func() {
		rejected := make(chan error, 10)
		ln, err := transports.Listen(GinkgoT().Context(), near(), transports.ListenConfig{
			Rejected: func(_ string, err error) { rejected <- err },
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(ln.Close)
		for _, p := range []amqp.Publishing{
			{},
			{Type: "open", CorrelationId: "../../etc"},
			{Type: "nonsense", CorrelationId: "0123456789abcdef"},
			{Type: "open", CorrelationId: "0123456789abcdef", Body: []byte("7 9")},
			{Type: "open", CorrelationId: "0123456789ABCDEF", Body: []byte("1 1")},
		} {
			tell(rabbitmq.Inbox(ln), p)
			Eventually(rejected).WithTimeout(patience).Should(Receive())
		}
		service, gateway := dialTo(ln)
		tell(rabbitmq.Inbox(ln), amqp.Publishing{Type: "open", CorrelationId: rabbitmq.Nonce(service), Body: []byte("1 1")})
		Eventually(rejected).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring("exclusive use"))))
		write(service, ping(1))
		read(gateway)
	})

	It("makes another inbox when its own is deleted, and its links go on", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		Expect(rabbitmq.DropInbox(ln, gateway)).To(Succeed())
		another, end := again(ln)
		write(another, ping(1))
		read(end)
		write(service, ping(2))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(2))
	})

	It("makes the exchanges again when they are deleted", func() {
		ln := listenAt(near())
		service, gateway := dialTo(ln)
		one, two := ending(service), ending(gateway)
		ch := channel()
		for _, name := range []string{".gateways", ".services"} {
			Expect(ch.ExchangeDelete(prefix+name, false, false)).To(Succeed())
		}
		Expect(errors.Join(service.WriteFrames([]*transports.Frame{ping(1)}), gateway.WriteFrames([]*transports.Frame{ping(1)}))).To(Succeed())
		fails(time.Second, one, two)
		service, gateway = again(ln)
		write(service, ping(2))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(2))
	})

	It("says that others have made the exchange another way", func() {
		ch := channel()
		Expect(ch.ExchangeDeclare(prefix+".gateways", "fanout", false, true, false, false, nil)).To(Succeed())
		_, err := transports.Listen(GinkgoT().Context(), near(), transports.ListenConfig{})
		Expect(err).To(MatchError(And(ContainSubstring("PRECONDITION_FAILED"), ContainSubstring(prefix+".gateways"))))
	})

	It("has an address without a login", func() {
		ln := listenAt(server.URL("", "prefix="+prefix))
		Expect(ln.Addr()).To(Equal("rabbitmq://" + server.Addr + "?prefix=" + prefix))
	})

	It("wants peers that prove who they are where others reach the server", func() {
		_, err := transports.Listen(GinkgoT().Context(), "rabbitmq://192.0.2.1:5672", transports.ListenConfig{})
		Expect(err).To(MatchError(ContainSubstring("loopback")))
		_, t, err := transports.Parse("amqp://192.0.2.1")
		Expect(err).NotTo(HaveOccurred())
		u, _, _ := transports.Parse("amqp://me:hidden@192.0.2.1/x")
		Expect(t.Guard(u)).To(MatchError(And(ContainSubstring("loopback"), Not(ContainSubstring("hidden")))))
		u, _, _ = transports.Parse("amqp://127.0.0.1/x")
		Expect(t.Guard(u)).To(Succeed())
	})
})

// permissions are those that the documentation tells operators to give a user: what it may configure, write and read.
func permissions(user string) []string {
	GinkgoHelper()
	page, err := os.ReadFile("../../docs/reference/transports.md")
	Expect(err).NotTo(HaveOccurred())
	found := regexp.MustCompile(`rabbitmqctl set_permissions ` + user + ` '(.*)' '(.*)' '(.*)'\n`).FindStringSubmatch(string(page))
	Expect(found).To(HaveLen(4))
	for i := range found {
		found[i] = strings.ReplaceAll(found[i], "stella", prefix)
	}
	return found[1:]
}

var _ = Describe("Users with the least permissions", func() {
	It("have a session, and a service can neither pose as a gateway nor write to another service", func() {
		for _, user := range []string{"billing", "gateway"} {
			server.Ctl("add_user", prefix+user, "secret")
			DeferCleanup(func() { server.Ctl("delete_user", prefix+user) })
			server.Ctl(append([]string{"set_permissions", prefix + user}, permissions(user)...)...)
		}
		as := func(user string) string {
			return "amqp://" + prefix + user + ":secret@" + server.Addr + "/?prefix=" + prefix
		}
		ln := listenAt(as("gateway"))
		service, err := transports.Dial(GinkgoT().Context(), as("billing"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(service.Close)
		gateway, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gateway.Close)
		write(service, ping(1))
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(1))
		write(gateway, ping(2))
		Expect(read(service).Header().Aux).To(BeEquivalentTo(2))

		_, err = transports.Listen(GinkgoT().Context(), as("billing"), transports.ListenConfig{})
		Expect(err).To(MatchError(ContainSubstring("ACCESS_REFUSED")))
		_, err = transports.Dial(GinkgoT().Context(), as("gateway"))
		Expect(err).To(MatchError(ContainSubstring("ACCESS_REFUSED")))

		c, err := amqp.Dial("amqp://" + prefix + "billing:secret@" + server.Addr + "/")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		for doing, attempt := range map[string]func(*amqp.Channel) error{
			"hears what services say to all gateways": func(ch *amqp.Channel) error {
				q, err := ch.QueueDeclare(prefix+".s.1", false, true, true, false, nil)
				return errors.Join(err, ch.QueueBind(q.Name, "gateways", prefix+".gateways", false, nil))
			},
			"writes to other services": func(ch *amqp.Channel) error {
				closed := ch.NotifyClose(make(chan *amqp.Error, 1))
				err := ch.Publish(prefix+".services", rabbitmq.Queue(service), false, false, amqp.Publishing{})
				return errors.Join(err, <-closed)
			},
			"reads what is for another": func(ch *amqp.Channel) error {
				_, err := ch.Consume(rabbitmq.Queue(service), "", true, false, false, false, nil)
				return err
			},
		} {
			ch, err := c.Channel()
			Expect(err).NotTo(HaveOccurred())
			Expect(attempt(ch)).To(MatchError(Or(ContainSubstring("ACCESS_REFUSED"), ContainSubstring("RESOURCE_LOCKED"))), doing)
		}
	})
})

// channel is one of a client of the spec's own.
func channel() *amqp.Channel {
	GinkgoHelper()
	c, err := amqp.Dial(strings.Replace(server.URL("", ""), "rabbitmq://", "amqp://", 1))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	ch, err := c.Channel()
	Expect(err).NotTo(HaveOccurred())
	return ch
}

// tell publishes to an inbox.
func tell(inbox string, p amqp.Publishing) {
	GinkgoHelper()
	ch := channel()
	Expect(ch.Publish(prefix+".gateways", inbox, true, false, p)).To(Succeed())
	Expect(ch.Close()).To(Succeed()) // by then the server has it
}

// echo writes back what comes.
func echo(l transports.Link) {
	for {
		f, err := l.ReadFrame()
		if err != nil || l.WriteFrames([]*transports.Frame{f}) != nil {
			return
		}
	}
}

var _ = Describe("Dialling", func() {
	It("says that nobody listens", func() {
		_, err := transports.Dial(GinkgoT().Context(), near())
		Expect(err).To(MatchError(rabbitmq.ErrNoGateway))
		Expect(err).To(MatchError(And(ContainSubstring("rabbitmq://"+server.Addr), Not(ContainSubstring("guest")))))
	})

	It("wants TLS of a server where the URL says so", func() {
		_, err := transports.Dial(GinkgoT().Context(), "rabbitmqs://"+server.Addr)
		Expect(err).To(MatchError(ContainSubstring("with TLS")))
	})

	It("speaks TLS with a server whose certificate its URL tells it to trust, and with no other", func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "server", "localhost")
		Expect(err).NotTo(HaveOccurred())
		ca := filepath.Join(dir, "ca.pem")
		port := brokertest.FreePort(GinkgoT())
		brokertest.RabbitMQ(GinkgoT(), "listeners.ssl.1 = 127.0.0.1:"+port, "ssl_options.cacertfile = "+ca,
			"ssl_options.certfile = "+cert, "ssl_options.keyfile = "+key, "ssl_options.verify = verify_none")
		ln := listenAt("rabbitmqs://localhost:" + port + "?ca=" + ca)
		Expect(ln.Addr()).To(Equal("rabbitmqs://localhost:" + port))
		service, err := transports.Dial(GinkgoT().Context(), "amqps://guest:guest@localhost:"+port+"/?ca="+ca)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(service.Close)
		gateway, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gateway.Close)
		write(service, large(spec.MaxFrameHello), ping(1))
		read(gateway)
		Expect(read(gateway).Header().Aux).To(BeEquivalentTo(1))

		_, err = transports.Dial(GinkgoT().Context(), "amqps://localhost:"+port)
		Expect(err).To(MatchError(And(ContainSubstring("with TLS"), ContainSubstring("certificate"))))
		_, err = transports.Dial(GinkgoT().Context(), "amqps://127.0.0.1:"+port+"?ca="+ca)
		Expect(err).To(MatchError(ContainSubstring("127.0.0.1")))
	})

	It("says that there is no server", func() {
		_, err := transports.Dial(GinkgoT().Context(), "rabbitmq://127.0.0.1:1")
		Expect(err).To(MatchError(ContainSubstring("refused")))
	})

	It("says that the login, or the virtual host, is wrong", func() {
		_, err := transports.Dial(GinkgoT().Context(), "rabbitmq://guest:hidden@"+server.Addr)
		Expect(err).To(MatchError(And(ContainSubstring("guest"), ContainSubstring("403"), Not(ContainSubstring("hidden")))))
		_, err = transports.Dial(GinkgoT().Context(), "rabbitmq://guest:guest@"+server.Addr+"/none%2Fthere")
		Expect(err).To(MatchError(And(ContainSubstring("none%2Fthere"), ContainSubstring("vhost"))))
	})

	It("ends with its context, also where a gateway does not answer", func() {
		ln := listenAt(near())
		ch := channel()
		q, err := ch.QueueDeclare("", false, true, true, false, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(ch.QueueBind(q.Name, "gateways", prefix+".gateways", false, nil)).To(Succeed())
		Expect(ln.Close()).To(Succeed())
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err = transports.Dial(ctx, near())
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(time.Since(began)).To(BeNumerically("<", time.Second))
	})

	It("passes over a gateway that has left", func() {
		ln := listenAt(near())
		ch := channel()
		q, err := ch.QueueDeclare("", false, true, true, false, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(ch.QueueBind(q.Name, "gateways", prefix+".gateways", false, nil)).To(Succeed())
		asked, err := ch.Consume(q.Name, "", true, true, false, false, nil)
		Expect(err).NotTo(HaveOccurred())
		go func() { // makes offers in the name of a gateway that is gone
			for d := range asked {
				_ = ch.Publish(prefix+".services", prefix+".s."+d.CorrelationId, false, false, amqp.Publishing{
					Type: "offer", CorrelationId: d.CorrelationId, Body: []byte("00000000deadbeef.00000000deadbeef"),
				})
			}
		}()
		for range 4 {
			service, gateway := dialTo(ln)
			write(service, ping(1))
			read(gateway)
		}
	})

	DescribeTable("refuses URLs", func(raw, want string) {
		_, _, err := transports.Parse(raw)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("without a host", "rabbitmq://:5672", "expected rabbitmq://"),
		Entry("with a port that is none", "rabbitmq://host:66000", "port"),
		Entry("with a deep path", "amqp://host/1/2", "virtual host"),
		Entry("with another parameter", "rabbitmq://host?heartbeat=1", `unknown parameter "heartbeat", expected some of prefix, gateway`),
		Entry("with a parameter of TLS without it", "amqp://host?ca=x", `unknown parameter "ca"`),
		Entry("with a parameter of listeners", "amqps://host?clients=x", `expected some of prefix, gateway, ca, cert`),
		Entry("with half of a certificate", "amqps://host?cert=x", "cert and key"),
		Entry("with two prefixes", "rabbitmq://host?prefix=a&prefix=b", "one value of prefix"),
		Entry("with a prefix that permissions would misread", "rabbitmq://host?prefix=a%2Bb", "letters"),
		Entry("with a gateway that is none", "rabbitmq://host?gateway=..", "16 hexadecimal digits"),
		Entry("with an empty prefix", "rabbitmq://host?prefix=", "letters"),
		Entry("with a prefix of the server's own", "rabbitmq://host?prefix=amq.x", "amq."),
		Entry("with a fragment", "rabbitmqs://host#x", "expected rabbitmq://"),
		Entry("with a user alone", "rabbitmq://me@host", "password"),
	)

	It("takes the forms of URLs that there are", func() {
		for _, raw := range []string{
			"rabbitmq://h", "amqp://h:5672/", "amqps://me:x@h/%2F?ca=f&prefix=a.b", "rabbitmqs://[::1]:5671/v?pin=sha256:" + strings.Repeat("0a", 32),
		} {
			_, _, err := transports.Parse(raw)
			Expect(err).NotTo(HaveOccurred(), raw)
		}
	})

	It("does not show passwords", func() {
		_, _, err := transports.Parse("rabbitmq://me:hidden@host/x/y")
		Expect(err).To(MatchError(Not(ContainSubstring("hidden"))))
	})
})
