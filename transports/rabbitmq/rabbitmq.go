// Package rabbitmq is the transport over a RabbitMQ server, for services and gateways that cannot reach each other and both
// reach that: rabbitmq://[user:password@]host[:port][/vhost][?prefix=name]; rabbitmqs has TLS, and amqp and amqps mean the
// same. It is tested on RabbitMQ 3.10, and written to the rules of 4.x (every queue is exclusive, prefetch is per consumer),
// on which nobody has run it yet.
//
// Names begin with a prefix, stella unless the URL says otherwise:
//
//	PREFIX.gateways    direct exchange, durable; what services write
//	PREFIX.services    direct exchange, durable; what gateways write
//	PREFIX.g.inbox.ID.N  queue, the inbox of a gateway that listens, bound to PREFIX.gateways by its name and by "gateways"
//	PREFIX.g.NONCE     queue, frames from the service to the gateway, bound to PREFIX.gateways by its name
//	PREFIX.s.NONCE     queue, frames from the gateway to the service, bound to PREFIX.services by its name
//
// All queues are exclusive and end with the connection that has made them: nothing of a session that is over can be read,
// and nobody but its owner reads a queue. There are two exchanges so that a service's user needs no right by which it could
// pose as a gateway. Those who want to know which rights do: docs/reference/transports.md, and the spec that uses them.
//
// A service asks all gateways for an offer, takes the one to which this process has the fewest links, or the one that its URL
// names (gateway=ID, as they are listed), and tells that one's inbox its nonce. A link is then two queues. Messages are
// mandatory and confirmed, so that a queue which is gone ends the link at once; they are numbered, so that one which a policy
// of the server's has thrown away is missed; and each end tells the other how far it has read, which bounds what is on the
// way. Direct reply-to is not used: it has no buffer, drops what it cannot deliver, and tells nobody.
//
// A process has two connections to a server, one that publishes and one that consumes, since the server stops reading from
// the former when it is short of memory. Where that lasts, or either ends, all its links fail, and are dialled again:
// waiting would leave calls without an answer.
//
// Job queues are beside all that: start at queues, and for what they need on the server, at its names. For sessions, start
// reading at link.
package rabbitmq

import (
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Times.
const (
	connectTimeout = 5 * time.Second        // from dialling to an open connection; a wrong password is answered after three
	rpcTimeout     = 5 * time.Second        // of what the server has to answer; the connections are given up then
	writeTimeout   = 3 * time.Second        // of one write to a connection
	confirmTimeout = 3 * time.Second        // of a message's confirmation
	heartbeat      = 4 * time.Second        // a connection without a sign of the server fails after half as much again
	closeTimeout   = 500 * time.Millisecond // of a link's orderly end, and then of the connections'
	lookEvery      = 250 * time.Millisecond // at confirmations that are late or negative
	// blockedFor is how long the server may refuse to read before links fail: calls are answered with 503 within a second.
	blockedFor = 500 * time.Millisecond
	// offersFor is how long a service waits for more gateways once the first has made an offer.
	offersFor = 25 * time.Millisecond
	// everybodyFor is the same, where all are to be known, or a certain one: it may be busy.
	everybodyFor = 250 * time.Millisecond
	// anotherFor is how long it waits for another gateway, when the one that it took has failed.
	anotherFor = 250 * time.Millisecond
	// lastWords is how long a link whose peer's queue is gone still reads: the peer's end may be on its way.
	lastWords = 30 * time.Millisecond
	// Bounds of the wait before a listener registers again.
	minPause, maxPause = 50 * time.Millisecond, time.Second
)

// Sizes in bytes, and counts.
const (
	// messageBytes bounds a message of several frames: little enough that other links' messages get in between.
	messageBytes = 256 << 10
	// maxValue is the largest message: one frame.
	maxValue = spec.HeaderSize + spec.MaxFrameHard
	// A writer waits while as much as this is unread. One message may exceed the bytes.
	maxUnread         = 1 << 20
	maxUnreadMessages = 256
	// A reader says that it has read after as much as this.
	creditBytes    = maxUnread / 4
	creditMessages = maxUnreadMessages / 4
	// maxUnconfirmed bounds the messages that the server has not confirmed.
	maxUnconfirmed = 256
	// Messages that may expire are no larger than this, and no more than so many in a row: see message.
	maxFleeting      = 32 << 10
	maxFleetingInRow = 16
	// prefetch bounds the messages of a link that the client library holds. They are acknowledged after as many, or as much.
	prefetch    = 64
	ackMessages = prefetch / 4
	ackBytes    = 256 << 10
	// maxQueue bounds a queue on the server, beyond what a writer that keeps to the rules may have there.
	maxQueue = maxUnread + 3*maxValue
	// maxInbox bounds the messages that wait for a gateway, on the server and in the gateway.
	maxInbox = 256
	// openers bounds the sessions that a listener opens at once: each takes a few round trips.
	openers = 8
)

// Times that tests shorten.
var (
	renewEvery = 5 * time.Second // a listener sees that its exchanges and bindings are still there
	// ackAfter is how long the server keeps what was taken. It closes channels that acknowledge nothing for half an hour.
	ackAfter = 10 * time.Second
)

func init() {
	for _, scheme := range []string{Scheme, SchemeTLS, SchemeAMQP, SchemeAMQPTLS} {
		transports.Register(transports.Transport{Scheme: scheme, Check: check, Guard: guard, Dialer: dialer{}, Gateways: gateways, Listen: listen, Queue: openQueue})
	}
}
