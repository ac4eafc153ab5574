package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// rejected notes a connection that did not become a session. There is one line in the log for each.
func (g *Gateway) rejected(remote string, err error) {
	var refused *session.Error
	if errors.As(err, &refused) && !refused.Remote {
		g.telemetry.Refuse(refusal(refused.Code))
	} else {
		g.telemetry.Reject(rejection(err))
	}
	g.log.Warn("connection is not a service", "remote", remote, "error", err)
}

func refusal(code spec.Code) telemetry.Refusal {
	switch code {
	case spec.CodeProtocol:
		return telemetry.RefusedProtocol
	case spec.CodeUnsupported:
		return telemetry.RefusedUnsupported
	case spec.CodeUnauthorized:
		return telemetry.RefusedUnauthorized
	case spec.CodeShutdown:
		return telemetry.RefusedShutdown
	case spec.CodeRefused:
		return telemetry.RefusedRate
	default:
		return telemetry.RefusedOther
	}
}

// rejection asks for the causes that a broken preamble may have first.
func rejection(err error) telemetry.Rejection {
	for _, r := range []struct {
		err error
		why telemetry.Rejection
	}{
		{os.ErrDeadlineExceeded, telemetry.RejectedSilent},
		{io.EOF, telemetry.RejectedClosed}, {io.ErrUnexpectedEOF, telemetry.RejectedClosed},
		{net.ErrClosed, telemetry.RejectedClosed}, {syscall.ECONNRESET, telemetry.RejectedClosed}, {syscall.EPIPE, telemetry.RejectedClosed},
		{transports.ErrPreamble, telemetry.RejectedPreamble},
	} {
		if errors.Is(err, r.err) {
			return r.why
		}
	}
	return telemetry.RejectedOther
}
