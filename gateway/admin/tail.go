package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// tailPing is how often a listener that is told nothing is told that, so that a connection that is gone is noticed.
const tailPing = 15 * time.Second

// tail tells of requests as they end, a line of JSON each, until the operator leaves: all of them, or those of a service
// (service=), at or below a path (path=), and answered with a status of at least status=. A line {"missed":N} says that the
// operator's connection was too slow for N more.
func (h *handler) tail(w http.ResponseWriter, r *http.Request, _ Operator) {
	q := r.URL.Query()
	least := 0
	if text := q.Get("status"); text != "" {
		if err := json.Unmarshal([]byte(text), &least); err != nil {
			http.Error(w, "status: expected a number such as 500", http.StatusBadRequest)
			return
		}
	}
	t, stop := h.cfg.Edge.Listen()
	defer stop()
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	ticker := time.NewTicker(tailPing)
	defer ticker.Stop()
	if control.Flush() != nil {
		return
	}
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-h.cfg.Ended:
			return
		case <-ticker.C:
			_, err = w.Write([]byte("\n"))
		case record := <-t.Records:
			if record.Status < least || q.Has("service") && q.Get("service") != record.Service || !strings.HasPrefix(record.Path, q.Get("path")) {
				continue
			}
			err = enc.Encode(record)
		}
		if missed := t.Missed(); missed > 0 && err == nil {
			err = enc.Encode(map[string]int64{"missed": missed})
		}
		if err != nil || control.Flush() != nil {
			return
		}
	}
}
