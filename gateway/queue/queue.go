// Package queue is the gateway's side of endpoints with delivery=queue: it puts requests into a broker's queues, and tells
// what has become of them. Services take them from there: see package runtime/queue.
package queue

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

const (
	// patience bounds what the broker may take for one request of a client.
	patience = 5 * time.Second
	// maxHeld bounds the bodies that are on their way to the broker, in bytes: they are held whole.
	maxHeld = 16 * spec.MaxJobBody
)

// ErrBusy says that so many bodies are on their way to the broker that no other is taken.
var ErrBusy = errors.New("queue: too many bodies are on their way to the broker")

// Desk takes jobs in, and answers for them. It may be used concurrently.
type Desk struct {
	queue  transports.Queue
	tokens func(service string) []string
	held   atomic.Int64
}

// New returns a desk. tokens are those that a service may have, to sign its jobs with; nil: there are none.
func New(q transports.Queue, tokens func(service string) []string) *Desk {
	return &Desk{queue: q, tokens: tokens}
}

// Hold takes room for a body, which the caller gives back with release once the body is with the broker. The error is
// [ErrBusy].
func (d *Desk) Hold(bytes int64) (release func(), err error) {
	if d.held.Add(bytes) > maxHeld {
		d.held.Add(-bytes)
		return nil, ErrBusy
	}
	return func() { d.held.Add(-bytes) }, nil
}

// Put makes a request to an endpoint a job, whose ID is the request's. When it returns nil the broker has the job for good.
func (d *Desk) Put(ctx context.Context, service string, e *spec.Endpoint, r *spec.Request, key string, body []byte) error {
	identity, err := e.Identity()
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	j := &transports.Job{
		ID: r.ID.String(), Queue: transports.QueueName{Service: service, Endpoint: identity},
		Attempts: e.Queue.Attempts, Lease: time.Duration(e.Queue.LeaseMS) * time.Millisecond,
		Key: key, Owner: Owner(r.Identity), Accepted: time.Now(), Request: r.AppendTo(nil), Body: body,
	}
	if j.Key == "" {
		j.Key = j.ID
	}
	var tokens []string
	if d.tokens != nil {
		tokens = d.tokens(service)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := d.queue.Put(ctx, j, tokens...); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// Status tells of a job to whoever may know of it: its owner, or everybody if it has none. To others, and of jobs of which
// nothing is known, the error wraps [transports.ErrNoJob].
func (d *Desk) Status(ctx context.Context, id string, asks *spec.Identity) (*transports.JobStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := d.queue.Status(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	if s.Result != nil && (s.Result.Status < 200 || s.Result.Status > 599) { //nolint:mnd // what HTTP answers end with
		return nil, fmt.Errorf("queue: the result of job %s has the status %d", id, s.Result.Status)
	}
	if s.Owner != "" && s.Owner != Owner(asks) {
		return nil, fmt.Errorf("queue: %w", transports.ErrNoJob)
	}
	return s, nil
}

// Owner names who a job belongs to; the empty string is nobody.
func Owner(i *spec.Identity) string {
	if i == nil {
		return ""
	}
	return url.QueryEscape(i.Tenant) + "/" + i.Subject // what precedes the first / is the tenant
}
