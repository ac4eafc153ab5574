//go:build !nobrokers

package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gleak"

	desk "github.com/stella-ops/router/gateway/queue"
	"github.com/stella-ops/router/runtime/queue"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/valkey"
)

func TestQueue(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Runtime queue")
}

const (
	patience = 15 * time.Second
	token    = "the-token-of-this-spec"
	older    = "the-one-before-that-one"
)

var server *brokertest.Server

var _ = BeforeSuite(func() {
	SetDefaultEventuallyTimeout(patience)
	server = brokertest.DurableValkey(GinkgoT())
})

var serial atomic.Int64

// endpoint is one whose jobs are tried twice.
func endpoint() spec.Endpoint {
	return spec.Endpoint{
		Method: "POST", Path: "/jobs/{kind}", Handler: "Job", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Idempotent: true,
		Public: "a test", Limits: spec.Limits{MaxBodyBytes: spec.MaxJobBody, TimeoutMS: 500, IdleMS: 1000},
		Queue: &spec.Queueing{Attempts: 2, LeaseMS: 1000},
	}
}

// bench is a queue with both of its ends.
type bench struct {
	url      string
	endpoint spec.Endpoint
	desk     *desk.Desk
	queue    transports.Queue
	log      *gbytes.Buffer
}

func newBench(tokens ...string) *bench {
	GinkgoHelper()
	before := gleak.Goroutines()
	b := &bench{url: "valkey://" + server.Addr + "?prefix=b" + time.Now().Format("150405.000000"), endpoint: endpoint(), log: gbytes.NewBuffer()}
	q, err := transports.OpenQueue(b.url)
	Expect(err).NotTo(HaveOccurred())
	b.queue = q
	b.desk = desk.New(q, func(string) []string { return tokens })
	DeferCleanup(func() {
		Expect(q.Close()).To(Succeed())
		Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before))
	})
	return b
}

// put makes a request a job, and returns its id.
func (b *bench) put(body []byte, change ...func(*spec.Request)) string {
	GinkgoHelper()
	r := &spec.Request{Params: []string{"test"}, ContentLength: int64(len(body)), Header: []spec.Field{{Name: "X-Test", Value: "yes"}}}
	r.ID[15], r.ID[14] = byte(serial.Add(1)), byte(serial.Load()>>8)
	for _, f := range change {
		f(r)
	}
	Expect(b.desk.Put(context.Background(), "test", &b.endpoint, r, "", body)).To(Succeed())
	return r.ID.String()
}

// work has jobs done until the returned function is called, which waits until the worker has ended.
func (b *bench) work(serve func(*session.Incoming), change ...func(*queue.Config)) (stop, cut func()) {
	GinkgoHelper()
	q, err := transports.OpenQueue(b.url)
	Expect(err).NotTo(HaveOccurred())
	cfg := queue.Config{
		Queue: q, Service: "test", Endpoints: []spec.Endpoint{{Method: "GET", Path: "/a"}, b.endpoint}, Slots: 4, Serve: serve,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ends, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer GinkgoRecover()
		Expect(queue.Run(ctx, ends, cfg)).To(Succeed())
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		Expect(q.Close()).To(Succeed())
	})
	DeferCleanup(func() {
		end()
		stop()
	})
	return stop, end
}

func (b *bench) status(id string) *transports.JobStatus {
	GinkgoHelper()
	s, err := b.desk.Status(context.Background(), id, nil)
	Expect(err).NotTo(HaveOccurred())
	return s
}

func (b *bench) state(id string) transports.JobState { return b.status(id).State }

func answer(in *session.Incoming, status int, body string) {
	_ = in.Respond(&spec.Response{Status: status, ContentLength: -1, Header: []spec.Field{{Name: "Content-Type", Value: "text/plain"}}}, []byte(body))
}

var _ = Describe("A job", func() {
	It("reaches its handler as the request was, with its attempt and its key", func() {
		b := newBench()
		got := make(chan spec.Request, 1)
		b.work(func(in *session.Incoming) {
			got <- *in.Request()
			body, _ := io.ReadAll(in)
			answer(in, 201, "did "+string(body))
		})
		id := b.put([]byte("this"))
		Eventually(b.state).WithArguments(id).Should(Equal(transports.JobDone))
		var r spec.Request
		Expect(got).To(Receive(&r))
		Expect(r.Endpoint).To(BeEquivalentTo(1))
		Expect(r.Params).To(Equal([]string{"test"}))
		Expect(r.ID.String()).To(Equal(id))
		Expect(r.Header).To(ConsistOf(
			spec.Field{Name: "X-Test", Value: "yes"}, spec.Field{Name: queue.HeaderAttempt, Value: "1"}, spec.Field{Name: queue.HeaderKey, Value: id},
		))
		s := b.status(id)
		Expect(s.Result).To(Equal(&transports.JobResult{Status: 201, ContentType: "text/plain", Body: []byte("did this")}))
	})

	It("has no trailers: those of its answer are dropped, and it is done", func() {
		b := newBench()
		b.work(func(in *session.Incoming) {
			body, _ := io.ReadAll(in)
			text := fmt.Sprintf("%s %v", body, in.Trailers())
			_ = in.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, []byte(text), []spec.Field{{Name: "X-Sum", Value: "1"}})
		})
		id := b.put([]byte("this"))
		Eventually(b.state).WithArguments(id).Should(Equal(transports.JobDone))
		Expect(b.status(id).Result).To(Equal(&transports.JobResult{Status: 200, Body: []byte("this []")}))
	})

	It("may have the largest body there is, and keeps no result that is larger than is kept", func() {
		b := newBench()
		want := bytes.Repeat([]byte("0123456789abcdef"), spec.MaxJobBody/16)
		b.work(func(in *session.Incoming) {
			body, err := io.ReadAll(in)
			switch {
			case err != nil || !bytes.Equal(body, want):
				answer(in, 400, "not what was sent")
			default:
				answer(in, 200, strings.Repeat("x", transports.MaxJobResult+1))
			}
		}, func(c *queue.Config) { c.Endpoints[1].Limits.TimeoutMS = 10_000 })
		id := b.put(want)
		Eventually(b.state).WithArguments(id).Should(Equal(transports.JobDone), "%+v", b.status(id))
		Expect(b.status(id).Result).To(Equal(&transports.JobResult{Status: 200, ContentType: "text/plain", Cut: true}))
	})

	It("comes with its own ID as the key where the client gave an empty one, and is not asked for a compressed result", func() {
		b := newBench()
		got := make(chan []spec.Field, 1)
		b.work(func(in *session.Incoming) {
			got <- in.Request().Header
			answer(in, 200, "")
		})
		id := b.put(nil, func(r *spec.Request) {
			r.Header = []spec.Field{{Name: queue.HeaderKey}, {Name: "Accept-Encoding", Value: "gzip"}}
		})
		Eventually(got).Should(Receive(ConsistOf(spec.Field{Name: queue.HeaderAttempt, Value: "1"}, spec.Field{Name: queue.HeaderKey, Value: id})))
	})

	It("does not suffer from another whose handler does not end", func() {
		b := newBench()
		leave := make(chan struct{})
		b.work(func(in *session.Incoming) {
			if body, _ := io.ReadAll(in); string(body) == "stuck" {
				<-leave
				return
			}
			answer(in, 200, "")
		}, func(c *queue.Config) { c.Slots = 1 })
		DeferCleanup(func() { close(leave) })
		stuck := b.put([]byte("stuck"))
		var others []string
		for range 5 {
			others = append(others, b.put(nil))
		}
		for _, id := range others {
			Eventually(b.state).WithArguments(id).Should(Equal(transports.JobDone))
			Expect(b.status(id).Attempt).To(Equal(1))
		}
		Eventually(b.state).WithArguments(stuck).Should(Equal(transports.JobDead))
	})

	DescribeTable("that fails", func(serve func(*session.Incoming), attempts int, reason string) {
		b := newBench()
		var calls atomic.Int64
		b.work(func(in *session.Incoming) {
			calls.Add(1)
			serve(in)
		})
		id := b.put(nil)
		Eventually(b.state).WithArguments(id).Should(Equal(transports.JobDead))
		Expect(calls.Load()).To(BeEquivalentTo(attempts))
		Expect(b.status(id).Reason).To(Equal(reason))
		dead, err := b.queue.Dead(context.Background(), transports.QueueName{Service: "test", Endpoint: "POST /jobs/{}"}, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(dead).To(HaveLen(1))
		Expect(dead[0].Reason).To(Equal(reason))
	},
		Entry("with 500", func(in *session.Incoming) { answer(in, 500, "oh no\n") }, 2, "the handler answered 500: oh no"),
		Entry("with 429", func(in *session.Incoming) { answer(in, 429, "") }, 2, "the handler answered 429"),
		Entry("with 404: once", func(in *session.Incoming) { answer(in, 404, `{"title":"Not Found","detail":"no such month"}`) }, 1,
			"the handler answered 404: no such month"),
		Entry("without an answer", func(*session.Incoming) {}, 2, "the handler gave no answer: the service gave no answer"),
		Entry("by taking too long", func(in *session.Incoming) { <-in.Context().Done() }, 2, "the handler did not answer within 500ms"),
		Entry("within its answer", func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			in.Cancel(spec.CodeInternal, "half way")
		}, 2, "the handler gave no answer: half way"),
	)

	It("that no gateway has signed which knows the token is dead at once, and its handler never sees it", func() {
		forger, signer := newBench("a-token-that-is-no-good"), newBench(older, token)
		signer.url = forger.url
		served := make(chan string, 10)
		forger.work(func(in *session.Incoming) {
			served <- in.Request().ID.String()
			answer(in, 200, "")
		}, func(c *queue.Config) { c.Token = token })
		forged := forger.put(nil, func(r *spec.Request) { r.Identity = &spec.Identity{Subject: "admin"} })
		Eventually(func() transports.JobState {
			s, err := forger.desk.Status(context.Background(), forged, &spec.Identity{Subject: "admin"})
			Expect(err).NotTo(HaveOccurred())
			return s.State
		}).Should(Equal(transports.JobDead))
		q, err := transports.OpenQueue(forger.url)
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(q.Close()).To(Succeed()) }()
		forger.desk = desk.New(q, func(string) []string { return []string{older, token} })
		good := forger.put(nil)
		Eventually(forger.state).WithArguments(good).Should(Equal(transports.JobDone))
		Expect(served).To(Receive(Equal(good)))
		Expect(served).NotTo(Receive())
	})

	It("that runs when the service stops is finished; one that runs when its time is over goes to another service", func() {
		b := newBench()
		entered, leave := make(chan struct{}, 2), make(chan struct{})
		stop, _ := b.work(func(in *session.Incoming) {
			entered <- struct{}{}
			<-leave
			answer(in, 200, "first")
		}, func(c *queue.Config) { c.Endpoints[1].Limits.TimeoutMS = 10_000 })
		id := b.put(nil)
		Eventually(entered).Should(Receive())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		Consistently(stopped, "200ms").ShouldNot(BeClosed())
		close(leave)
		Eventually(stopped).Should(BeClosed())
		Expect(b.state(id)).To(Equal(transports.JobDone))

		stop, cut := b.work(func(in *session.Incoming) {
			entered <- struct{}{}
			<-in.Context().Done()
		}, func(c *queue.Config) { c.Endpoints[1].Limits.TimeoutMS = 10_000 })
		id = b.put(nil)
		Eventually(entered).Should(Receive())
		stopped = make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		Consistently(stopped, "200ms").ShouldNot(BeClosed()) // it takes no job on any more, and waits for this one
		cut()
		Eventually(stopped).Should(BeClosed())
		Expect(b.state(id)).To(Equal(transports.JobQueued))
		Expect(b.status(id).Reason).To(Equal("the worker was stopped before the job was done"))
		b.work(func(in *session.Incoming) { answer(in, 200, "second") })
		Eventually(b.state).WithArguments(id).Should(Equal(transports.JobDone))
		Expect(string(b.status(id).Result.Body)).To(Equal("second"))
	})

	It("is done by a worker whose broker was away, though another one still runs", func() {
		b := newBench()
		b.endpoint.Queue.LeaseMS = 60_000
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		b.work(func(in *session.Incoming) {
			if body, _ := io.ReadAll(in); string(body) == "long" {
				entered <- struct{}{}
				<-leave
			}
			answer(in, 200, "")
		}, func(c *queue.Config) { c.Endpoints[1].Limits.TimeoutMS = 60_000 })
		DeferCleanup(func() { close(leave) })
		b.put([]byte("long"))
		Eventually(entered).Should(Receive())
		first := b.put(nil)
		Eventually(b.state).WithArguments(first).Should(Equal(transports.JobDone))
		server.Restart()
		Eventually(b.log).Should(gbytes.Say("no jobs from the queue; it is tried again"))
		var second string
		Eventually(func() error {
			r := &spec.Request{Params: []string{"x"}}
			r.ID[15] = 250
			second = r.ID.String()
			return b.desk.Put(context.Background(), "test", &b.endpoint, r, "", nil)
		}).Should(Succeed())
		Eventually(func() bool {
			s, err := b.desk.Status(context.Background(), second, nil)
			return err == nil && s.State == transports.JobDone
		}).Should(BeTrue())
	})
})

var _ = Describe("A desk", func() {
	It("tells of a job to whom it belongs, and to nobody else", func() {
		b := newBench()
		alice, bob := &spec.Identity{Subject: "alice", Tenant: "acme"}, &spec.Identity{Subject: "bob", Tenant: "acme"}
		mine := b.put(nil, func(r *spec.Request) { r.Identity = alice })
		_, err := b.desk.Status(context.Background(), mine, alice)
		Expect(err).NotTo(HaveOccurred())
		Expect(desk.Owner(&spec.Identity{Tenant: "a/b", Subject: "c"})).NotTo(Equal(desk.Owner(&spec.Identity{Tenant: "a", Subject: "b/c"})))
		for _, other := range []*spec.Identity{bob, nil, {Subject: "alice", Tenant: "other"}, {}} {
			_, err := b.desk.Status(context.Background(), mine, other)
			Expect(err).To(MatchError(transports.ErrNoJob))
		}
		everybodys := b.put(nil)
		_, err = b.desk.Status(context.Background(), everybodys, bob)
		Expect(err).NotTo(HaveOccurred())
	})

	It("takes no more bodies at once than it has room for", func() {
		b := newBench()
		var held []func()
		for {
			release, err := b.desk.Hold(spec.MaxJobBody)
			if err != nil {
				Expect(err).To(MatchError(desk.ErrBusy))
				break
			}
			held = append(held, release)
		}
		Expect(held).To(HaveLen(16))
		held[0]()
		Expect(b.desk.Hold(spec.MaxJobBody)).Error().NotTo(HaveOccurred())
	})
})
