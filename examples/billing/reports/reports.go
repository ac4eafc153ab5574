// Package reports is a part of the billing service: it looks at what package billing keeps, and keeps nothing itself.
// It shows how a service grows into several packages, which have one manifest: that of package billing. And it has work
// that may wait: a monthly report is a job, which a queue keeps until somebody has done it.
//
//stella:part of=billing
package reports

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/stella-ops/router/examples/billing"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// Service reports on the invoices of a billing service. Its methods may be called concurrently.
type Service struct{ billing *billing.Service }

// NewService returns a service that reports on the invoices of another.
func NewService(b *billing.Service) *Service { return &Service{b} }

// CurrencyReport tells what is invoiced in which currency.
type CurrencyReport struct {
	Currencies []CurrencyTotal `json:"currencies"` // sorted by currency
}

// CurrencyTotal is about the invoices of one currency.
type CurrencyTotal struct {
	Currency     string `json:"currency"`
	Invoices     int    `json:"invoices"`                                                            // how many there are
	LargestCents int64  `json:"largestCents" maximum:"1000000000000000" minimum:"-1000000000000000"` // the total of the largest, in hundredths of the currency
}

// GetCurrencies sums up all invoices by their currencies.
//
//stella:endpoint GET /reports/currencies
//stella:claim scope billing:read
func (s *Service) GetCurrencies(context.Context) (*CurrencyReport, error) {
	totals := map[string]CurrencyTotal{}
	for _, inv := range s.billing.Invoices() {
		t := totals[inv.Currency]
		totals[inv.Currency] = CurrencyTotal{inv.Currency, t.Invoices + 1, max(t.LargestCents, inv.TotalCents)}
	}
	report := &CurrencyReport{Currencies: []CurrencyTotal{}}
	for _, currency := range slices.Sorted(maps.Keys(totals)) {
		report.Currencies = append(report.Currencies, totals[currency])
	}
	return report, nil
}

// NewMonthlyReport says what to report on.
type NewMonthlyReport struct {
	Month string `json:"month" required:"true"` // such as 2026-11
}

// MonthlyReport tells what was invoiced in a month.
type MonthlyReport struct {
	Month      string         `json:"month"`
	Invoices   int            `json:"invoices"`   // how many were created in it
	Customers  int            `json:"customers"`  // how many got one
	Currencies []MonthlyTotal `json:"currencies"` // sorted by currency
}

// MonthlyTotal is what was invoiced in one currency.
type MonthlyTotal struct {
	Currency string `json:"currency"`
	Invoices int    `json:"invoices"`
	// TotalCents are all of them together, in hundredths of the currency: as text, because JSON's readers keep no number
	// exact that is as large as a month's invoices may be.
	TotalCents string `json:"totalCents"`
}

// monthForm is how a month is written.
const monthForm = "2006-01"

// CreateMonthlyReport sums up the invoices that were created in a month, in UTC. Nobody waits for it: the call is a job,
// tried up to three times. A job may run more than once, and this one may: it changes nothing.
//
//stella:endpoint POST /reports delivery=queue idempotent attempts=3
//stella:claim scope billing:read
func (s *Service) CreateMonthlyReport(ctx context.Context, in *NewMonthlyReport) (*MonthlyReport, error) {
	if _, err := time.Parse(monthForm, in.Month); err != nil {
		return nil, invalidMonth(in.Month)
	}
	report := &MonthlyReport{Month: in.Month, Currencies: []MonthlyTotal{}}
	customers := map[string]bool{}
	counts, sums := map[string]int{}, map[string]*big.Int{}
	for _, inv := range s.billing.Invoices() {
		if err := ctx.Err(); err != nil {
			return nil, err // the attempt's time is up: what comes of it is of no use any more
		}
		if inv.CreatedAt.UTC().Format(monthForm) != in.Month {
			continue
		}
		report.Invoices++
		customers[inv.Customer] = true
		if counts[inv.Currency]++; sums[inv.Currency] == nil {
			sums[inv.Currency] = new(big.Int)
		}
		sums[inv.Currency].Add(sums[inv.Currency], big.NewInt(inv.TotalCents))
	}
	report.Customers = len(customers)
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		report.Currencies = append(report.Currencies, MonthlyTotal{currency, counts[currency], sums[currency].String()})
	}
	return report, nil
}

func invalidMonth(month string) *stella.Error {
	return &stella.Error{
		Status: http.StatusBadRequest, Code: "invalid_input", Message: "The request's input is not right: see errors.",
		Faults: []spec.Fault{{In: spec.InBody, Pointer: "/month", Detail: fmt.Sprintf("expected a year and a month such as 2026-11, got %.20q", month)}},
	}
}
