package billing

import (
	"fmt"
	"net/http"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// NewInvoice is what a caller says of an invoice to be.
type NewInvoice struct {
	Customer string `json:"customer" required:"true"`
	Currency string `json:"currency" required:"true"` // three capital letters (ISO 4217)
	Lines    []Line `json:"lines"    required:"true"` // at least one
}

// Line is one position of an invoice.
type Line struct {
	Description string `json:"description" required:"true"`
	Quantity    int64  `json:"quantity"    required:"true"` // 1 and more
	UnitCents   int64  `json:"unitCents"   required:"true"` // the price of one, in hundredths of the currency
}

// Invoice is an invoice.
type Invoice struct {
	ID          string       `json:"id"`
	Customer    string       `json:"customer"`
	Currency    string       `json:"currency"`
	Lines       []Line       `json:"lines"`
	TotalCents  int64        `json:"totalCents"`
	CreatedAt   time.Time    `json:"createdAt"`
	CreatedBy   string       `json:"createdBy,omitempty"` // the subject of the caller
	Attachments []Attachment `json:"attachments"`         // sorted by name
}

// CreatedInvoice is a new invoice and where it is.
type CreatedInvoice struct {
	Invoice

	Location string `header:"Location" json:"-"`
}

// Attachment is a file that belongs to an invoice.
type Attachment struct {
	Name string `json:"name"`
	Type string `json:"type"` // its media type, as it was uploaded
	Size int64  `json:"size"` // in bytes

	at time.Time // when it was attached
}

// Bounds of an invoice. They keep every total below 2^53, so that every JSON reader keeps it exact.
const (
	maxLines    = 1000
	maxText     = 200 // characters of a customer's name, and of a description
	maxQuantity = 100_000
	maxCents    = 100_000_00
)

// check reports everything about the invoice that binding does not know to be wrong.
func (n *NewInvoice) check() error {
	var faults []spec.Fault
	fault := func(pointer, format string, args ...any) {
		faults = append(faults, spec.Fault{In: spec.InBody, Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	if l := len(n.Customer); l < 1 || l > maxText {
		fault("/customer", "expected 1 to %d bytes, got %d", maxText, l)
	}
	if !currency(n.Currency) {
		fault("/currency", "expected three capital letters such as EUR, got %.10q", n.Currency)
	}
	if l := len(n.Lines); l < 1 || l > maxLines {
		fault("/lines", "expected 1 to %d lines, got %d", maxLines, l)
		return invalid(faults...)
	}
	for i, line := range n.Lines {
		at := fmt.Sprintf("/lines/%d", i)
		if l := len(line.Description); l < 1 || l > maxText {
			fault(at+"/description", "expected 1 to %d bytes, got %d", maxText, l)
		}
		if line.Quantity < 1 || line.Quantity > maxQuantity {
			fault(at+"/quantity", "expected 1 to %d, got %d", maxQuantity, line.Quantity)
		}
		if line.UnitCents < -maxCents || line.UnitCents > maxCents {
			fault(at+"/unitCents", "expected %d to %d, got %d", -maxCents, maxCents, line.UnitCents)
		}
	}
	if len(faults) > 0 {
		return invalid(faults...)
	}
	return nil
}

const _ = uint64(1<<53 - maxLines*maxQuantity*maxCents) // does not compile when it is negative

func (n *NewInvoice) total() int64 {
	var sum int64
	for _, line := range n.Lines {
		sum += line.Quantity * line.UnitCents
	}
	return sum
}

func currency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// invalid is the error of an input with these faults: the same answer as of a fault that binding finds.
func invalid(faults ...spec.Fault) *stella.Error {
	return &stella.Error{
		Status: http.StatusBadRequest, Code: "invalid_input", Message: "The request's input is not right: see errors.",
		Faults: faults,
	}
}

func inQuery(name, detail string) spec.Fault {
	return spec.Fault{In: spec.InQuery, Parameter: name, Detail: detail}
}

func unknownInvoice(id string) *stella.Error {
	return stella.NewError(http.StatusNotFound, "unknown_invoice", fmt.Sprintf("There is no invoice %.60q.", id))
}
