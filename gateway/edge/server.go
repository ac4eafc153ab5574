package edge

import (
	"log/slog"
	"net/http"
	"time"
)

// Bounds of the HTTP server.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10 // over it, net/http answers 431
)

// Server returns an HTTP server for the edge: HTTP/1.1, and HTTP/2, without TLS by prior knowledge.
//
// Its read timeout bounds the header and a small body together. A pump sets deadlines of its own, and net/http lifts
// the deadline once a body has been read: it does not bound how long a service may take.
func (e *Edge) Server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: e, Protocols: protocols, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: min(readHeaderTimeout, e.cfg.Stall), ReadTimeout: e.cfg.Stall, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: e.cfg.Stall},
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn), ConnContext: withConn,
	}
}
