package rabbitmq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// The kind of a message is its AMQP type.
const (
	kindDiscover = "discover" // a service asks all gateways for an offer
	kindOffer    = "offer"    // a gateway's answer: its id, a dot, and its inbox's
	kindOpen     = "open"     // a service opens a session: the lowest and the highest protocol version that it speaks
	kindVersion  = "version"  // the gateway's answer: its own
	kindRefused  = "refused"  // the gateway's answer: why there is no link
	kindFrames   = "frames"   // whole frames, one behind the other
	kindRead     = "read"     // the number of the last message that was read
	kindEnd      = "end"      // the orderly end; the number of the last message before it
)

// message is one message of a session. What lasts is numbered from 1. A message that the server may throw away when it has
// expired repeats the number of the last one that lasts, and is marked: so the reader misses every other that is gone.
//
// A message expires when it holds nothing but whole requests with a deadline, at the latest of those deadlines. By then the
// gateway has ended the calls, since its own clock began earlier; it says so with CANCEL, and a service ignores that on a
// call which it has never seen. Anything else that was missing would be a gap: in a body, in credit, or in the session.
type message struct {
	kind     string
	number   uint64
	fleeting bool
	body     []byte
}

const fleetingMark = "+"

// id is the AMQP message id.
func (m message) id() string {
	s := strconv.FormatUint(m.number, 10)
	if m.fleeting {
		s += fleetingMark
	}
	return s
}

// correlation is the AMQP correlation id: the session's nonce, and the first stream of which a frame is in the message.
func correlation(nonce string, stream uint32) string {
	if stream == 0 {
		return nonce
	}
	return nonce + "-" + strconv.FormatUint(uint64(stream), 10)
}

// errForeign says that a message belongs to another session: it is ignored.
var errForeign = errors.New("the message belongs to another session")

// parseMessage checks what came behind message number last.
func parseMessage(d *amqp.Delivery, nonce string, last uint64) (message, error) {
	if of, _, _ := strings.Cut(d.CorrelationId, "-"); of != nonce {
		return message{}, errForeign
	}
	if len(d.Body) > maxValue {
		return message{}, fmt.Errorf("message %.40q has %d bytes, the limit is %d", d.MessageId, len(d.Body), maxValue)
	}
	m := message{kind: d.Type, number: last, body: d.Body}
	switch d.Type {
	case kindOffer:
		return m, nil
	case kindRead:
		n, err := strconv.ParseUint(string(d.Body), 10, 64)
		if err != nil {
			return message{}, fmt.Errorf("the peer says that it has read %.40q, expected a number", d.Body)
		}
		m.number = n
		return m, nil
	case kindEnd:
		if string(d.Body) != strconv.FormatUint(last, 10) {
			return message{}, fmt.Errorf("the session ends after message %.40q, and %d came last", d.Body, last)
		}
		return m, nil
	case kindFrames, kindVersion, kindRefused:
	default:
		return message{}, fmt.Errorf("message %.40q has the type %.40q, which nobody knows", d.MessageId, d.Type)
	}
	digits, fleeting := strings.CutSuffix(d.MessageId, fleetingMark)
	if m.fleeting = fleeting && d.Type == kindFrames; !m.fleeting {
		m.number++
	}
	if digits != strconv.FormatUint(m.number, 10) {
		return message{}, fmt.Errorf("message %.40q follows on %d: messages are missing, or somebody else writes", d.MessageId, last)
	}
	return m, nil
}

// offer is what a gateway answers. It has its id for as long as it listens, and another inbox whenever its connection was
// lost: the server may have the last one for a while.
type offer string

func (o offer) valid() bool {
	gateway, inbox, ok := strings.Cut(string(o), ".")
	return ok && isID(gateway) && isID(inbox)
}

func (o offer) gateway() string {
	id, _, _ := strings.Cut(string(o), ".")
	return id
}

// isID reports whether s is a nonce, or the id of a gateway or an inbox: what comes from others is put into names only then.
func isID(s string) bool {
	const digits = 16
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == digits
}

// versions is the range that this side speaks, as it travels.
func versions() string { return fmt.Sprintf("%d %d", spec.ProtocolVersion, spec.ProtocolVersion) }

// checkVersions compares the peer's range with this side's.
func checkVersions(s string) error {
	low, high, ok := strings.Cut(s, " ")
	from, err1 := strconv.ParseUint(low, 10, 16)
	to, err2 := strconv.ParseUint(high, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("%w: versions %.40q", transports.ErrPreamble, s)
	}
	if from > spec.ProtocolVersion || to < spec.ProtocolVersion {
		return fmt.Errorf("%w: peer speaks versions %d to %d, this side speaks %d", transports.ErrPreamble, from, to, spec.ProtocolVersion)
	}
	return nil
}
