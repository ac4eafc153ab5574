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
		p = min(leastPause<<max(failures-1, 0), longPause)
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
	r := &runner{Config: cfg, sources: sources, numbers: numbers, cut: cut, free: make(chan struct{}, cfg.Slots)}
	defer r.wg.Wait()
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

// runner is all that works while Run does.
type runner struct {
	Config

	sources []transports.Source
	numbers map[transports.QueueName]uint32
	cut     context.Context //nolint:containedctx // ends when open jobs get no more time
	free    chan struct{}   // has an entry for every slot that is taken
	wg      sync.WaitGroup
}

// shift is a worker at the broker and the session by which its jobs become calls. When one of the two is lost the next shift
// begins, while what is open goes on.
type shift struct {
	worker  transports.Worker
	gateway *session.Gateway
	service *session.Service
	jobs    sync.WaitGroup
}

const (
	// maxStuck is how many handlers may go on beyond their timeout until jobs have to wait for them.
	maxStuck = 1024
	// maxShift is how many jobs a shift takes: a session's stream ids end.
	maxShift = 1 << 24
)

// begin opens the session with this process's own handlers, and the worker.
func (r *runner) begin(ctx context.Context) (*shift, error) {
	s := new(shift)
	near, far := inmemory.Pipe()
	hello := spec.Hello{Instance: spec.Instance{Service: r.Service, Version: "0.0.0", ID: "queue"}, Lease: r.Slots + maxStuck}
	opened := make(chan error, 1)
	life := context.WithoutCancel(ctx) // a shift outlives the order to take no more jobs
	go func() {
		var err error
		s.service, err = session.Open(life, far, session.ServiceConfig{Hello: hello, Serve: r.Serve})
		opened <- err
	}()
	var err error
	s.gateway, err = session.Accept(life, near, session.GatewayConfig{Welcome: spec.Welcome{Node: "queue"}})
	if err = errors.Join(err, <-opened); err == nil {
		s.worker, err = r.Queue.Work(ctx, r.sources, r.Slots)
	}
	if err != nil {
		r.end(s)
		return nil, fmt.Errorf("queue: %w", err)
	}
	return s, nil
}

// end ends a shift whose jobs have ended.
func (r *runner) end(s *shift) {
	s.jobs.Wait()
	if s.worker != nil {
		if err := s.worker.Close(); err != nil {
			r.Logger.Info("stella: closing the queue", "error", err)
		}
	}
	if s.gateway != nil {
		_ = s.gateway.Close(spec.CodeShutdown, "the worker has ended") // ends either way
	}
	if s.service != nil {
		_ = s.service.Close()
	}
}

// work takes jobs until ctx ends, or the broker or the session fails.
func (r *runner) work(ctx context.Context) error {
	s, err := r.begin(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{}) // no more jobs are taken
	r.wg.Go(func() {
		select {
		case <-s.gateway.Done():
			cancel() // its jobs would all fail
		case <-over:
		}
		<-over
		r.end(s)
	})
	defer close(over)
	defer cancel()
	r.Logger.Info("stella: taking jobs", "queues", len(r.sources), "slots", r.Slots)
	for range maxShift {
		select {
		case r.free <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("queue: %w", context.Cause(ctx))
		}
		d, err := s.worker.Next(ctx)
		if err != nil {
			<-r.free
			return fmt.Errorf("queue: %w", err)
		}
		s.jobs.Go(func() {
			defer func() { <-r.free }()
			r.handle(s, d)
		})
	}
	return nil
}

// handle does one attempt, and settles it. One that the end of this worker has cut short counts: others try again.
func (r *runner) handle(s *shift, d *transports.Delivery) {
	began := time.Now()
	o := r.attempt(s, d, began)
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
	if err := s.worker.Settle(ctx, d, o); err != nil {
		r.Logger.Warn("stella: the queue does not know what became of a job, which may run again", "job", d.ID, "state", o.State, "error", err)
	}
}

// attempt does one attempt at a job.
func (r *runner) attempt(s *shift, d *transports.Delivery, began time.Time) transports.Outcome {
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
	result, err := r.call(s, d, &request, number)
	for n := 1; errors.Is(err, errNotTaken) && d.Lease-time.Since(began) > r.timeout(d, number)+settling && r.cut.Err() == nil; n++ {
		wait(r.cut, pause(n)) // handlers that have not ended hold all there is: it is not the job's fault
		result, err = r.call(s, d, &request, number)
	}
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
