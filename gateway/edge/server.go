package edge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Requests bounds what clients' requests are before they have an endpoint. Zero fields mean the defaults.
type Requests struct {
	HeaderSize int           // bytes of request line and header fields, over which net/http answers 431; [MaxHeaderSize], and no more
	HeaderTime time.Duration // from the first byte to the end of the header; [DefaultHeaderTime]
	Idle       time.Duration // of a connection between requests; [DefaultIdle]
}

// The defaults of [Requests]. No header may be larger than the metadata of REQUEST could carry.
const (
	MaxHeaderSize     = 64 << 10
	DefaultHeaderTime = 10 * time.Second
	DefaultIdle       = 2 * time.Minute
)

// Check says what is wrong with the bounds.
func (r *Requests) Check() error {
	if r.HeaderSize < 0 || r.HeaderSize > MaxHeaderSize {
		return fmt.Errorf("edge: headers of %d bytes, expected up to %d", r.HeaderSize, MaxHeaderSize)
	}
	if r.HeaderTime < 0 || r.Idle < 0 {
		return errors.New("edge: the time of a header or of an idle connection is negative")
	}
	return nil
}

// Server returns an HTTP server for the edge: HTTP/1.1, and HTTP/2, without TLS by prior knowledge.
//
// Its read timeout bounds the header and a small body together. A pump sets deadlines of its own, and net/http lifts
// the deadline once a body has been read: it does not bound how long a service may take.
func (e *Edge) Server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	r := e.cfg.Requests
	return &http.Server{
		Handler: e, Protocols: protocols, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: min(cmp.Or(r.HeaderTime, DefaultHeaderTime), e.cfg.Stall), ReadTimeout: e.cfg.Stall,
		IdleTimeout: cmp.Or(r.Idle, DefaultIdle), MaxHeaderBytes: cmp.Or(r.HeaderSize, MaxHeaderSize),
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: e.cfg.Stall},
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn), ConnContext: withConn,
	}
}
