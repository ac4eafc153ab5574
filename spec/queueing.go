package spec

import (
	"errors"
	"fmt"
	"slices"
)

// Queueing is how often and for how long a job of an endpoint with delivery=queue is tried.
type Queueing struct {
	Attempts int   `json:"attempts"` // until it is dead
	LeaseMS  int64 `json:"leaseMs"`  // after which an attempt that was not heard of any more counts as lost, in milliseconds
}

// DefaultQueueing holds where the author says nothing else.
var DefaultQueueing = Queueing{Attempts: 5, LeaseMS: 60_000}

// Bounds of jobs. Source: PROTOCOL.md, section "Limits".
const (
	// MaxAttempts bounds how often a job is tried.
	MaxAttempts = 100
	// MinLeaseMS leaves a worker time to settle a job that it did at once, in milliseconds.
	MinLeaseMS = 1000
	// MaxLeaseMS is below the time after which RabbitMQ takes a delivery from a consumer that has not acknowledged it,
	// 30 minutes unless configured otherwise.
	MaxLeaseMS = 25 * 60 * 1000
	// MaxJobBody bounds a job's body, in bytes: brokers hold messages whole, and RabbitMQ 4 takes 16 MiB.
	MaxJobBody = 4 << 20
)

// QueueFault is one reason why calls of an endpoint cannot be jobs.
type QueueFault int

// The faults, in the order in which they are reported.
const (
	QueueMethod   QueueFault = iota + 1 // what the method asks for is of no use later
	QueueOnce                           // it is not safe to repeat
	QueueStream                         // a body is streamed
	QueueAttempts                       // out of bounds
	QueueLease                          // out of bounds
	QueueTimeout                        // longer than the lease
	QueueBody                           // bodies may be larger than a job's
)

// asking are the methods of those who ask for something, and need it at once.
var asking = []string{methodGet, "HEAD", "OPTIONS"}

// QueueFaults are all reasons why calls of e cannot be jobs; none where e has no Queue. It looks at nothing else.
func (e *Endpoint) QueueFaults() []QueueFault {
	q := e.Queue
	if q == nil {
		return nil
	}
	var faults []QueueFault
	found := func(is bool, f QueueFault) {
		if is {
			faults = append(faults, f)
		}
	}
	asks := slices.Contains(asking, e.Method)
	found(asks, QueueMethod)
	found(!asks && !e.Idempotent, QueueOnce) // no flag helps a method that is wrong
	found(e.Stream != StreamNone || e.Kind == KindStream, QueueStream)
	found(q.Attempts < 1 || q.Attempts > MaxAttempts, QueueAttempts)
	lease := q.LeaseMS >= MinLeaseMS && q.LeaseMS <= MaxLeaseMS
	found(!lease, QueueLease)
	found(lease && e.Limits.TimeoutMS > q.LeaseMS, QueueTimeout)
	found(e.Limits.MaxBodyBytes > MaxJobBody, QueueBody)
	return faults
}

// Unqueueable says why calls of e cannot be jobs, or is nil: the first of [Endpoint.QueueFaults], in words.
func (e *Endpoint) Unqueueable() error {
	faults := e.QueueFaults()
	if len(faults) == 0 {
		return nil
	}
	q := e.Queue
	switch faults[0] {
	case QueueMethod:
		return fmt.Errorf("has the method %s, expected POST, PUT, PATCH or DELETE: who asks for something needs it at once", e.Method)
	case QueueOnce:
		return errors.New("is not idempotent: a job may run more than once")
	case QueueStream:
		return errors.New("streams a body: a job and its result are held whole")
	case QueueAttempts:
		return fmt.Errorf("has %d attempts, expected 1 to %d", q.Attempts, MaxAttempts)
	case QueueLease:
		return fmt.Errorf("has a lease of %d ms, expected %d to %d", q.LeaseMS, MinLeaseMS, MaxLeaseMS)
	case QueueTimeout:
		return fmt.Errorf("has a timeout of %d ms and a lease of %d ms: a job would be given to another worker while it runs", e.Limits.TimeoutMS, q.LeaseMS)
	case QueueBody:
		return fmt.Errorf("takes bodies of %d bytes, expected at most %d, what a job holds", e.Limits.MaxBodyBytes, MaxJobBody)
	}
	return fmt.Errorf("has fault %d", faults[0])
}
