// Package queue is the service's side of endpoints with delivery=queue: it takes jobs from a broker's queues, has the
// service's handlers do them, and tells the broker what has become of each. Gateways put them there: see package
// gateway/queue.
//
// A job reaches its handler as any call does, by a session that both ends of which are in this process: so it has the
// deadline, the context and the checks that calls have, and there is no other way into a handler.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// Header fields that a handler gets with a job. Clients cannot send the first: the gateway keeps the prefix for itself.
const (
	HeaderAttempt = "Stella-Attempt"  // the number of this attempt, from 1
	HeaderKey     = "Idempotency-Key" // the caller's, else the job's ID: the same with every attempt
)

// Config is what [Run] needs.
type Config struct {
	Queue     transports.Queue
	Service   string
	Endpoints []spec.Endpoint // of the manifest, all of them: an endpoint's number is its index
	Slots     int             // jobs at once
	Token     string          // that jobs must be signed with; empty: they need not be
	Serve     func(*session.Incoming)
	Logger    *slog.Logger
}

// sources are the queues of the endpoints that have one, and the endpoints' numbers by the queues' names.
func (c *Config) sources() ([]transports.Source, map[transports.QueueName]uint32, error) {
	var sources []transports.Source
	numbers := map[transports.QueueName]uint32{}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		if e.Queue == nil {
			continue
		}
		identity, err := e.Identity()
		if err != nil {
			return nil, nil, fmt.Errorf("queue: %w", err)
		}
		name := transports.QueueName{Service: c.Service, Endpoint: identity}
		sources = append(sources, transports.Source{QueueName: name, Lease: time.Duration(e.Queue.LeaseMS) * time.Millisecond})
		numbers[name] = uint32(i)
	}
	return sources, numbers, nil
}

// Times of a worker.
const (
	leastPause  = 100 * time.Millisecond // until a broker that failed is tried again, and a job that did; it doubles
	longPause   = 5 * time.Second
	settling    = 5 * time.Second // for the broker to hear of an outcome
	interrupted = "the worker was stopped before the job was done"
)

// pause is how long to wait after so many failures in a row, the first being 1.
func pause(failures int) time.Duration {
	p := longPause
	if failures < 8 { //nolint:mnd // beyond it, the longest
		p = min(leastPause<<(failures-1), longPause)
	}
	return p
}

// Run takes jobs until ctx ends, and returns when the jobs that it has taken have ended, or soon after cut has. It does not
// give up on a broker. The error is of the configuration.
func Run(ctx, cut context.Context, cfg Config) error {
	sources, numbers, err := cfg.sources()
	if err != nil || len(sources) == 0 {
		return err
	}
	r := &runner{Config: cfg, sources: sources, numbers: numbers, cut: cut}
	if err := r.open(); err != nil {
		return err
	}
	defer r.close()
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		if err := r.work(ctx); err != nil && ctx.Err() == nil {
			if time.Since(began) > longPause {
				failures = 0
			}
			failures++
			cfg.Logger.Warn("stella: no jobs from the queue; it is tried again", "error", err, "in", pause(failures))
			wait(ctx, pause(failures))
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// runner is a worker while it runs.
type runner struct {
	Config

	sources []transports.Source
	numbers map[transports.QueueName]uint32
	cut     context.Context //nolint:containedctx // ends when open jobs get no more time

	gateway *session.Gateway // the ends of the session by which jobs become calls
	service *session.Service
}

// open opens the session with this process's own handlers.
func (r *runner) open() error {
	near, far := inmemory.Pipe()
	hello := spec.Hello{Instance: spec.Instance{Service: r.Service, Version: "0.0.0", ID: "queue"}, Lease: r.Slots}
	opened := make(chan error, 1)
	go func() {
		var err error
		r.service, err = session.Open(context.Background(), far, session.ServiceConfig{Hello: hello, Serve: r.Serve})
		opened <- err
	}()
	var err error
	r.gateway, err = session.Accept(context.Background(), near, session.GatewayConfig{Welcome: spec.Welcome{Node: "queue"}})
	if err = errors.Join(err, <-opened); err != nil {
		r.close()
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

func (r *runner) close() {
	if r.gateway != nil {
		_ = r.gateway.Close(spec.CodeShutdown, "the worker has ended") // ends either way
	}
	if r.service != nil {
		_ = r.service.Close()
	}
}

// work takes and does jobs until ctx ends, or the broker fails, and waits for those that it has taken.
func (r *runner) work(ctx context.Context) error {
	w, err := r.Queue.Work(ctx, r.sources, r.Slots)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			r.Logger.Info("stella: closing the queue", "error", err)
		}
	}()
	r.Logger.Info("stella: taking jobs", "queues", len(r.sources), "slots", r.Slots)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		d, err := w.Next(ctx)
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		wg.Go(func() { r.handle(w, d) })
	}
}

// handle does one attempt, and settles it. One that the end of this worker has cut short counts: others try again.
func (r *runner) handle(w transports.Worker, d *transports.Delivery) {
	began := time.Now()
	o := r.attempt(d)
	if o.State != transports.JobDone {
		r.Logger.Warn("stella: a job failed", "job", d.ID, "queue", d.Queue.String(), "attempt", d.Attempt, "of", d.Attempts, "state", o.State, "reason", o.Reason)
	}
	if o.State == transports.JobQueued {
		// The slot stays taken meanwhile: a service whose jobs all fail slows down. The lease has to last, too.
		if p := min(pause(d.Attempt), d.Lease-time.Since(began)-settling); p > 0 {
			wait(r.cut, p)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), settling)
	defer cancel()
	if err := w.Settle(ctx, d, o); err != nil {
		r.Logger.Warn("stella: the queue does not know what became of a job, which may run again", "job", d.ID, "state", o.State, "error", err)
	}
}

// attempt does one attempt at a job.
func (r *runner) attempt(d *transports.Delivery) transports.Outcome {
	again := transports.JobQueued
	if d.Attempt >= d.Attempts {
		again = transports.JobDead
	}
	number, mine := r.numbers[d.Queue]
	var request spec.Request
	switch {
	case r.Token != "" && !d.SignedWith(r.Token):
		return transports.Outcome{State: transports.JobDead, Reason: "it is not signed with this service's token: no gateway that knows it has put it there"}
	case !mine:
		return transports.Outcome{State: transports.JobDead, Reason: "it is for " + d.Queue.String() + ", and lay in another queue"}
	}
	if err := request.Decode(d.Request); err != nil {
		return transports.Outcome{State: transports.JobDead, Reason: "its metadata cannot be read: " + err.Error()}
	}
	result, err := r.call(d, &request, number)
	switch {
	case err != nil:
		return transports.Outcome{State: again, Reason: err.Error()}
	case result.Status < 400: //nolint:mnd // no error
		return transports.Outcome{State: transports.JobDone, Result: result}
	case !repeatable(result.Status):
		again = transports.JobDead // the handler has understood the job, and would say the same again
	}
	return transports.Outcome{State: again, Reason: reason(result)}
}
