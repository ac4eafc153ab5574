package scan

import (
	"fmt"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// deliveryQueue is the value of the key delivery that makes jobs of an endpoint's calls.
const deliveryQueue = "queue"

// Keys of the endpoint directive that others refer to.
const (
	keyTimeout  = "timeout"
	keyBody     = "body"
	keyIdle     = "idle"
	keyWithin   = "within"
	keyStream   = "stream"
	keyDelivery = "delivery"
	keyAttempts = "attempts"
	keyLease    = "lease"
)

// queueing settles whether the endpoint's calls are jobs, and reports what rules that out, or has no effect. What does is
// decided by package spec, whose check of the manifest must have nothing left to refuse.
func (b *builder) queueing(e *Endpoint, h *handler, said map[string]directive.Value) {
	if h.keysBroken {
		return // what is missing, or contradicts the rest, may be among what is wrong
	}
	if said[keyDelivery].Text != deliveryQueue {
		b.withoutQueue(said)
		return
	}
	q := spec.DefaultQueueing
	if v, given := said[keyAttempts]; given {
		q.Attempts = int(v.Int)
	}
	if v, given := said[keyLease]; given {
		q.LeaseMS = v.Duration.Milliseconds()
	}
	e.Queue = &q
	described := spec.Endpoint{Method: e.Method, Kind: e.Kind, Stream: e.Stream, Idempotent: e.Idempotent, Limits: e.Limits, Queue: e.Queue}
	for _, fault := range described.QueueFaults() {
		b.queueFault(e, h, said, fault)
	}
}

// withoutQueue reports what is said of jobs where there are none.
func (b *builder) withoutQueue(said map[string]directive.Value) {
	why, what := "without delivery=queue", "add"
	if v, given := said[keyDelivery]; given {
		why, what = "with delivery="+v.Text, "write"
	}
	for _, key := range []string{keyAttempts, keyLease} {
		if v, given := said[key]; given {
			f := b.l.list.Addf(diagnostic.Queueing, v.Pos, v.Width, "%s=%s has no effect %s", key, v.Text, why)
			f.Hint = fmt.Sprintf("%s delivery=queue, or remove %s", what, key)
		}
	}
}

// queueFault says where a fault is, and what to type instead.
func (b *builder) queueFault(e *Endpoint, h *handler, said map[string]directive.Value, fault spec.QueueFault) {
	name, delivery := h.decl.Name.Name, said[keyDelivery]
	report := func(at directive.Value, hint, format string, args ...any) {
		f := b.l.list.Addf(diagnostic.Queueing, at.Pos, at.Width, format, args...)
		f.Hint = hint
		if at.Pos.Line != delivery.Pos.Line {
			f.Related = []diagnostic.Related{{Pos: delivery.Pos, Message: "its calls are jobs by this"}}
		}
	}
	switch fault {
	case spec.QueueMethod:
		report(delivery, fmt.Sprintf("write POST instead of %s, or remove delivery=queue", e.Method),
			"delivery=queue: the method is %s, expected POST, PUT, PATCH or DELETE: who asks for something needs it at once", e.Method)
	case spec.QueueOnce:
		report(delivery, "add idempotent, if the handler may do the same job twice without harm; or remove delivery=queue",
			"delivery=queue: %s is not idempotent, and a job may run more than once", name)
	case spec.QueueStream:
		if e.Kind == spec.KindStream {
			report(delivery, "return a pointer to a struct instead of iter.Seq2, or remove delivery=queue",
				"delivery=queue: %s returns a sequence, which streams its response, and a job's result is held whole", name)
			return
		}
		v := said[keyStream]
		report(v, fmt.Sprintf("remove stream=%s, or delivery=queue", v.Text), "stream=%s: a job and its result are held whole", v.Text)
	case spec.QueueTimeout:
		timeout := limitOf(said, keyTimeout, e.Limits.Timeout())
		lease := limitOf(said, keyLease, time.Duration(e.Queue.LeaseMS)*time.Millisecond)
		at := delivery // unless the defaults contradict each other
		for _, l := range []limit{lease, timeout} {
			if l.given {
				at = said[l.key]
			}
		}
		report(at, shorterThan(timeout, lease), "%s is longer than %s: a job would be given to another worker while it runs", timeout, lease)
	case spec.QueueBody:
		most := fmt.Sprintf("%dMiB", spec.MaxJobBody>>20)
		v := said[keyBody]
		report(v, fmt.Sprintf("write body=%s or less: what is larger is uploaded before, and the job names it", most),
			"body=%s is more than a job holds, %s", v.Text, most)
	case spec.QueueAttempts, spec.QueueLease: // the directive's parser has refused these
	}
}

// limit is a time and where it comes from.
type limit struct {
	key   string
	text  string // as the author wrote it
	d     time.Duration
	given bool // it is in the directive; else it is the default
}

func limitOf(said map[string]directive.Value, key string, d time.Duration) limit {
	v, given := said[key]
	return limit{key: key, text: v.Text, d: d, given: given}
}

func (l limit) String() string {
	if l.given {
		return l.key + "=" + l.text
	}
	return fmt.Sprintf("the default %s of %s", l.key, directive.Spell(l.d))
}

// set says how to change a limit to another time.
func (l limit) set(d time.Duration) string {
	verb := "add"
	if l.given {
		verb = "write"
	}
	return fmt.Sprintf("%s %s=%s", verb, l.key, directive.Spell(d))
}

// shorterThan says how to make a timeout fit into a lease.
func shorterThan(timeout, lease limit) string {
	if most := spec.MaxLeaseMS * time.Millisecond; timeout.d > most {
		return fmt.Sprintf("%s or less, and a lease no shorter: none is longer than %s", timeout.set(most), directive.Spell(most))
	}
	return fmt.Sprintf("%s or more, or %s or less", lease.set(timeout.d), timeout.set(lease.d))
}
