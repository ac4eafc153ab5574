package spec

import "strconv"

// Code is the reason that CANCEL and GOAWAY carry in aux.
type Code uint32

// The codes. PROTOCOL.md, section "Codes", says who sends each and what the other end makes of it.
const (
	CodeNoError      Code = 0  // stop sending; the answer stands
	CodeClientGone   Code = 1  // the HTTP client left
	CodeDeadline     Code = 2  // the call's time is up
	CodeLimit        Code = 3  // a body over its limit
	CodeRefused      Code = 4  // not taken on: safe to retry whatever the method
	CodeStale        Code = 5  // unknown manifest generation or endpoint: safe to retry
	CodeSlowConsumer Code = 6  // the reader of this stream stalled and the memory budget is spent
	CodeShutdown     Code = 7  // the sender is going away and the grace is over
	CodeInternal     Code = 8  // a fault of the sender
	CodeProtocol     Code = 9  // the peer broke the protocol
	CodeFlow         Code = 10 // the peer overran its credit
	CodeUnauthorized Code = 11 // registration without the right to the service name
	CodeConflict     Code = 12 // registration that another one excludes
	CodeUnsupported  Code = 13 // a version or critical feature the sender does not know
	CodeOperator     Code = 14 // ended by an operator
	CodeStalled      Code = 15 // the body stopped arriving
	CodeIdle         Code = 16 // the stream was silent for longer than its idle limit
	CodeTooLarge     Code = 17 // an answer that the link cannot carry
)

var codeNames = [...]string{
	"NO_ERROR", "CLIENT_GONE", "DEADLINE", "LIMIT", "REFUSED", "STALE", "SLOW_CONSUMER", "SHUTDOWN", "INTERNAL",
	"PROTOCOL", "FLOW", "UNAUTHORIZED", "CONFLICT", "UNSUPPORTED", "OPERATOR", "STALLED", "IDLE", "TOO_LARGE",
}

func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// Retryable reports whether a call that ended with c was certainly not taken on, so that it may be repeated
// whatever its method.
func (c Code) Retryable() bool { return c == CodeRefused || c == CodeStale }
