// Package orders has one endpoint: three parameters, and a body of about a kibibyte. It is what benchmarks call.
//
//stella:service orders version=1.0.0
package orders

import (
	"context"
	"time"
)

// Place is what a caller orders.
type Place struct {
	Customer string    `path:"customer"`
	DryRun   bool      `query:"dryRun"`
	Key      string    `header:"Idempotency-Key"`
	Currency string    `json:"currency" enum:"CHF,EUR,USD" required:"true"`
	Note     string    `json:"note,omitempty" maxLength:"200"`
	Due      time.Time `json:"due" required:"true"`
	Lines    []Line    `json:"lines" maxItems:"100" minItems:"1" required:"true"`
}

// Line is one thing that is ordered.
type Line struct {
	SKU      string `json:"sku" maxLength:"20" minLength:"1" required:"true"`
	Text     string `json:"text" maxLength:"100"`
	Quantity int    `json:"quantity" maximum:"1000" minimum:"1" required:"true"`
	Cents    int64  `json:"cents" minimum:"0" required:"true"`
	Gift     bool   `json:"gift"`
}

// Order is what is stored.
type Order struct {
	ID       string    `json:"id"`
	Customer string    `json:"customer"`
	Currency string    `json:"currency"`
	Due      time.Time `json:"due"`
	Cents    int64     `json:"cents"`
	Lines    []Line    `json:"lines"`
}

// PlaceOrder takes an order.
//
//stella:endpoint POST /customers/{customer}/orders status=201
//stella:public "a benchmark"
func PlaceOrder(_ context.Context, in *Place) (*Order, error) {
	return Serve(in), nil
}

// Serve is what both sides do with an order.
func Serve(in *Place) *Order {
	o := &Order{ID: in.Key, Customer: in.Customer, Currency: in.Currency, Due: in.Due, Lines: in.Lines}
	for _, line := range in.Lines {
		o.Cents += int64(line.Quantity) * line.Cents
	}
	return o
}
