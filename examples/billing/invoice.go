package billing

import (
	"fmt"
	"net/http"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// NewInvoice is what a caller says of an invoice to be. The bounds keep every total below 2^53, so that every JSON reader
// keeps it exact: 1000 lines of 100,000 pieces at 100,000.00 each.
type NewInvoice struct {
	Customer string `json:"customer" maxLength:"200"      minLength:"1"   required:"true"`
	Currency string `json:"currency" pattern:"^[A-Z]{3}$" required:"true"` // three capital letters (ISO 4217)
	Lines    []Line `json:"lines"    maxItems:"1000"      minItems:"1"    required:"true"`
}

// Line is one position of an invoice.
type Line struct {
	Description string `json:"description" maxLength:"200"    minLength:"1"       required:"true"`
	Quantity    int64  `json:"quantity"    maximum:"100000"   minimum:"1"         required:"true"`
	UnitCents   int64  `json:"unitCents"   maximum:"10000000" minimum:"-10000000" required:"true"` // the price of one, in hundredths of the currency
}

// Invoice is an invoice.
type Invoice struct {
	ID          string       `json:"id"`
	Customer    string       `json:"customer"`
	Currency    string       `json:"currency"`
	Lines       []Line       `json:"lines"`
	TotalCents  int64        `json:"totalCents"          maximum:"1000000000000000" minimum:"-1000000000000000"`
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
	Type string `json:"type"`                      // its media type, as it was uploaded
	Size int64  `json:"size" maximum:"1073741824"` // in bytes

	at time.Time // when it was attached
}

func (n *NewInvoice) total() int64 {
	var sum int64
	for _, line := range n.Lines {
		sum += line.Quantity * line.UnitCents
	}
	return sum
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

// UnknownInvoiceError says that there is no such invoice.
type UnknownInvoiceError struct {
	ID string `json:"id"`
}

func (e UnknownInvoiceError) Error() string { return fmt.Sprintf("There is no invoice %.60q.", e.ID) }
