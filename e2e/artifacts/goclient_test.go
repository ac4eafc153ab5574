package artifacts

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	billing "github.com/stella-ops/router/e2e/artifacts/billingclient"
)

// invoice is one that billing takes.
func invoice(customer string) billing.CreateInvoiceInput {
	return billing.CreateInvoiceInput{Body: billing.NewInvoice{
		Customer: customer, Currency: "EUR", Lines: []billing.Line{{Description: "hours", Quantity: 3, UnitCents: 12_500}},
	}}
}

var _ = Describe("the Go client of billing, through a gateway", Ordered, func() {
	var c billing.Client
	var s *stack

	BeforeAll(func() {
		s = startStack(true)
		c = billing.New(billing.Options{URL: s.url, Token: func(context.Context) (string, error) { return s.token, nil }})
	})

	create := func(ctx context.Context, customer string) *billing.CreateInvoiceResult {
		GinkgoHelper()
		made, err := c.CreateInvoice(ctx, invoice(customer))
		Expect(err).NotTo(HaveOccurred())
		return made
	}

	It("creates, gets and lists invoices", func(ctx SpecContext) {
		made := create(ctx, "acme")
		Expect(made.Status).To(Equal(201))
		Expect(made.Location).To(Equal("/invoices/" + made.Body.ID))
		Expect(made.Body.TotalCents).To(BeEquivalentTo(37_500))
		Expect(made.Body.CreatedAt).To(BeTemporally("~", time.Now(), time.Minute))
		found, err := c.GetInvoice(ctx, billing.GetInvoiceInput{ID: made.Body.ID})
		Expect(err).NotTo(HaveOccurred())
		Expect(found.Body.Lines).To(Equal(made.Body.Lines))
		create(ctx, "acme")
		one := int64(1)
		page, err := c.ListInvoices(ctx, billing.ListInvoicesInput{Customer: "acme", Limit: &one})
		Expect(err).NotTo(HaveOccurred())
		Expect(page.Body.Invoices).To(HaveExactElements(HaveField("ID", made.Body.ID)))
		Expect(page.Body.Next).To(Equal(made.Body.ID))
	})

	It("gives a declared error its type and details", func(ctx SpecContext) {
		_, err := c.GetInvoice(ctx, billing.GetInvoiceInput{ID: "inv-none"})
		unknown, is := errors.AsType[*billing.UnknownInvoiceError](err)
		Expect(is).To(BeTrue(), "%v", err)
		Expect(unknown.Details).To(Equal(billing.UnknownInvoiceErrorDetails{ID: "inv-none"}))
		problem, is := errors.AsType[*billing.Problem](err)
		Expect(is).To(BeTrue())
		Expect(problem).To(HaveValue(beProblem(404, "unknown_invoice", "service")))
		Expect(problem.RequestID).NotTo(BeEmpty())
	})

	It("gives every other error answer as a problem", func(ctx SpecContext) {
		_, err := c.CreateInvoice(ctx, billing.CreateInvoiceInput{Body: billing.NewInvoice{Lines: []billing.Line{}}})
		problem, is := errors.AsType[*billing.Problem](err)
		Expect(is).To(BeTrue(), "%v", err)
		Expect(problem.Status).To(Equal(400))
		Expect(problem.Errors).To(ContainElement(HaveField("Pointer", "/customer")))
		_, err = billing.New(billing.Options{URL: s.url}).ListInvoices(ctx, billing.ListInvoicesInput{})
		problem, is = errors.AsType[*billing.Problem](err)
		Expect(is).To(BeTrue(), "%v", err)
		Expect(problem).To(HaveValue(beProblem(401, "unauthenticated", "gateway")))
	})

	It("streams bytes both ways", func(ctx SpecContext) {
		id := create(ctx, "files").Body.ID
		text := strings.Repeat("0123456789", 100_000)
		put, err := c.Attach(ctx, billing.AttachInput{ID: id, Name: "a.txt", Body: strings.NewReader(text), ContentType: "text/plain"})
		Expect(err).NotTo(HaveOccurred())
		Expect(put.Status).To(Equal(201))
		Expect(put.Body.Close()).To(Succeed())
		got, err := c.Attachment(ctx, billing.AttachmentInput{ID: id, Name: "a.txt"})
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = got.Body.Close() }()
		Expect(got.Header.Get("Content-Type")).To(Equal("text/plain"))
		Expect(io.ReadAll(got.Body)).To(BeEquivalentTo(text))
		_, err = c.Attachment(ctx, billing.AttachmentInput{ID: id, Name: "b.txt"})
		unknown, is := errors.AsType[*billing.UnknownAttachmentError](err)
		Expect(is).To(BeTrue(), "%v", err)
		Expect(unknown.Details.Name).To(Equal("b.txt"))
	})

	watchers := func(ctx context.Context) func() int64 {
		return func() int64 {
			status, err := c.GetStatus(ctx)
			if err != nil {
				return -1
			}
			return status.Body.Watchers
		}
	}

	It("follows a stream, and leaves it with the loop", func(ctx SpecContext) {
		id := create(ctx, "watched").Body.ID
		var types []billing.EventType
		for e, err := range c.Watch(ctx, billing.WatchInput{ID: id}) {
			Expect(err).NotTo(HaveOccurred())
			types = append(types, e.Type)
			if e.Type == billing.EventTypeAttached {
				Expect(e.Attachment.Name).To(Equal("a"))
				break
			}
			Expect(watchers(ctx)()).To(BeEquivalentTo(1))
			put, err := c.Attach(ctx, billing.AttachInput{ID: id, Name: "a", Body: strings.NewReader("x")})
			Expect(err).NotTo(HaveOccurred())
			Expect(put.Body.Close()).To(Succeed())
		}
		Expect(types).To(Equal([]billing.EventType{billing.EventTypeCreated, billing.EventTypeAttached}))
		Eventually(watchers(ctx)).WithTimeout(patience).Should(BeZero())
	})

	It("ends a stream whose context is cancelled", func(ctx SpecContext) {
		id := create(ctx, "cancelled").Body.ID
		left, cancel := context.WithCancel(ctx)
		defer cancel()
		var last error
		for _, err := range c.Watch(left, billing.WatchInput{ID: id}) {
			last = err
			cancel()
		}
		Expect(last).To(MatchError(context.Canceled))
		Eventually(watchers(ctx)).WithTimeout(patience).Should(BeZero())
	})

	It("gives the error of a stream that never began", func(ctx SpecContext) {
		for _, err := range c.Watch(ctx, billing.WatchInput{ID: "inv-none"}) {
			_, is := errors.AsType[*billing.UnknownInvoiceError](err)
			Expect(is).To(BeTrue(), "%v", err)
		}
	})

	It("waits for a job and gives its result", func(ctx SpecContext) {
		month := time.Now().UTC().Format("2006-01")
		job, err := c.CreateMonthlyReport(ctx, billing.CreateMonthlyReportInput{Body: billing.NewMonthlyReport{Month: month}})
		Expect(err).NotTo(HaveOccurred())
		report, err := job.Result(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(report.Month).To(Equal(month))
		Expect(report.Invoices).To(BeNumerically(">", 0))
	})

	It("tells why a job is dead", func(ctx SpecContext) {
		job, err := c.CreateMonthlyReport(ctx, billing.CreateMonthlyReportInput{Body: billing.NewMonthlyReport{Month: "never"}})
		Expect(err).NotTo(HaveOccurred())
		_, err = job.Result(ctx)
		dead, is := errors.AsType[*billing.JobError](err)
		Expect(is).To(BeTrue(), "%v", err)
		Expect(dead.Status.State).To(Equal("dead"))
		Expect(dead).To(MatchError(ContainSubstring("the handler answered 400")))
	})
})

// beProblem matches a problem.
func beProblem(status int, code, origin string) OmegaMatcher {
	return And(HaveField("Status", status), HaveField("Code", code), HaveField("Origin", origin))
}
