// Package admin serves what operators ask a gateway: whether it is alive and ready, who is connected, what is routed,
// metrics and profiles. It changes nothing but that it has the configuration read anew. It has no authentication, so its address is loopback only, which package
// gateway sees to. Start reading at [Handler].
package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/stella-ops/router/gateway/catalog"
	"github.com/stella-ops/router/gateway/routing"
)

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = time.Minute
)

// Config is what a [Handler] needs.
type Config struct {
	Registry *routing.Registry
	// Ready reports whether the gateway takes on requests.
	Ready func() bool
	// Configuration is what is in force, where it came from, and why the file is not. Nil: there is none.
	Configuration func() any
	// Reload reads the configuration anew; its error is why it was refused. Nil: it cannot be.
	Reload func() error
	// Catalog has the documents that callers read. Nil: there are none.
	Catalog *catalog.Catalog
	// Metrics serves /metrics. Nil: there are none.
	Metrics http.Handler
}

// Handler returns the admin address's handler.
func Handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if cfg.Ready() {
			say(w, http.StatusOK, "ready")
		} else {
			say(w, http.StatusServiceUnavailable, "draining")
		}
	})
	mux.HandleFunc("GET /v1/services", func(w http.ResponseWriter, _ *http.Request) {
		show(w, map[string]any{"services": cfg.Registry.Services()})
	})
	mux.HandleFunc("GET /v1/endpoints", func(w http.ResponseWriter, _ *http.Request) {
		show(w, map[string]any{"endpoints": cfg.Registry.Endpoints(), "manifests": cfg.Registry.Manifests()})
	})
	if cfg.Catalog != nil {
		mux.HandleFunc("GET /v1/openapi", func(w http.ResponseWriter, _ *http.Request) {
			view, err := cfg.Catalog.View()
			if err != nil {
				say(w, http.StatusInternalServerError, err.Error())
				return
			}
			show(w, view)
		})
	}
	if cfg.Configuration != nil {
		mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) { show(w, cfg.Configuration()) })
	}
	if cfg.Reload != nil {
		mux.HandleFunc("POST /v1/config/reload", func(w http.ResponseWriter, _ *http.Request) {
			if err := cfg.Reload(); err != nil {
				say(w, http.StatusUnprocessableEntity, err.Error())
				return
			}
			say(w, http.StatusOK, "in force")
		})
	}
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Server returns a server for the handler.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout}
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
