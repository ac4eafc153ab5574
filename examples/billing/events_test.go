package billing

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A watcher", func() {
	const id = "inv-1"
	var s *Service

	BeforeEach(func() {
		var err error
		s, err = NewService(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
		s.invoices.add(Invoice{ID: id})
		s.invoices.add(Invoice{ID: "inv-2"})
	})

	attach := func(id, name string) {
		GinkgoHelper()
		_, err := s.invoices.attach(id, Attachment{Name: name}, func() error { return nil })
		Expect(err).NotTo(HaveOccurred())
	}

	// watch returns the next event: its type and what was attached, or the error that ends the sequence.
	watch := func(ctx context.Context) (next func() (string, error, bool), stop func()) {
		GinkgoHelper()
		seq, err := s.Watch(ctx, &GetInvoiceRequest{ID: id})
		Expect(err).NotTo(HaveOccurred())
		pull, stop := iter.Pull2(seq)
		return func() (string, error, bool) {
			e, err, more := pull()
			if e.Attachment != nil {
				return string(e.Type) + " " + e.Attachment.Name, err, more
			}
			return string(e.Type), err, more
		}, stop
	}

	expect := func(next func() (string, error, bool), want string) {
		GinkgoHelper()
		got, err, more := next()
		Expect(err).NotTo(HaveOccurred())
		Expect(more).To(BeTrue())
		Expect(got).To(Equal(want))
	}

	It("sees what has happened in its order, then what happens to its invoice alone", func(ctx SpecContext) {
		attach(id, "b")
		attach(id, "a")
		next, stop := watch(ctx)
		defer stop()
		expect(next, "created")
		attach("inv-2", "other")
		attach(id, "c")
		attach(id, "b")
		for _, want := range []string{"attached b", "attached a", "attached c", "attached b"} {
			expect(next, want)
		}
	})

	It("is forgotten when its caller leaves, and only it", func(ctx SpecContext) {
		first, stopFirst := watch(ctx)
		second, stopSecond := watch(ctx)
		expect(first, "created")
		expect(second, "created")
		Expect(s.invoices.status().Watchers).To(Equal(2))
		stopFirst()
		Expect(s.invoices.status().Watchers).To(Equal(1))
		attach(id, "a")
		expect(second, "attached a")
		stopSecond()
		Expect(s.invoices.status().Watchers).To(BeZero())
		Expect(s.invoices.watchers.of).To(BeEmpty())
	})

	It("that is too slow gets what was queued and is told so; others, and who attaches, do not wait for it", func(ctx SpecContext) {
		slow, stopSlow := watch(ctx)
		defer stopSlow()
		quick, stopQuick := watch(ctx)
		defer stopQuick()
		expect(slow, "created")
		expect(quick, "created")
		for i := range watchQueue + 2 {
			attach(id, strconv.Itoa(i))
			expect(quick, fmt.Sprint("attached ", i))
		}
		Expect(s.invoices.status().Watchers).To(Equal(1))
		for i := range watchQueue {
			expect(slow, fmt.Sprint("attached ", i))
		}
		_, err, _ := slow()
		Expect(err).To(Equal(SlowWatcherError{}))
		_, _, more := slow()
		Expect(more).To(BeFalse())
	})

	It("ends with its context", func(ctx SpecContext) {
		watching, leave := context.WithCancel(ctx)
		next, stop := watch(watching)
		defer stop()
		expect(next, "created")
		leave()
		_, err, _ := next()
		Expect(err).To(MatchError(context.Canceled))
		_, _, more := next()
		Expect(more).To(BeFalse())
		Expect(s.invoices.status().Watchers).To(BeZero())
	})

	It("ends without an error when the service stops, also when it comes later", func(ctx SpecContext) {
		next, stop := watch(ctx)
		defer stop()
		expect(next, "created")
		attach(id, "a")
		s.EndWatches()
		expect(next, "attached a")
		_, _, more := next()
		Expect(more).To(BeFalse())
		Expect(s.invoices.status().Watchers).To(BeZero())

		late, stopLate := watch(ctx)
		defer stopLate()
		expect(late, "created")
		expect(late, "attached a")
		_, _, more = late()
		Expect(more).To(BeFalse())
		attach(id, "b")
	})
})
