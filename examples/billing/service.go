// Package billing keeps invoices, and files attached to them. It is the tour of Stella Router: typed handlers with
// JSON bodies, path and query parameters, claims, errors that callers can work with, streams of bytes in both directions,
// a stream of events, a net/http handler as it was, and a second package of the same service: reports, one of which is
// made by a job.
//
// Invoices are kept in memory and end with the process; attachments are files in a directory.
//
//stella:service billing version=1.4.0 owner=billing-team
package billing

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	stella "github.com/stella-ops/router/runtime"
)

// Service serves the endpoints. Its methods may be called concurrently.
type Service struct {
	invoices invoices
	files    *files
}

// NewService returns a service without invoices, which keeps attachments under the directory dir. It makes the
// directory where there is none. Close it when it is not used any more.
func NewService(dir string) (*Service, error) {
	f, err := openFiles(dir)
	if err != nil {
		return nil, err
	}
	return &Service{files: f}, nil
}

// Close releases the directory. Attachments stay.
func (s *Service) Close() error { return s.files.close() }

// CreateInvoice stores a new invoice.
//
//stella:endpoint POST /invoices status=201 timeout=5s slo=99.9 within=300ms
//stella:claim scope billing:write
func (s *Service) CreateInvoice(ctx context.Context, in *NewInvoice) (*CreatedInvoice, error) {
	inv := Invoice{
		ID: newID(), Customer: in.Customer, Currency: in.Currency, Lines: in.Lines,
		TotalCents: in.total(), CreatedAt: time.Now().UTC(), Attachments: []Attachment{},
	}
	if r := stella.RequestFromContext(ctx); r != nil && r.Identity != nil {
		inv.CreatedBy = r.Identity.Subject
	}
	s.invoices.add(inv)
	return &CreatedInvoice{Invoice: inv, Location: "/invoices/" + inv.ID}, nil
}

// newID is unguessable, so that it tells nothing about other customers' invoices.
func newID() string { return "inv-" + strings.ToLower(rand.Text()) }

// GetInvoiceRequest names an invoice.
type GetInvoiceRequest struct {
	ID string `path:"id"`
}

// GetInvoice finds one invoice.
//
//stella:endpoint GET /invoices/{id} slo=99.95 errors=UnknownInvoiceError:404
//stella:claim scope billing:read
func (s *Service) GetInvoice(_ context.Context, in *GetInvoiceRequest) (*Invoice, error) {
	inv, ok := s.invoices.get(in.ID)
	if !ok {
		return nil, UnknownInvoiceError{in.ID}
	}
	return &inv, nil
}

// ListInvoicesRequest chooses invoices.
type ListInvoicesRequest struct {
	Customer string `query:"customer"`                                         // only of this customer
	Limit    int    `default:"20"     maximum:"100" minimum:"1" query:"limit"` // at most so many
	After    string `query:"after"`                                            // those that follow this one: the id that the page before gave as next
}

// InvoicePage is a part of a list.
type InvoicePage struct {
	Invoices []Invoice `json:"invoices"`
	Next     string    `json:"next,omitempty"` // pass it as after to get the next page; empty on the last
}

// ListInvoices lists invoices in the order in which they were created, page by page.
//
//stella:endpoint GET /invoices
//stella:claim scope billing:read
func (s *Service) ListInvoices(_ context.Context, in *ListInvoicesRequest) (*InvoicePage, error) {
	page, ok := s.invoices.page(in.Customer, in.After, in.Limit)
	if !ok {
		return nil, invalid(inQuery("after", fmt.Sprintf("expected the next of an earlier page, got %.40q", in.After)))
	}
	return page, nil
}

// Status says how the service does.
type Status struct {
	Invoices int `json:"invoices"` // how many there are
	Watchers int `json:"watchers"` // how many callers follow one
}

// GetStatus tells that the service is there.
//
//stella:endpoint GET /billing/status
//stella:public "numbers tell nothing about customers"
func (s *Service) GetStatus(context.Context) (*Status, error) {
	status := s.invoices.status()
	return &status, nil
}

// Invoices returns all invoices as they are now, in the order in which they were created. They are the caller's own.
func (s *Service) Invoices() []Invoice { return s.invoices.all() }
