package lint

import (
	"time"

	"github.com/stella-ops/router/spec"
)

var transportRules = []rule{
	entry("STL1701", "QUEUE_LEASE_TIGHT", Transport, warn, Standard, "job may use its whole lease",
		"The last tenth of a lease is kept for telling what became of the job. With a timeout that reaches into it, a job that was "+
			"done may be given to another worker.").ofEndpoint(tightLease),
	entry("STL1702", "QUEUE_ONE_ATTEMPT", Transport, warn, Standard, "job that is tried once",
		"A worker that is restarted loses its attempt. With attempts=1 every deployment may kill a job.").ofEndpoint(oneAttempt),
	entry("STL1703", "UDP_STREAM", Transport, grave, Off, "stream, which udp does not carry",
		"udp carries whole calls only. The rules on udp are in no preset: use them for services that are reached by it alone.").
		ofEndpoint(udpStream),
	entry("STL1704", "UDP_NOT_IDEMPOTENT", Transport, grave, Off, "not idempotent, which udp needs",
		"A link that loses datagrams leaves it open whether a call was served: only what may be repeated is safe.").ofEndpoint(udpOnce),
	entry("STL1705", "UDP_TOO_LARGE", Transport, warn, Off, "body that udp does not carry",
		"A call over udp has to fit a datagram of 1,200 bytes, with its headers: larger ones go another way, or fail. Lower body= to "+
			"1KiB.").ofEndpoint(udpLarge),
}

// codeRules are about function bodies. Package analyzer finds what they are about.
var codeRules = []rule{
	entry(HandlerIgnoresContext, "HANDLER_IGNORES_CONTEXT", Code, warn, Standard, "handler waits without its context",
		"The context ends when the caller leaves, the deadline passes, or the service stops. A handler that waits for something "+
			"and does not pass the context on works for nobody. Only go vet with stellavet finds this."),
	entry(StreamIgnoresContext, "STREAM_IGNORES_CONTEXT", Code, grave, Standard, "stream waits without its context",
		"A stream that waits for a channel or a timer alone does not notice that its caller has left until the next item, which may "+
			"never come: it is leaked. Select on ctx.Done() as well. Only go vet with stellavet finds this."),
	entry(ReservedHeaderRead, "RESERVED_HEADER_READ", Code, grave, Minimal, "header that never arrives is read",
		"The gateway takes away request headers that say who calls, or from where. Code that reads one gets nothing behind a "+
			"gateway, and what anybody likes without. Use the request's Identity. Only go vet with stellavet finds this."),
}

// leaseShare is what a job may use of its lease, in tenths.
const leaseShare = 9

func tightLease(r *reporter, e *endpoint) {
	if q := e.spec.Queue; q != nil && e.spec.Limits.TimeoutMS > q.LeaseMS/10*leaseShare {
		f := r.at(e.key("timeout"), "a timeout of %s is more than nine tenths of the lease, %s", spell(e.spec.Limits.TimeoutMS), spell(q.LeaseMS))
		f.Hint = "make the lease longer than " + spell((e.spec.Limits.TimeoutMS*10/leaseShare/int64(time.Second/time.Millisecond)+1)*1000)
	}
}

func oneAttempt(r *reporter, e *endpoint) {
	if q := e.spec.Queue; q != nil && q.Attempts == 1 {
		r.at(e.key("attempts"), "%s is tried once: a worker's restart kills the job", e.name()).Hint = "allow another attempt: attempts=2"
	}
}

func udpStream(r *reporter, e *endpoint) {
	if e.spec.Stream != spec.StreamNone {
		r.at(e.key("stream"), "%s streams, and udp carries whole calls only", e.name())
	}
}

func udpOnce(r *reporter, e *endpoint) {
	if !e.spec.Idempotent {
		r.at(e.span(), "%s is not idempotent, and a call over udp may have been served without an answer", e.name())
	}
}

// datagramBody is about what a datagram has room for beside a call's metadata.
const datagramBody = 1 << 10

func udpLarge(r *reporter, e *endpoint) {
	if e.HasBody() && e.spec.Limits.MaxBodyBytes > datagramBody {
		r.at(e.key("body"), "bodies of up to %d bytes do not fit a datagram", e.spec.Limits.MaxBodyBytes).Hint = "lower body= to 1KiB"
	}
}
