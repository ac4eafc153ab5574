package billing

import (
	"fmt"
	"net/http"
)

// Report is the report of the time before Stella: an unchanged net/http handler.
//
//stella:endpoint GET /legacy/report
//stella:public "two numbers that tell nothing about customers, fetched by a printer that has no token"
func (s *Service) Report(w http.ResponseWriter, _ *http.Request) {
	invoices := s.Invoices()
	attachments := 0
	for _, inv := range invoices {
		attachments += len(inv.Attachments)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "Invoices: %d\nAttachments: %d\n", len(invoices), attachments) // a caller who has left misses nothing
}
