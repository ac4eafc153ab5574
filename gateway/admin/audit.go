package admin

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// kept is how many changes are kept for operators to see. The log has all.
const kept = 1000

// Change is one change that an operator has made, or something else, or that either has tried to.
type Change struct {
	At     time.Time `json:"at"`
	Who    string    `json:"who"`            // an operator's name, or what has brought it about: SIGHUP, or a file that has changed
	Role   string    `json:"role,omitempty"` // an operator's
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

// add writes down what an operator has done.
func (a *Audit) add(who Operator, action, target string, err error) {
	c := changed(who.Name, action, target, err)
	c.Role = who.Role.String()
	a.log.Info("operator", "who", c.Who, "role", c.Role, "action", action, "target", target, "error", c.Error)
	a.keep(c)
}

// Note writes down what no operator has done by this address.
func (a *Audit) Note(cause, action, target string, err error) {
	c := changed(cause, action, target, err)
	a.log.Info("change", "who", c.Who, "action", action, "target", target, "error", c.Error)
	a.keep(c)
}

func changed(who, action, target string, err error) Change {
	c := Change{At: time.Now().UTC(), Who: who, Action: action, Target: target}
	if err != nil {
		c.Error = err.Error()
	}
	return c
}

func (a *Audit) keep(c Change) {
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
