package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stella-ops/router/spec"
)

// Error is why a call or a session ended before its time.
type Error struct {
	Code   spec.Code
	Reason string // in words; may be empty
	Remote bool   // the peer ended it
}

func (e *Error) Error() string {
	who := "ended by this side"
	if e.Remote {
		who = "ended by the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("session: %s: %s", who, e.Code)
	}
	return fmt.Sprintf("session: %s: %s: %s", who, e.Code, e.Reason)
}

var (
	// ErrClosed is what calls wrap that failed because their session died or was closed.
	ErrClosed = errors.New("session: closed")
	// ErrDrained is what the end of a session wraps whose service has drained: nothing was lost with it.
	ErrDrained = errors.New("the service has drained")
	// ErrRefused is what [Gateway.Start] wraps when a call was not taken on, and nothing of it was sent: the
	// lease is spent, the session drains, or too much is waiting to be written.
	ErrRefused = errors.New("session: call refused")
	// ErrStopSending is what a writer of a body gets when the reader wants no more of it.
	ErrStopSending = errors.New("session: the peer wants no more of this body")
	errPeerClosed  = errors.New("the peer closed the link")
	// errNothing tells that nothing has come yet.
	errNothing = errors.New("session: nothing received yet")
	// errCredit is a fault of this program: more data than credit.
	errCredit   = errors.New("session: more data than the credit acquired for it")
	errHead     = errors.New("session: the call has been answered")
	errNoHead   = errors.New("session: the answer has not begun")
	errMetadata = fmt.Errorf("session: response headers take more than %d bytes or %d fields", spec.MaxMetadata, spec.MaxFields)
	// errEnded is what a writer gets that goes on after its end.
	errEnded = errors.New("session: this half of the stream has ended")
)

// protocolError is a fault of the peer that ends the session.
func protocolError(format string, args ...any) *Error {
	return &Error{Code: spec.CodeProtocol, Reason: fmt.Sprintf(format, args...)}
}

// reason cuts text to what fits a frame's metadata, between two characters.
func reason(s string) []byte {
	return []byte(strings.ToValidUTF8(s[:min(len(s), spec.MaxReason)], ""))
}
