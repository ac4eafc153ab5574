package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/handover"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// answers is a service that answers, whose session is one of those that a gateway renews.
type answers struct {
	*session.Service

	renewed atomic.Int32
	left    chan spec.Code
}

func (r *running) joinAnswering(id string) *answers {
	GinkgoHelper()
	m := &spec.Manifest{Service: "test", Version: "1.0.0", Endpoints: []spec.Endpoint{{
		Method: "GET", Path: "/a", Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test", Limits: spec.DefaultLimits,
	}}}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	link, err := transports.Dial(context.Background(), r.ListenAddrs()[0])
	Expect(err).NotTo(HaveOccurred())
	a := &answers{left: make(chan spec.Code, 1)}
	a.Service, err = session.Open(context.Background(), link, session.ServiceConfig{
		Hello: spec.Hello{Instance: spec.Instance{Service: "test", Version: "1.0.0", ID: id}, Lease: 8}, Manifest: manifest,
		Serve: func(in *session.Incoming) {
			if in.Request().Generation != 0 {
				in.Cancel(spec.CodeStale, "")
				return
			}
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte(id)) // whoever asked may be gone
		},
		Renew:  func() { a.renewed.Add(1) },
		GoAway: func(code spec.Code, _ string) { a.left <- code },
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(a.Close)
	return a
}

// asks is a client that keeps its connection.
type asks struct {
	conn net.Conn
	r    *bufio.Reader
}

func (r *running) asks() *asks {
	GinkgoHelper()
	conn, err := net.DialTimeout("tcp", r.HTTPAddr(), patience)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	Expect(conn.SetDeadline(time.Now().Add(3 * patience))).To(Succeed())
	return &asks{conn, bufio.NewReader(conn)}
}

func (a *asks) ask() (*http.Response, error) {
	if _, err := io.WriteString(a.conn, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(a.r, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return resp, err
}

// next plays the process that is to take a gateway's place, by steps of the spec's.
type next struct {
	start func(*handover.Held) (*handover.Successor, error)
	said  *handover.Predecessor
	close func() error
}

func playNext() *next {
	near, far := net.Pipe()
	DeferCleanup(func() { _, _ = near.Close(), far.Close() })
	return &next{
		start: func(*handover.Held) (*handover.Successor, error) { return handover.NewSuccessor(near), nil },
		said:  handover.NewPredecessor(far), close: far.Close,
	}
}

func (r *running) handOver(n *next) chan error {
	done := make(chan error, 1)
	go func() { done <- r.Handover(n.start) }()
	return done
}

func within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	DeferCleanup(cancel)
	return ctx
}

var _ = Describe("a gateway that hands over", func() {
	It("tells its instances, has their sessions replaced, and ends when the next process serves; who is connected is asked to come again", func() {
		cfg := config(GinkgoWriter)
		cfg.Listen = []string{"unix://" + filepath.Join(GinkgoT().TempDir(), "s.sock")}
		r := run(cfg)
		one, two := r.joinAnswering("one"), r.joinAnswering("two")
		Eventually(func() int { return len(r.Registry().Instances()) }).WithTimeout(patience).Should(Equal(2))
		client, idle := r.asks(), r.asks()
		for _, c := range []*asks{client, idle} {
			resp, err := c.ask()
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Close).To(BeFalse())
		}
		n := playNext()
		done := r.handOver(n)
		list, err := n.said.Begin(within())
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(ConsistOf(handover.Instance{Service: "test", Version: "1.0.0", ID: "one"}, handover.Instance{Service: "test", Version: "1.0.0", ID: "two"}))
		Eventually(one.renewed.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
		Eventually(two.renewed.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
		resp, err := client.ask()
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(200), "the old process serves until the next one does")
		Expect(resp.Close).To(BeFalse())
		Expect(one.left).NotTo(Receive())

		Expect(n.said.Ready(within())).To(Succeed())
		Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
		Expect(cfg.Listen[0][len("unix://"):]).To(BeAnExistingFile(), "the next process listens there")
		for _, c := range []*asks{client, idle} {
			Consistently(r.served).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
			resp, err = c.ask()
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(200))
			Expect(resp.Close).To(BeTrue())
			Expect(c.conn.Close()).To(Succeed())
		}
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(one.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(one.Err()).To(MatchError(ContainSubstring("SHUTDOWN")))
		Expect(r.Handover(n.start)).To(MatchError(gateway.ErrHandover))
	})

	It("asks services for another session that were not asked yet when the next process serves", func() {
		cfg := config(GinkgoWriter)
		cfg.AcceptRate = 1 // a second
		r := run(cfg)
		one, two := r.joinAnswering("one"), r.joinAnswering("two")
		Eventually(r.Registry().Instances).WithTimeout(patience).Should(HaveLen(2))
		client := r.asks() // this process stays for it, for longer than a second
		_, err := client.ask()
		Expect(err).NotTo(HaveOccurred())
		n := playNext()
		done := r.handOver(n)
		_, err = n.said.Begin(within())
		Expect(err).NotTo(HaveOccurred())
		Expect(n.said.Ready(within())).To(Succeed())
		Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
		for _, s := range []*answers{one, two} {
			Eventually(s.renewed.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
		}
		Expect(client.conn.Close()).To(Succeed())
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("leaves alone who comes before the next process has begun, who would only come back, and has them come again then", func() {
		r := run(config(GinkgoWriter))
		n := playNext()
		started := make(chan struct{})
		start := n.start
		n.start = func(h *handover.Held) (*handover.Successor, error) {
			close(started)
			return start(h)
		}
		done := r.handOver(n)
		Eventually(started).WithTimeout(patience).Should(BeClosed())
		one := r.joinAnswering("one")
		Eventually(r.Registry().Instances).WithTimeout(patience).Should(HaveLen(1))
		Consistently(one.renewed.Load).WithTimeout(200 * time.Millisecond).Should(BeZero())
		list, err := n.said.Begin(within())
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(ConsistOf(handover.Instance{Service: "test", Version: "1.0.0", ID: "one"}))
		Eventually(one.renewed.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
		Expect(n.close()).To(Succeed())
		Eventually(done).WithTimeout(patience).Should(Receive(MatchError(gateway.ErrHandover)))
	})

	DescribeTable("goes on, and takes sessions again, when the next process",
		func(fails func(n *next), says string) {
			log := gbytes.NewBuffer()
			cfg := config(io.MultiWriter(log, GinkgoWriter))
			unix := filepath.Join(GinkgoT().TempDir(), "s.sock")
			cfg.Listen = append(cfg.Listen, "unix://"+unix)
			r := run(cfg)
			before := r.ListenAddrs()
			one := r.joinAnswering("one")
			Eventually(r.Registry().Endpoints).WithTimeout(patience).Should(HaveLen(1))
			client := r.asks()
			n := playNext()
			done := r.handOver(n)
			fails(n)
			var err error
			Eventually(done).WithTimeout(patience).Should(Receive(&err))
			Expect(err).To(MatchError(gateway.ErrHandover))
			Expect(err).To(MatchError(ContainSubstring(says)))
			Eventually(log).WithTimeout(patience).Should(gbytes.Say("handover failed, this process goes on"))
			resp, err := client.ask()
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(200))
			Expect(resp.Close).To(BeFalse())
			Expect(one.left).NotTo(Receive())
			Expect(r.ListenAddrs()).To(Equal(before))
			Expect(unix).To(BeAnExistingFile())
			for i, addr := range before {
				link, err := transports.Dial(context.Background(), addr)
				Expect(err).NotTo(HaveOccurred(), "%d", i)
				Expect(link.Close()).To(Succeed())
			}
			r.joinAnswering("two")
			Eventually(func() int { return len(r.Registry().Instances()) }).WithTimeout(patience).Should(Equal(2))

			// And a later one is taken.
			n = playNext()
			done = r.handOver(n)
			_, err = n.said.Begin(within())
			Expect(err).NotTo(HaveOccurred())
			Expect(n.said.Ready(within())).To(Succeed())
			Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
			Expect(client.conn.Close()).To(Succeed())
			Eventually(r.served).WithTimeout(2 * patience).Should(Receive(BeNil()))
		},
		Entry("ends before it has begun", func(n *next) { Expect(n.close()).To(Succeed()) }, `waiting for "begun": EOF`),
		Entry("ends while services come", func(n *next) {
			_, err := n.said.Begin(within())
			Expect(err).NotTo(HaveOccurred())
			Expect(n.close()).To(Succeed())
		}, `waiting for "ready": EOF`),
		Entry("says something else", func(n *next) { Expect(n.said.Ready(within())).To(Succeed()) }, `says "ready", expected "begun"`),
	)

	It("goes on when there is no next process, and says what does not pass", func() {
		r := run(config(GinkgoWriter))
		none := errors.New("no such program")
		err := r.Handover(func(*handover.Held) (*handover.Successor, error) { return nil, none })
		Expect(err).To(MatchError(none))
		Expect(err).To(MatchError(gateway.ErrHandover))
	})

	It("refuses a second one meanwhile, which says nothing of the first", func() {
		log := gbytes.NewBuffer()
		r := run(config(io.MultiWriter(log, GinkgoWriter)))
		n := playNext()
		done := r.handOver(n)
		_, err := n.said.Begin(within())
		Expect(err).NotTo(HaveOccurred())
		err = r.Handover(playNext().start)
		Expect(err).To(MatchError(gateway.ErrHandover))
		Expect(err).To(MatchError(ContainSubstring("another one is under way")))
		Expect(log.Contents()).NotTo(ContainSubstring("handover failed"))
		Expect(n.said.Ready(within())).To(Succeed())
		Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("is refused at once while the gateway drains, and starts nothing", func() {
		r := run(config(GinkgoWriter))
		entered, leave := make(chan struct{}), make(chan struct{})
		r.join(func(in *session.Incoming) {
			close(entered)
			<-leave
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, nil)
		})
		answered := make(chan int, 1)
		go func() {
			defer GinkgoRecover()
			status, _ := get("http://" + r.HTTPAddr() + "/a")
			answered <- status
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		r.cancel()
		Eventually(func() int { status, _ := get("http://" + r.AdminAddr() + "/readyz"); return status }).WithTimeout(patience).Should(Equal(503))
		refused := make(chan error, 1)
		go func() {
			refused <- r.Handover(func(*handover.Held) (*handover.Successor, error) { return nil, errors.New("it was started") })
		}()
		Eventually(refused).WithTimeout(patience).Should(Receive(And(
			MatchError(gateway.ErrHandover), MatchError(ContainSubstring("the gateway drains and ends: start another one")))))
		Consistently(r.served).WithTimeout(10 * time.Millisecond).ShouldNot(Receive())
		close(leave)
		Eventually(answered).WithTimeout(patience).Should(Receive(Equal(200)))
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("says how it ended when the gateway ends meanwhile: the next process may serve by then", func() {
		r := run(config(GinkgoWriter))
		n := playNext()
		done := r.handOver(n)
		_, err := n.said.Begin(within())
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Close()).To(Succeed())
		Eventually(done).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring(`waiting for "ready"`))))
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("drains when it is told to end meanwhile, and the next process is given up", func() {
		r := run(config(GinkgoWriter))
		n := playNext()
		done := r.handOver(n)
		_, err := n.said.Begin(within())
		Expect(err).NotTo(HaveOccurred())
		r.cancel()
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(done).WithTimeout(patience).Should(Receive(MatchError(gateway.ErrHandover)))
		Eventually(n.said.Gone()).WithTimeout(patience).Should(BeClosed())
		Expect(n.said.Close()).To(Succeed())
	})
})

// before plays the process whose place a gateway takes.
func before(cfg *gateway.Config) (*handover.Successor, net.Conn) {
	near, far := net.Pipe()
	cfg.Predecessor = handover.NewPredecessor(near)
	DeferCleanup(func() { _, _ = near.Close(), far.Close() })
	return handover.NewSuccessor(far), far
}

var _ = Describe("a gateway that takes another process's place", func() {
	It("waits for the authority's first word, and leaves the other one in its place where there is none", func() {
		var speaks atomic.Bool
		authority := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !speaks.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, `{"services": {}}`) // whoever asked may be gone
		}))
		DeferCleanup(authority.Close)
		for _, spoken := range []bool{false, true} {
			speaks.Store(spoken)
			cfg := config(GinkgoWriter)
			cfg.Authority = gateway.Authority{Source: authority.URL}
			old, pipe := before(&cfg)
			r := run(cfg)
			Expect(old.Begun(within())).To(Succeed())
			Expect(old.Tell(within(), nil)).To(Succeed())
			ready := make(chan error, 1)
			go func() { ready <- old.Ready(within()) }()
			if spoken {
				Eventually(ready).WithTimeout(patience).Should(Receive(BeNil()))
				continue
			}
			Eventually(r.served).WithTimeout(gateway.TakeOver + patience).Should(Receive(MatchError(ContainSubstring("the authority cannot be reached"))))
			Expect(pipe.Close()).To(Succeed())
			Eventually(ready).WithTimeout(patience).Should(Receive(HaveOccurred()))
		}
	})

	It("accepts requests once it has a session with every instance that the other one has", func() {
		cfg := config(GinkgoWriter)
		var serving atomic.Bool
		cfg.Serving = func() { serving.Store(true) }
		old, _ := before(&cfg)
		r := run(cfg)
		Expect(old.Begun(within())).To(Succeed())
		var list []handover.Instance
		for i := range 3 {
			list = append(list, handover.Instance{Service: "test", Version: "1.0.0", ID: strconv.Itoa(i)})
		}
		Expect(old.Tell(within(), list)).To(Succeed())
		client := r.asks()
		answered := make(chan int, 1)
		go func() {
			defer close(answered)
			if resp, err := client.ask(); err == nil {
				answered <- resp.StatusCode
			}
		}()
		for i := range 3 {
			Consistently(answered).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
			Expect(serving.Load()).To(BeFalse())
			r.joinAnswering(strconv.Itoa(i))
		}
		Expect(old.Ready(within())).To(Succeed())
		Eventually(answered).WithTimeout(patience).Should(Receive(Equal(200)))
		Expect(serving.Load()).To(BeTrue())
	})

	It("accepts requests at once when the other one ends", func() {
		cfg := config(GinkgoWriter)
		old, conn := before(&cfg)
		r := run(cfg)
		Expect(old.Begun(within())).To(Succeed())
		Expect(old.Tell(within(), []handover.Instance{{Service: "test", Version: "1.0.0", ID: "never"}})).To(Succeed())
		Expect(conn.Close()).To(Succeed())
		Eventually(func() int { s, _ := get("http://" + r.AdminAddr() + "/readyz"); return s }).WithTimeout(patience).Should(Equal(200))
	})

	It("writes the token of development mode when it serves, not before: it is the other one's", func() {
		file := filepath.Join(GinkgoT().TempDir(), "token")
		Expect(os.WriteFile(file, []byte("the other one's"), 0o600)).To(Succeed())
		for _, serves := range []bool{false, true} {
			cfg := config(GinkgoWriter)
			cfg.Dev = &gateway.Dev{TokenFile: file}
			old, pipe := before(&cfg)
			r := run(cfg)
			Expect(old.Begun(within())).To(Succeed())
			Expect(old.Tell(within(), []handover.Instance{{Service: "test", Version: "1.0.0", ID: "one"}})).To(Succeed())
			r.joinAnswering("other")
			Eventually(r.Registry().Instances).WithTimeout(patience).Should(HaveLen(1))
			Expect(os.ReadFile(file)).To(BeEquivalentTo("the other one's"))
			if serves {
				r.joinAnswering("one")
				Expect(old.Ready(within())).To(Succeed())
				Expect(os.ReadFile(file)).NotTo(BeEquivalentTo("the other one's"))
			}
			r.cancel()
			Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
			Expect(pipe.Close()).To(Succeed())
		}
	})

	It("says that the token of development mode cannot be written, and does not serve", func() {
		cfg := config(GinkgoWriter)
		file := filepath.Join(GinkgoT().TempDir(), "token")
		cfg.Dev = &gateway.Dev{TokenFile: file}
		old, _ := before(&cfg)
		r := run(cfg)
		Expect(os.Mkdir(file, 0o700)).To(Succeed()) // since it was checked
		Expect(old.Begun(within())).To(Succeed())
		Expect(old.Tell(within(), nil)).To(Succeed())
		Expect(old.Ready(within())).To(MatchError(io.EOF))
		Eventually(r.served).WithTimeout(patience).Should(Receive(HaveOccurred()))
	})

	It("ends without having served when it is told to", func() {
		cfg := config(GinkgoWriter)
		old, _ := before(&cfg)
		r := run(cfg)
		Expect(old.Begun(within())).To(Succeed())
		Expect(old.Tell(within(), []handover.Instance{{Service: "test", Version: "1.0.0", ID: "never"}})).To(Succeed())
		r.cancel()
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
		Expect(old.Ready(within())).To(MatchError(io.EOF))
	})
})
