// Package reports is a part of the billing service: it looks at what package billing keeps, and keeps nothing itself.
// It shows how a service grows into several packages, which have one manifest: that of package billing.
//
//stella:part of=billing
package reports

import (
	"context"
	"maps"
	"slices"

	"github.com/stella-ops/router/examples/billing"
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
	Invoices     int    `json:"invoices"`     // how many there are
	LargestCents int64  `json:"largestCents"` // the total of the largest, in hundredths of the currency
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
