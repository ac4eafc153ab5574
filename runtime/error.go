package stella

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stella-ops/router/spec"
)

// originService is the origin that a service's problems name.
const originService = "service"

// Error is an error that callers may see: it is sent as an RFC 9457 problem ([spec.Problem]). Every other error that
// a handler returns is answered by a 500 that tells nothing of it, and is logged with the request id.
//
// Everything in it but Cause is sent as it is: it must not hold what callers should not know.
type Error struct {
	// Status is the HTTP status, 400 to 599. Any other is sent as 500.
	Status int
	// Code is stable and for programs: lower case with underscores. Empty means the status in words (not_found).
	Code string
	// Message is for people: what is wrong with this request, and what to do.
	Message string
	// Faults are all the things wrong with the request's input.
	Faults []spec.Fault
	// Details are for programs, as JSON: what the problem's member of this name holds. They are what the endpoint's
	// manifest says of an error that it declares.
	Details any
	// Header goes with the answer, such as Retry-After.
	Header Header
	// Cause is logged with the request id, and never sent.
	Cause error
}

// NewError returns an error that callers see.
func NewError(status int, code, message string) *Error {
	return &Error{Status: status, Code: code, Message: message}
}

func (e *Error) Error() string {
	text := fmt.Sprintf("stella: %d %s", e.status(), e.code())
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) status() int {
	if e.Status < http.StatusBadRequest || e.Status > 599 {
		return http.StatusInternalServerError
	}
	return e.Status
}

func (e *Error) code() string {
	if e.Code != "" {
		return e.Code
	}
	return strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(strings.ToLower(title(e.status())))
}

func (e *Error) problem(requestID string) spec.Problem {
	return spec.Problem{
		Type: "about:blank", Title: title(e.status()), Status: e.status(), Detail: e.Message, Code: e.code(),
		RequestID: requestID, Origin: originService, Errors: e.Faults, Details: e.Details,
	}
}

// title is the status in words, also for numbers that have none.
func title(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	if status < http.StatusInternalServerError {
		return "Client Error"
	}
	return "Server Error"
}

// internalError is what callers see of an error that is not meant for them.
func internalError(cause error) *Error {
	return &Error{
		Status: http.StatusInternalServerError, Code: "internal",
		Message: "The service failed to answer. Its log has the reason under this request id.", Cause: cause,
	}
}

// errorOf finds the *Error in err, or makes one that tells nothing.
func errorOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		return e
	}
	return internalError(err)
}
