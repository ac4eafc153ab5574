// Package admin serves what operators ask of a gateway: whether it is alive and ready, who is connected, what is routed, what
// is in flight, the configuration, metrics and profiles; and it lets them change what is going on: end a request, take an
// instance out of routing, have the configuration read anew.
//
// Who may do what is a matter of roles; every change is written down. The package decides nothing itself: what it shows and
// does is given to it. Start reading at [Handler].
package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/catalog"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
)

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = time.Minute
	maxBody           = 64 << 10 // bytes of a request's
)

// Config is what a [Handler] needs.
type Config struct {
	Access   Access
	Audit    *Audit
	Registry *routing.Registry
	Edge     *edge.Edge
	// Ready says why the gateway takes on no requests; nil: it does.
	Ready func() error
	// Awaiting reports whether nobody passes, since the authority has not been reached.
	Awaiting func() bool
	// Ended is closed when the gateway ends: whoever listens is sent away.
	Ended <-chan struct{}
	// Configuration is what is in force, where it came from, and why the file is not. Nil: there is none.
	Configuration func() any
	// Reload reads the configuration anew; its error is why it was refused. Nil: it cannot be.
	Reload func() error
	// Restart has another process take this one's place; its error is why none did. Nil: it cannot.
	Restart func() error
	// Catalog has the documents that callers read. Nil: there are none.
	Catalog *catalog.Catalog
	// Verifier knows the issuers of tokens. Nil: there are none.
	Verifier *auth.Verifier
	// Authority says who may call what from outside. Nil: nobody does.
	Authority *auth.Authority
	// Limiter holds the limits.
	Limiter *limit.Limiter
	// Metrics serves /metrics. Nil: there are none.
	Metrics http.Handler
}

// Handler returns the admin address's handler.
func Handler(cfg Config) http.Handler {
	h := &handler{cfg: cfg, mux: http.NewServeMux()}
	h.health()
	h.views()
	h.changes()
	h.profiles()
	return h
}

// Server returns a server for the handler.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout}
}

type handler struct {
	cfg Config
	mux *http.ServeMux
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.cfg.Access.checkHost(r); err != nil {
		http.Error(w, err.Error(), http.StatusMisdirectedRequest)
		return
	}
	if err := checkOrigin(r); err != nil {
		h.cfg.Audit.turnedAway(r, err)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	h.mux.ServeHTTP(w, r)
}

// health is for whoever starts and stops the gateway: it tells nothing that needs a token.
func (h *handler) health() {
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	h.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.cfg.Ready(); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error())
		} else {
			say(w, http.StatusOK, "ready")
		}
	})
}

// handle serves a pattern to operators of at least a role.
func (h *handler) handle(pattern string, least Role, serve func(w http.ResponseWriter, r *http.Request, who Operator)) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, err := h.cfg.Access.operator(r)
		switch {
		case err != nil:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case who.Role < least:
			http.Error(w, fmt.Sprintf("%s has the role %s, and this needs %s", who.Name, who.Role, least), http.StatusForbidden)
		default:
			serve(w, r, who)
		}
	})
}

// view serves what a function gives as JSON.
func (h *handler) view(pattern string, get func() (any, error)) {
	h.handle(pattern, Viewer, func(w http.ResponseWriter, _ *http.Request, _ Operator) {
		v, err := get()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		show(w, v)
	})
}

func (h *handler) views() {
	h.view("GET /v1/services", func() (any, error) { return map[string]any{"services": h.cfg.Registry.Services()}, nil })
	h.view("GET /v1/endpoints", func() (any, error) {
		return map[string]any{"endpoints": h.cfg.Registry.Endpoints(), "manifests": h.cfg.Registry.Manifests()}, nil
	})
	h.view("GET /v1/access", func() (any, error) {
		v := AccessView{Rules: h.cfg.Registry.AccessRules()}
		if h.cfg.Authority != nil {
			status := h.cfg.Authority.Status()
			v.Authority, v.Awaiting = &status, h.cfg.Awaiting()
		}
		return v, nil
	})
	h.view("GET /v1/routing", func() (any, error) { return map[string]any{"services": h.cfg.Registry.Policies()}, nil })
	h.view("GET /v1/legacy", func() (any, error) { return map[string]any{"routes": h.cfg.Edge.Legacy()}, nil })
	h.handle("GET /v1/limits", Viewer, func(w http.ResponseWriter, r *http.Request, _ Operator) { show(w, h.cfg.Limiter.View(r.Context())) })
	h.view("GET /v1/inflight", func() (any, error) { return map[string]any{"requests": h.cfg.Edge.InFlight()}, nil })
	h.handle("GET /v1/explain", Viewer, func(w http.ResponseWriter, r *http.Request, _ Operator) {
		q := r.URL.Query()
		show(w, h.cfg.Edge.Explain(q.Get("method"), q.Get("target"), q.Get("version"), q.Get("key")))
	})
	h.handle("GET /v1/tail", Viewer, h.tail)
	h.view("GET /v1/audit", func() (any, error) { return map[string]any{"changes": h.cfg.Audit.Changes()}, nil })
	if h.cfg.Verifier != nil {
		h.view("GET /v1/issuers", func() (any, error) { return map[string]any{"issuers": h.cfg.Verifier.Status()}, nil })
	}
	if h.cfg.Catalog != nil {
		h.view("GET /v1/openapi", func() (any, error) { return h.cfg.Catalog.View() })
	}
	if h.cfg.Configuration != nil {
		h.view("GET /v1/config", func() (any, error) { return h.cfg.Configuration(), nil })
	}
	if h.cfg.Metrics != nil {
		h.handle("GET /metrics", Viewer, func(w http.ResponseWriter, r *http.Request, _ Operator) { h.cfg.Metrics.ServeHTTP(w, r) })
	}
}

// AccessView is who says who may call what, beside the services themselves.
type AccessView struct {
	Authority *auth.AuthorityStatus    `json:"authority,omitempty"`
	Awaiting  bool                     `json:"awaiting,omitempty"` // nobody passes before the authority has been reached
	Rules     []routing.AccessRuleView `json:"rules"`
}

// change serves what changes something, and writes it down, whether it was done or not.
func (h *handler) change(pattern, action string, do func(r *http.Request) (target string, err error)) {
	h.changeBy(Changer, pattern, action, do)
}

// changeBy is change for operators of at least a role.
func (h *handler) changeBy(least Role, pattern, action string, do func(r *http.Request) (target string, err error)) {
	h.handle(pattern, least, func(w http.ResponseWriter, r *http.Request, who Operator) {
		target, err := do(r)
		h.cfg.Audit.add(who, action, target, err)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		show(w, map[string]any{"done": action, "target": target})
	})
}

func (h *handler) changes() {
	if h.cfg.Reload != nil {
		h.change("POST /v1/config/reload", "reload", func(*http.Request) (string, error) { return "configuration", h.cfg.Reload() })
	}
	if h.cfg.Restart != nil {
		h.changeBy(Administrator, "POST /v1/restart", "restart", func(*http.Request) (string, error) { return "gateway", h.cfg.Restart() })
	}
	h.change("POST /v1/inflight/{id}/cancel", "cancel", func(r *http.Request) (string, error) {
		id := r.PathValue("id")
		if !h.cfg.Edge.Cancel(id) {
			return id, fmt.Errorf("no request %.80q waits for a service: it has ended, or its answer is on its way", id)
		}
		return id, nil
	})
	for action, on := range map[string]bool{"drain": true, "resume": false} {
		h.change("POST /v1/services/{service}/instances/{id}/"+action, action, func(r *http.Request) (string, error) {
			service, id := r.PathValue("service"), r.PathValue("id")
			if !h.cfg.Registry.Cordon(service, id, on) {
				return service + " " + id, fmt.Errorf("service %.80q has no instance %.80q here", service, id)
			}
			return service + " " + id, nil
		})
	}
}

// profiles may hold whatever is in memory.
func (h *handler) profiles() {
	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /debug/pprof/": pprof.Index, "GET /debug/pprof/cmdline": pprof.Cmdline, "GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol": pprof.Symbol, "GET /debug/pprof/trace": pprof.Trace,
	} {
		h.handle(pattern, Administrator, func(w http.ResponseWriter, r *http.Request, _ Operator) { serve(w, r) })
	}
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // whoever asked may be gone
}

func show(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // cannot be: views are plain data
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // whoever asked may be gone
}
