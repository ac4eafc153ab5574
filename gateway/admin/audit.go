package admin

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// kept is how many changes are kept for operators to see. The log has all.
const kept = 1000

// Change is one change that an operator has made, or tried to.
type Change struct {
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Role   string    `json:"role"`
	Action string    `json:"action"`
	Target string    `json:"target"`
	Error  string    `json:"error,omitempty"` // why nothing was done
}

// Audit writes changes down. It may be used concurrently.
type Audit struct {
	log *slog.Logger

	mu      sync.Mutex
	changes []Change // the newest last
}

// NewAudit writes to a log, too.
func NewAudit(log *slog.Logger) *Audit { return &Audit{log: log} }

func (a *Audit) add(who Operator, action, target string, err error) {
	c := Change{At: time.Now().UTC(), Who: who.Name, Role: who.Role.String(), Action: action, Target: target}
	if err != nil {
		c.Error = err.Error()
	}
	a.log.Info("operator", "who", c.Who, "role", c.Role, "action", action, "target", target, "error", c.Error)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.changes) == kept {
		a.changes = append(a.changes[:0], a.changes[1:]...)
	}
	a.changes = append(a.changes, c)
}

// turnedAway writes down that a change was refused before it was known who asks.
func (a *Audit) turnedAway(r *http.Request, err error) {
	a.log.Warn("a change was refused", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "error", err)
}

// Changes lists the changes, the newest first.
func (a *Audit) Changes() []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Change, len(a.changes))
	for i, c := range a.changes {
		list[len(list)-1-i] = c
	}
	return list
}
