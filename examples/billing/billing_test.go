package billing_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/examples/billing"
	"github.com/stella-ops/router/examples/billing/reports"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

func TestBilling(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Billing")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

const newInvoice = `{"customer":"acme","currency":"EUR","lines":[{"description":"hours","quantity":3,"unitCents":12500}]}`

var _ = Describe("Billing", func() {
	var (
		s   *stellatest.Service
		dir string
	)

	BeforeEach(func() {
		before := gleak.Goroutines()
		dir = GinkgoT().TempDir()
		service, err := billing.NewService(filepath.Join(dir, "data"))
		Expect(err).NotTo(HaveOccurred())
		s, err = stellatest.Start(context.Background(), billing.Manifest, billing.Endpoints(billing.Handlers{Service: service}),
			reports.Endpoints(reports.Handlers{Service: reports.NewService(service)}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			Expect(s.Close()).To(Succeed())
			Expect(service.Close()).To(Succeed())
			Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
		})
	})

	call := func(r stellatest.Request) *stellatest.Response {
		GinkgoHelper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		answer, err := s.Call(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		return answer
	}

	// get makes a call whose answer must be 200, and decodes it.
	get := func(path string, v any) {
		GinkgoHelper()
		r := call(stellatest.Request{Path: path})
		Expect(r.Status).To(Equal(200), string(r.Body))
		Expect(json.Unmarshal(r.Body, v)).To(Succeed())
	}

	create := func(body string) billing.Invoice {
		GinkgoHelper()
		r := call(stellatest.Request{Method: "POST", Path: "/invoices", Body: []byte(body), Identity: &spec.Identity{Subject: "ann"}})
		Expect(r.Status).To(Equal(201), string(r.Body))
		var inv billing.Invoice
		Expect(json.Unmarshal(r.Body, &inv)).To(Succeed())
		Expect(r.Header.Get("Location")).To(Equal("/invoices/" + inv.ID))
		return inv
	}

	problem := func(r *stellatest.Response) spec.Problem {
		GinkgoHelper()
		var p spec.Problem
		Expect(json.Unmarshal(r.Body, &p)).To(Succeed())
		Expect(p.Status).To(Equal(r.Status))
		return p
	}

	Describe("an invoice", func() {
		It("is created with its total and its author, and found again", func() {
			inv := create(`{"customer":"acme","currency":"EUR","lines":[
				{"description":"hours","quantity":3,"unitCents":12500},{"description":"discount","quantity":1,"unitCents":-500}]}`)
			Expect(inv.TotalCents).To(BeEquivalentTo(37_000))
			Expect(inv.CreatedBy).To(Equal("ann"))
			Expect(inv.CreatedAt).To(BeTemporally("~", time.Now(), patience))
			var found billing.Invoice
			get("/invoices/"+inv.ID, &found)
			Expect(found).To(Equal(inv))
			var status billing.Status
			get("/billing/status", &status)
			Expect(status.Invoices).To(Equal(1))
		})

		It("that is wrong is refused with every fault", func() {
			r := call(stellatest.Request{Method: "POST", Path: "/invoices", Body: []byte(`{"customer":"","currency":"euro","lines":[
				{"description":"","quantity":0,"unitCents":1},{"description":"x","quantity":1,"unitCents":999999999999}]}`)})
			Expect(r.Status).To(Equal(400))
			var pointers []string
			for _, f := range problem(r).Errors {
				pointers = append(pointers, f.Pointer)
			}
			Expect(pointers).To(ConsistOf("/customer", "/currency", "/lines/0/description", "/lines/0/quantity", "/lines/1/unitCents"))
		})

		DescribeTable("that lacks something is refused", func(body, pointer string) {
			r := call(stellatest.Request{Method: "POST", Path: "/invoices", Body: []byte(body)})
			Expect(r.Status).To(Equal(400))
			Expect(problem(r).Errors).To(ContainElement(HaveField("Pointer", pointer)))
		},
			Entry("a customer", `{"currency":"EUR","lines":[]}`, "/customer"),
			Entry("lines", `{"customer":"acme","currency":"EUR","lines":[]}`, "/lines"),
			Entry("a price", `{"customer":"acme","currency":"EUR","lines":[{"description":"x","quantity":1}]}`, "/lines/0/unitCents"),
		)

		It("that is unknown is a 404", func() {
			r := call(stellatest.Request{Path: "/invoices/inv-none"})
			Expect(r.Status).To(Equal(404))
			Expect(problem(r).Code).To(Equal("unknown_invoice"))
		})
	})

	Describe("the list", func() {
		It("goes page by page through one customer's invoices, oldest first", func() {
			var want []string
			for i := range 5 {
				want = append(want, create(newInvoice).ID)
				create(fmt.Sprintf(`{"customer":"other","currency":"EUR","lines":[{"description":"n","quantity":%d,"unitCents":1}]}`, i+1))
			}
			var got []string
			after, pages := "", 0
			for {
				var page billing.InvoicePage
				get("/invoices?customer=acme&limit=2&after="+after, &page)
				pages++
				for _, inv := range page.Invoices {
					got = append(got, inv.ID)
				}
				if page.Next == "" {
					break
				}
				after = page.Next
			}
			Expect(got).To(Equal(want))
			Expect(pages).To(Equal(3))
		})

		It("has 20 invoices on a page, of all customers, and no next on the last", func() {
			for range 21 {
				create(newInvoice)
			}
			var page billing.InvoicePage
			get("/invoices", &page)
			Expect(page.Invoices).To(HaveLen(20))
			Expect(page.Next).To(Equal(page.Invoices[19].ID))
			get("/invoices?after="+page.Next, &page)
			Expect(page.Invoices).To(HaveLen(1))
		})

		It("is an empty array when there is nothing", func() {
			r := call(stellatest.Request{Path: "/invoices?customer=nobody"})
			Expect(string(r.Body)).To(Equal(`{"invoices":[]}`))
		})

		DescribeTable("refuses", func(query, parameter string) {
			r := call(stellatest.Request{Path: "/invoices?" + query})
			Expect(r.Status).To(Equal(400))
			Expect(problem(r).Errors).To(ConsistOf(HaveField("Parameter", parameter)))
		},
			Entry("a limit of nothing", "limit=0", "limit"),
			Entry("too high a limit", "limit=101", "limit"),
			Entry("a limit that is no number", "limit=x", "limit"),
			Entry("an unknown invoice to go on after", "after=inv-none", "after"),
		)
	})

	Describe("the events of an invoice", func() {
		open := func(ctx context.Context, id, accept string) *stellatest.Stream {
			GinkgoHelper()
			st, err := s.Open(ctx, stellatest.Request{Path: "/invoices/" + id + "/events", Header: stella.Header{{Name: "Accept", Value: accept}}})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(st.Close)
			Expect(st.Status).To(Equal(200))
			Expect(st.Header.Get("Content-Type")).To(Equal(accept))
			return st
		}

		attach := func(id string) {
			GinkgoHelper()
			Expect(call(stellatest.Request{Method: "PUT", Path: "/invoices/" + id + "/attachments/a", Body: []byte("x")}).Status).To(BeNumerically("<", 300))
		}

		It("come while they happen, as lines of JSON", func(ctx SpecContext) {
			inv := create(newInvoice)
			next := lines(open(ctx, inv.ID, "application/x-ndjson"))
			var e billing.Event
			Expect(json.Unmarshal([]byte(next()), &e)).To(Succeed())
			Expect(e).To(Equal(billing.Event{Type: billing.EventCreated, Invoice: inv.ID, At: inv.CreatedAt}))
			attach(inv.ID)
			Expect(json.Unmarshal([]byte(next()), &e)).To(Succeed())
			Expect(e.Type).To(Equal(billing.EventAttached))
			Expect(e.Attachment).To(HaveValue(Equal(billing.Attachment{Name: "a", Type: "application/octet-stream", Size: 1})))
		}, NodeTimeout(patience))

		It("come as an event stream, and end when the caller has left", func(ctx SpecContext) {
			inv := create(newInvoice)
			st := open(ctx, inv.ID, "text/event-stream")
			next := lines(st)
			Expect(next()).To(HavePrefix(`data: {"type":"created","invoice":"` + inv.ID + `"`))
			Expect(next()).To(Equal("\n"))
			attach(inv.ID)
			Expect(next()).To(HavePrefix(`data: {"type":"attached"`))
			watchers := func() int {
				var status billing.Status
				get("/billing/status", &status)
				return status.Watchers
			}
			Expect(watchers()).To(Equal(1))
			st.Close()
			Eventually(watchers).WithTimeout(patience).Should(BeZero())
		}, NodeTimeout(patience))

		It("of an unknown invoice are a 404", func() {
			r := call(stellatest.Request{Path: "/invoices/inv-none/events"})
			Expect(r.Status).To(Equal(404))
			Expect(problem(r).Code).To(Equal("unknown_invoice"))
		})
	})

	Describe("a report", func() {
		It("of another package tells what is invoiced in which currency", func() {
			var report reports.CurrencyReport
			get("/reports/currencies", &report)
			Expect(report.Currencies).To(BeEmpty())
			create(newInvoice)
			create(`{"customer":"acme","currency":"CHF","lines":[{"description":"n","quantity":1,"unitCents":5}]}`)
			create(`{"customer":"other","currency":"EUR","lines":[{"description":"n","quantity":1,"unitCents":5}]}`)
			get("/reports/currencies", &report)
			Expect(report.Currencies).To(Equal([]reports.CurrencyTotal{
				{Currency: "CHF", Invoices: 1, LargestCents: 5}, {Currency: "EUR", Invoices: 2, LargestCents: 37_500},
			}))
		})

		Describe("of a month", func() {
			order := func(month string) *stellatest.Response {
				GinkgoHelper()
				return call(stellatest.Request{Method: "POST", Path: "/reports", Body: []byte(`{"month":"` + month + `"}`)})
			}

			It("is a job, which is tried three times", func() {
				m, err := spec.ParseManifest([]byte(billing.Manifest.JSON))
				Expect(err).NotTo(HaveOccurred())
				i := slices.IndexFunc(m.Endpoints, func(e spec.Endpoint) bool { return e.Path == "/reports" })
				Expect(i).To(BeNumerically(">=", 0))
				Expect(m.Endpoints[i].Queue).To(HaveValue(Equal(spec.Queueing{Attempts: 3, LeaseMS: spec.DefaultQueueing.LeaseMS})))
			})

			It("sums up what was invoiced in it, and is the same when the job runs again", func() {
				months := map[string]bool{}
				for _, body := range []string{
					newInvoice, newInvoice,
					`{"customer":"other","currency":"CHF","lines":[{"description":"n","quantity":1,"unitCents":5}]}`,
				} {
					months[create(body).CreatedAt.UTC().Format("2006-01")] = true
				}
				Expect(months).To(HaveLen(1), "the month ended while this test ran: run it again")
				for month := range months {
					for range 2 {
						r := order(month)
						Expect(r.Status).To(Equal(200), string(r.Body))
						var report reports.MonthlyReport
						Expect(json.Unmarshal(r.Body, &report)).To(Succeed())
						Expect(report).To(Equal(reports.MonthlyReport{
							Month: month, Invoices: 3, Customers: 2, Currencies: []reports.MonthlyTotal{
								{Currency: "CHF", Invoices: 1, TotalCents: "5"}, {Currency: "EUR", Invoices: 2, TotalCents: "75000"},
							},
						}))
					}
				}
			})

			It("without invoices says so", func() {
				create(newInvoice)
				r := order("1999-12")
				Expect(r.Status).To(Equal(200))
				Expect(string(r.Body)).To(Equal(`{"month":"1999-12","invoices":0,"customers":0,"currencies":[]}`))
			})

			DescribeTable("that is none is refused", func(month string) {
				r := order(month)
				Expect(r.Status).To(Equal(400))
				Expect(problem(r).Errors).To(ConsistOf(HaveField("Pointer", "/month")))
			},
				Entry(nil, ""), Entry(nil, "2026"), Entry(nil, "2026-13"), Entry(nil, "2026-11-01"), Entry(nil, "November"),
			)
		})

		It("of the time before is what it always was", func() {
			create(newInvoice)
			r := call(stellatest.Request{Path: "/legacy/report"})
			Expect(r.Status).To(Equal(200))
			Expect(r.Header.Get("Content-Type")).To(Equal("text/plain; charset=utf-8"))
			Expect(string(r.Body)).To(Equal("Invoices: 1\nAttachments: 0\n"))
		})
	})

	Describe("an attachment", func() {
		put := func(path, contentType string, body []byte) *stellatest.Response {
			GinkgoHelper()
			r := stellatest.Request{Method: "PUT", Path: path, Body: body}
			if contentType != "" {
				r.Header.Set("Content-Type", contentType)
			}
			return call(r)
		}

		// onDisk are the names of all files under the data directory.
		onDisk := func() []string {
			GinkgoHelper()
			var names []string
			Expect(filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					names = append(names, d.Name())
				}
				return err
			})).To(Succeed())
			return names
		}

		DescribeTable("is stored, listed with its invoice, and answered as it came", func(size int) {
			inv := create(newInvoice)
			body := bytes.Repeat([]byte("0123456789"), size/10)
			r := put("/invoices/"+inv.ID+"/attachments/scan.pdf", "application/pdf", body)
			Expect(r.Status).To(Equal(201), string(r.Body))
			want := billing.Attachment{Name: "scan.pdf", Type: "application/pdf", Size: int64(size)}
			var stored billing.Attachment
			Expect(json.Unmarshal(r.Body, &stored)).To(Succeed())
			Expect(stored).To(Equal(want))

			var found billing.Invoice
			get("/invoices/"+inv.ID, &found)
			Expect(found.Attachments).To(Equal([]billing.Attachment{want}))

			r = call(stellatest.Request{Path: "/invoices/" + inv.ID + "/attachments/scan.pdf"})
			Expect(r.Status).To(Equal(200))
			Expect(r.Header.Get("Content-Type")).To(Equal("application/pdf"))
			Expect(r.Header.Get("X-Content-Type-Options")).To(Equal("nosniff"))
			Expect(r.ContentLength).To(BeEquivalentTo(size))
			Expect(bytes.Equal(r.Body, body)).To(BeTrue())
			Expect(onDisk()).To(ConsistOf("scan.pdf"))
		},
			Entry("when it is empty", 0),
			Entry("when it is small", 1000),
			Entry("when it is large", 3_000_000),
		)

		It("is replaced by another of its name; others stay", func() {
			at := "/invoices/" + create(newInvoice).ID + "/attachments/"
			Expect(put(at+"b", "text/plain", []byte("old")).Status).To(Equal(201))
			Expect(put(at+"a", "", []byte("other")).Status).To(Equal(201))
			Expect(put(at+"b", "text/html", []byte("newer")).Status).To(Equal(200))
			r := call(stellatest.Request{Path: at + "b"})
			Expect(string(r.Body)).To(Equal("newer"))
			Expect(r.Header.Get("Content-Type")).To(Equal("text/html"))
			r = call(stellatest.Request{Path: at + "a"})
			Expect(string(r.Body)).To(Equal("other"))
			Expect(r.Header.Get("Content-Type")).To(Equal("application/octet-stream"))
			Expect(onDisk()).To(ConsistOf("a", "b"))
		})

		It("answers HEAD without its bytes", func() {
			at := "/invoices/" + create(newInvoice).ID + "/attachments/a"
			Expect(put(at, "text/plain", make([]byte, 100_000)).Status).To(Equal(201))
			r := call(stellatest.Request{Method: "HEAD", Path: at})
			Expect(r.ContentLength).To(BeEquivalentTo(100_000))
			Expect(r.Body).To(BeEmpty())
		})

		DescribeTable("has a name that leads nowhere else", func(name string) {
			at := "/invoices/" + create(newInvoice).ID + "/attachments/"
			r := put(at+name, "text/plain", []byte("x"))
			Expect(r.Status).To(Equal(400))
			Expect(problem(r).Errors).To(ConsistOf(HaveField("Parameter", "name")))
			Expect(call(stellatest.Request{Path: at + name}).Status).To(Equal(400))
			Expect(onDisk()).To(BeEmpty())
		},
			Entry("not to its parent", "%2e%2e"),
			Entry("not to itself", "."),
			Entry("not to a hidden file", ".upload-x"),
			Entry("not through slashes", "..%2f..%2fpasswd"),
			Entry("not through backslashes", "..%5cpasswd"),
			Entry("not through a NUL", "a%00b"),
			Entry("not by its length", string(bytes.Repeat([]byte("x"), 129))),
		)

		It("of an unknown invoice is a 404 and leaves nothing", func() {
			Expect(problem(put("/invoices/inv-none/attachments/a", "", []byte("x"))).Code).To(Equal("unknown_invoice"))
			Expect(problem(call(stellatest.Request{Path: "/invoices/inv-none/attachments/a"})).Code).To(Equal("unknown_invoice"))
			Expect(onDisk()).To(BeEmpty())
		})

		It("that is unknown is a 404", func() {
			at := "/invoices/" + create(newInvoice).ID + "/attachments/a"
			Expect(problem(call(stellatest.Request{Path: at})).Code).To(Equal("unknown_attachment"))
		})
	})
})

// lines reads a stream line by line.
func lines(st *stellatest.Stream) func() string {
	r := bufio.NewReader(st)
	return func() string {
		GinkgoHelper()
		line, err := r.ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		return line
	}
}

var _ = Describe("NewService", func() {
	It("fails where there cannot be a directory", func() {
		file := filepath.Join(GinkgoT().TempDir(), "file")
		Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
		_, err := billing.NewService(filepath.Join(file, "data"))
		Expect(err).To(MatchError(ContainSubstring("data directory")))
	})

	It("is missed by name when it is not given, and so is a part", func() {
		_, err := stellatest.Start(context.Background(), billing.Manifest, billing.Endpoints(billing.Handlers{}))
		Expect(err).To(MatchError(And(
			ContainSubstring("billing.Handlers.Service is nil"),
			ContainSubstring("nothing serves GET /reports/currencies of billing"),
		)))
	})
})
