package stella

import (
	"context"
	"strconv"

	"github.com/stella-ops/router/runtime/queue"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// Job is what a handler of an endpoint with delivery=queue can know of the job that it does. A job runs at least once: after
// a crash, and after an answer of 500 or more, it runs again, until it has had as many attempts as the endpoint allows.
type Job struct {
	ID      string // of the request
	Attempt int    // the number of this attempt, from 1
	Key     string // the caller's Idempotency-Key, else ID: the same with every attempt
}

// JobFromContext returns the job that ctx belongs to, and whether it belongs to one.
func JobFromContext(ctx context.Context) (Job, bool) {
	r := RequestFromContext(ctx)
	if r == nil || r.endpoint == nil || r.endpoint.Queue == nil {
		return Job{}, false
	}
	attempt, err := strconv.Atoi(r.Header.Get(queue.HeaderAttempt))
	if err != nil { // it has not come by a queue: a test's call
		return Job{}, false
	}
	return Job{ID: r.ID, Attempt: attempt, Key: r.Header.Get(queue.HeaderKey)}, true
}

// takeJobs does the jobs that wait for this service until ctx ends, and those that it has taken until they have ended.
func (r *running) takeJobs(ctx context.Context) {
	waits := ""
	for _, rt := range r.dispatcher.routes {
		if rt.endpoint.Queue != nil && waits == "" {
			waits = rt.endpoint.Method + " " + rt.endpoint.Path
		}
	}
	switch {
	case r.queue == nil && waits == "":
		return
	case r.queue == nil:
		r.log.Warn("stella: nobody here does the jobs of endpoints with delivery=queue: set "+EnvQueue+" to the broker's URL, as the gateway's is",
			"endpoint", waits)
		return
	}
	defer func() {
		if err := r.queue.Close(); err != nil {
			r.log.Info("stella: closing the queue", "error", err)
		}
	}()
	endpoints := make([]spec.Endpoint, len(r.dispatcher.routes))
	for i, rt := range r.dispatcher.routes {
		endpoints[i] = *rt.endpoint
	}
	var t tally // jobs are no load that a gateway could put elsewhere, so no heartbeat tells of them
	err := queue.Run(ctx, r.cut, queue.Config{
		Queue: r.queue, Service: r.instance.Service, Endpoints: endpoints, Slots: r.jobs, Token: r.token,
		Serve: func(in *session.Incoming) { r.dispatcher.serve(in, &t) }, Logger: r.log,
	})
	if err != nil {
		r.log.Error("stella: no jobs are done", "error", err)
	}
}
