package artifacts

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	client "github.com/stella-ops/router/e2e/artifacts/ordersclient"
)

// order is an order of a customer with as little as it may have.
func order(customer string) client.CreateOrderInput {
	return client.CreateOrderInput{Body: client.NewOrder{Customer: customer, Lines: []client.Line{{Price: 1}}}}
}

var _ = Describe("the Go client of orders", func() {
	var (
		o *orders
		c client.Client
	)

	BeforeEach(func() {
		o = startOrders()
		c = client.New(client.Options{URL: o.URL + "/"})
	})

	problemOf := func(err error) *client.Problem {
		GinkgoHelper()
		p, is := errors.AsType[*client.Problem](err)
		Expect(is).To(BeTrue(), "%v", err)
		return p
	}

	list := func(ctx context.Context, in client.ListOrdersInput) (*client.ListOrdersResult, error) {
		return c.ListOrders(ctx, in) //nolint:staticcheck // that it is deprecated is no matter here
	}

	It("sends query, header and cookie parameters, each item of an array, and nothing for what is left out", func(ctx SpecContext) {
		limit := int32(0)
		orders, err := list(ctx, client.ListOrdersInput{Sid: "s", XTrace: "t", Limit: &limit, Tag: []string{"a b", "&"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(orders.Body).To(HaveExactElements(client.Order{ID: "a", Key: []byte{0, 1}}))
		_, err = list(ctx, client.ListOrdersInput{Sid: "s"})
		Expect(err).NotTo(HaveOccurred())
		Expect(o.seen()).To(Equal([]string{"GET /orders?limit=0&tag=a+b&tag=%26 sid=s t", "GET /orders sid=s"}))
	})

	It("refuses a cookie that would be two", func(ctx SpecContext) {
		_, err := list(ctx, client.ListOrdersInput{Sid: "s; admin=1"})
		Expect(err).To(MatchError(ContainSubstring("cookie sid")))
		Expect(o.seen()).To(BeEmpty())
	})

	It("tells absent, null and a value apart", func(ctx SpecContext) {
		in := order("a")
		yes := false
		in.Body.Express = &yes
		in.Body.Note = client.Null[client.Note]()
		in.Body.State = client.Some(client.NewOrderStateDone)
		in.Body.Lines[0].Level = client.Null[client.LineLevel]()
		_, err := c.CreateOrder(ctx, in)
		Expect(err).NotTo(HaveOccurred())
		_, err = c.CreateOrder(ctx, order("b"))
		Expect(err).NotTo(HaveOccurred())
		Expect(o.seen()).To(Equal([]string{
			`POST /orders {"customer":"a","express":false,"lines":[{"level":null,"price":1}],"note":null,"state":"done"}`,
			`POST /orders {"customer":"b","lines":[{"price":1}]}`,
		}))
	})

	It("reads header fields, and further statuses without a body", func(ctx SpecContext) {
		made, err := c.CreateOrder(ctx, order("a"))
		Expect(err).NotTo(HaveOccurred())
		Expect(made.ETag).To(Equal(`"v1"`))
		Expect(made.XLeft).To(BeEquivalentTo(1<<53 - 1))
		made, err = c.CreateOrder(ctx, order("empty"))
		Expect(err).NotTo(HaveOccurred())
		Expect(made.Status).To(Equal(204))
	})

	It("has null where a body may be null", func(ctx SpecContext) {
		none, err := c.ServiceGetOrder(ctx, client.ServiceGetOrderInput{ID: "none"})
		Expect(err).NotTo(HaveOccurred())
		Expect(none.Body).To(BeNil())
	})

	It("gives an error with details its type", func(ctx SpecContext) {
		_, err := c.CreateOrder(ctx, order("conflict"))
		conflict, is := errors.AsType[*client.ConflictError](err)
		Expect(is).To(BeTrue(), "%v", err)
		Expect(conflict.Details.With).To(Equal("b"))
		Expect(conflict.RequestID).To(Equal("r-1"))
	})

	It("repeats what is idempotent after 503, with the same body", func(ctx SpecContext) {
		made, err := c.CreateOrder(ctx, order("flaky"))
		Expect(err).NotTo(HaveOccurred())
		Expect(made.Status).To(Equal(201))
		Expect(o.seen()).To(HaveLen(3))
	})

	It("gives up after as many attempts as it is told", func(ctx SpecContext) {
		_, err := client.New(client.Options{URL: o.URL, Attempts: 2}).CreateOrder(ctx, order("flaky"))
		Expect(problemOf(err).Code).To(Equal("no_instance"))
		Expect(o.seen()).To(HaveLen(2))
	})

	It("repeats what is idempotent after a connection that failed", func(ctx SpecContext) {
		got, err := c.ServiceGetOrder(ctx, client.ServiceGetOrderInput{ID: "cut"})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Body.ID).To(Equal("cut"))
	})

	It("never repeats what is not idempotent", func(ctx SpecContext) {
		_, err := c.OtherGetOrder(ctx, client.OtherGetOrderInput{ID: "a"})
		Expect(problemOf(err).Retryable).To(BeTrue())
		Expect(o.seen()).To(HaveLen(1))
	})

	It("does not wait for an hour", func(ctx SpecContext) {
		begin := time.Now()
		_, err := c.ServiceGetOrder(ctx, client.ServiceGetOrderInput{ID: "later"})
		Expect(problemOf(err).Status).To(Equal(503))
		Expect(time.Since(begin)).To(BeNumerically("<", 5*time.Second))
		Expect(o.seen()).To(HaveLen(1))
	})

	It("makes a problem of an answer that is none", func(ctx SpecContext) {
		_, err := c.ServiceGetOrder(ctx, client.ServiceGetOrderInput{ID: "plain"})
		Expect(problemOf(err)).To(HaveValue(And(
			HaveField("Status", 502), HaveField("Title", "Bad Gateway"), HaveField("RequestID", "r-2"), HaveField("Detail", ContainSubstring("<h1>no</h1>")),
		)))
	})

	DescribeTable("escapes a path parameter, and refuses one that leads elsewhere", func(ctx SpecContext, id, path string) {
		_, err := c.ServiceGetOrder(ctx, client.ServiceGetOrderInput{ID: id})
		if path == "" {
			Expect(err).To(MatchError(ContainSubstring("path parameter id")))
			return
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(o.seen()).To(Equal([]string{"GET /orders/" + path}))
	},
		Entry("text", "a b?c#é", "a%20b%3Fc%23%C3%A9"),
		Entry("a slash", "a/b", "a%2Fb"),
		Entry("nothing", "", ""),
		Entry("a dot", ".", ""),
		Entry("two dots", "..", ""),
	)

	It("keeps the slashes of what is left of a path, and passes a raw body on", func(ctx SpecContext) {
		put, err := c.PutDeep(ctx, client.PutDeepInput{
			Dir: "d", Rest: "a/b c", Query: url.Values{"q": {"1"}}, Header: http.Header{"X-More": {"m"}}, Body: strings.NewReader("bytes"), ContentType: "text/plain",
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(put.Status).To(Equal(202))
		Expect(io.ReadAll(put.Body)).To(BeEquivalentTo("bytes"))
		Expect(put.Body.Close()).To(Succeed())
		Expect(o.seen()).To(Equal([]string{"PUT /files/d/a/b%20c?q=1 text/plain m bytes"}))
		_, err = c.PutDeep(ctx, client.PutDeepInput{Dir: "d", Rest: "a/../b"})
		Expect(err).To(MatchError(ContainSubstring("leads elsewhere")))
	})

	It("sends forms, with files as they are read", func(ctx SpecContext) {
		_, err := c.Import(ctx, client.ImportInput{Body: client.Upload{
			Title: "t", File: client.File{Name: "a.txt", Content: strings.NewReader("A")},
			More: []client.File{{Name: "b", Content: strings.NewReader("B")}, {Name: `"c"`}},
		}})
		Expect(err).NotTo(HaveOccurred())
		found, err := c.Search(ctx, client.SearchInput{Body: client.SearchBody{Text: "a&b=c"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(found.Body).To(HaveKeyWithValue("first", HaveField("ID", "a")))
		Expect(o.seen()).To(Equal([]string{`POST /orders/import file=a.txt:A more=b:B more="c": title=t`, "POST /orders/search text=a%26b%3Dc"}))
	})

	It("fails with the error of a file that cannot be read", func(ctx SpecContext) {
		torn := io.MultiReader(strings.NewReader("A"), readerFunc(func([]byte) (int, error) { return 0, errors.New("torn") }))
		_, err := c.Import(ctx, client.ImportInput{Body: client.Upload{Title: "t", File: client.File{Content: torn}}})
		Expect(err).To(MatchError(ContainSubstring("torn")))
	})

	It("answers calls without a body", func(ctx SpecContext) {
		_, err := c.HasOrder(ctx, client.HasOrderInput{ID: "a"})
		Expect(err).NotTo(HaveOccurred())
		gone, err := c.DeleteOrder(ctx, client.DeleteOrderInput{Key: "a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(gone.Status).To(Equal(204))
	})

	watch := func(ctx context.Context, id string) (events []client.StreamEvent[client.Event], last error) {
		for e, err := range c.Watch(ctx, client.WatchInput{ID: id}) {
			if err != nil {
				Expect(last).NotTo(HaveOccurred(), "an item after the error")
				last = err
				continue
			}
			events = append(events, e)
		}
		return events, last
	}

	It("reads events with their id and name, as often as they are ranged", func(ctx SpecContext) {
		for range 2 {
			events, err := watch(ctx, "a")
			Expect(err).NotTo(HaveOccurred())
			Expect(events).To(Equal([]client.StreamEvent[client.Event]{{ID: "1", Event: "new", Data: client.Event{Kind: "é"}}, {}}))
		}
		Expect(o.seen()).To(HaveExactElements(HaveSuffix("application/x-ndjson"), HaveSuffix("application/x-ndjson")))
	})

	It("gives the problem that a stream broke off with", func(ctx SpecContext) {
		events, err := watch(ctx, "broken")
		Expect(events).To(HaveLen(2))
		Expect(problemOf(err).Code).To(Equal("late"))
	})

	It("tells of a stream that is cut", func(ctx SpecContext) {
		events, err := watch(ctx, "cut")
		Expect(events).To(HaveLen(2))
		Expect(err).To(MatchError(ContainSubstring("breaks off")))
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
	})

	It("does not call without a token that it was to have", func(ctx SpecContext) {
		none := errors.New("no token")
		c = client.New(client.Options{URL: o.URL, Token: func(context.Context) (string, error) { return "", none }})
		_, err := c.HasOrder(ctx, client.HasOrderInput{ID: "a"})
		Expect(err).To(MatchError(none))
		Expect(o.seen()).To(BeEmpty())
	})
})

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

var _ = Describe("a fake of the Go client", func() {
	It("calls the function of its name", func(ctx SpecContext) {
		var c client.Client = &client.Fake{
			HasOrderFunc: func(_ context.Context, in client.HasOrderInput) (*client.HasOrderResult, error) {
				return &client.HasOrderResult{Status: len(in.ID)}, nil
			},
			WatchFunc: func(context.Context, client.WatchInput) iter.Seq2[client.StreamEvent[client.Event], error] {
				return func(yield func(client.StreamEvent[client.Event], error) bool) {
					yield(client.StreamEvent[client.Event]{ID: "1"}, nil)
				}
			},
			MakeFunc: func(context.Context, client.MakeInput) (*client.Job[client.PageOrder], error) {
				return client.DoneJob("j", client.PageOrder{Items: []client.Order{{ID: "a"}}}), nil
			},
		}
		has, err := c.HasOrder(ctx, client.HasOrderInput{ID: "abc"})
		Expect(err).NotTo(HaveOccurred())
		Expect(has.Status).To(Equal(3))
		for e, err := range c.Watch(ctx, client.WatchInput{}) {
			Expect(err).NotTo(HaveOccurred())
			Expect(e.ID).To(Equal("1"))
		}
		job, err := c.Make(ctx, client.MakeInput{})
		Expect(err).NotTo(HaveOccurred())
		page, err := job.Result(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(page.Items).To(HaveLen(1))
	})

	It("says which function is not set", func(ctx SpecContext) {
		fake := &client.Fake{}
		_, err := fake.HasOrder(ctx, client.HasOrderInput{})
		Expect(err).To(MatchError("ordersclient: Fake.HasOrder was called, and Fake.HasOrderFunc is not set"))
		for _, err := range fake.Watch(ctx, client.WatchInput{}) {
			Expect(err).To(MatchError(ContainSubstring("WatchFunc is not set")))
		}
	})

	It("has jobs that are dead", func(ctx SpecContext) {
		_, err := client.DeadJob[client.PageOrder]("j", "why").Result(ctx)
		Expect(err).To(MatchError(ContainSubstring("why")))
	})
})
