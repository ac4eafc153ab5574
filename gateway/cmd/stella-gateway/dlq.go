package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// dlqCmd is what operators do with the dead jobs at a broker. It talks to the broker itself, and needs no gateway.
type dlqCmd struct {
	Queue string `env:"STELLA_QUEUE" help:"The broker, as gateways and services have it." placeholder:"URL" required:""`

	Ls      dlqLsCmd      `cmd:"" help:"List the queues, and how many jobs wait and are dead in each."`
	Peek    dlqPeekCmd    `cmd:"" help:"List dead jobs of a queue, the oldest first. Nothing is changed."`
	Export  dlqExportCmd  `cmd:"" help:"Print dead jobs of a queue whole, a line of JSON each. Nothing is changed."`
	Requeue dlqRequeueCmd `cmd:"" help:"Put dead jobs back into their queue, to be tried again from the first attempt."`
	Purge   dlqPurgeCmd   `cmd:"" help:"Forget the dead jobs of a queue."`
}

// dlqPatience bounds what a command waits for the broker.
const dlqPatience = time.Minute

// at runs f with the queues.
func (c *dlqCmd) at(f func(context.Context, transports.Queue) error) error {
	q, err := transports.OpenQueue(c.Queue)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dlqPatience)
	defer cancel()
	return errors.Join(f(ctx, q), q.Close())
}

// of runs f with one of the queues.
func (c *dlqCmd) of(name string, f func(context.Context, transports.Queue, transports.QueueName) error) error {
	queue, err := transports.ParseQueueName(name)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	return c.at(func(ctx context.Context, q transports.Queue) error { return f(ctx, q, queue) })
}

type dlqLsCmd struct{}

// Run lists the queues.
func (dlqLsCmd) Run(s streams, c *cli) error {
	return c.DLQ.at(func(ctx context.Context, q transports.Queue) error {
		queues, err := q.Queues(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) //nolint:mnd // two spaces between columns
		_, _ = fmt.Fprintln(w, "WAITING\tDEAD\tQUEUE")   // Flush tells
		for _, d := range queues {
			_, _ = fmt.Fprintf(w, "%d\t%d\t%s\n", d.Waiting, d.Dead, oneLine(d.String()))
		}
		return w.Flush()
	})
}

type dlqPeekCmd struct {
	Name string `arg:"" help:"The queue: SERVICE METHOD PATH, in quotes." name:"queue"`

	Limit int `default:"20" help:"How many jobs at most (${default})." placeholder:"N"`
}

// Run lists dead jobs.
func (p *dlqPeekCmd) Run(s streams, c *cli) error {
	return c.DLQ.of(p.Name, func(ctx context.Context, q transports.Queue, name transports.QueueName) error {
		jobs, err := q.Dead(ctx, name, p.Limit)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)                  //nolint:mnd // two spaces between columns
		_, _ = fmt.Fprintln(w, "JOB\tDIED\tATTEMPTS\tBODY BYTES\tREASON") // Flush tells
		for _, j := range jobs {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", oneLine(j.ID), j.Died.UTC().Format(time.RFC3339), j.Attempts, len(j.Body), oneLine(j.Reason))
		}
		return w.Flush()
	})
}

// oneLine is text that no terminal takes for anything else, in one line.
func oneLine(text string) string {
	quoted := fmt.Sprintf("%q", text)
	return quoted[1 : len(quoted)-1]
}

type dlqExportCmd struct {
	Name string `arg:"" help:"The queue: SERVICE METHOD PATH, in quotes." name:"queue"`

	Limit int `default:"1000" help:"How many jobs at most (${default})." placeholder:"N"`
}

// exported is a dead job as export prints it.
type exported struct {
	Job      string            `json:"job"`
	Service  string            `json:"service"`
	Endpoint string            `json:"endpoint"`
	Reason   string            `json:"reason"`
	Attempts int               `json:"attempts"`
	Accepted time.Time         `json:"accepted"`
	Died     time.Time         `json:"died"`
	Key      string            `json:"idempotencyKey"`
	Owner    string            `json:"owner,omitempty"`
	Params   []string          `json:"params,omitempty"` // values of the path's parameters, in order
	Query    string            `json:"query,omitempty"`
	Header   map[string]string `json:"header,omitempty"`
	Body     []byte            `json:"body,omitempty"` // in base64
	Broken   string            `json:"broken,omitempty"`
}

// Run prints dead jobs whole.
func (e *dlqExportCmd) Run(s streams, c *cli) error {
	return c.DLQ.of(e.Name, func(ctx context.Context, q transports.Queue, name transports.QueueName) error {
		jobs, err := q.Dead(ctx, name, e.Limit)
		if err != nil {
			return err
		}
		out := json.NewEncoder(s.out)
		for _, j := range jobs {
			x := exported{
				Job: j.ID, Service: j.Queue.Service, Endpoint: j.Queue.Endpoint, Reason: j.Reason, Attempts: j.Attempts,
				Accepted: j.Accepted, Died: j.Died.UTC(), Key: j.Key, Owner: j.Owner, Body: j.Body,
			}
			var r spec.Request
			if err := r.Decode(j.Request); err != nil {
				x.Broken = err.Error()
			}
			x.Params, x.Query = r.Params, r.Query
			for _, f := range r.Header {
				if x.Header == nil {
					x.Header = map[string]string{}
				}
				x.Header[f.Name] = f.Value
			}
			if err := out.Encode(x); err != nil {
				return fmt.Errorf("standard output: %w", err)
			}
		}
		return nil
	})
}

type dlqRequeueCmd struct {
	Name string `arg:"" help:"The queue: SERVICE METHOD PATH, in quotes." name:"queue"`

	Jobs []string `arg:"" help:"The jobs' IDs." name:"job" optional:""`

	All bool `help:"All dead jobs that the queue has now."`
}

// Run puts jobs back. It says which, so that what was done is known after a failure, too.
func (r *dlqRequeueCmd) Run(s streams, c *cli) error {
	if r.All == (len(r.Jobs) > 0) {
		return usagef("expected the IDs of jobs, or --all")
	}
	if r.All {
		return r.all(s, c)
	}
	return c.DLQ.of(r.Name, func(ctx context.Context, q transports.Queue, name transports.QueueName) error {
		for _, id := range r.Jobs {
			if err := q.Requeue(ctx, name, id); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			if err := s.printf("%s\n", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// page is how many dead jobs are read at once, whole.
const page = 100

// all puts all jobs back that are dead now, a page at a time. One that dies again meanwhile stays dead.
func (r *dlqRequeueCmd) all(s streams, c *cli) error {
	done := map[string]bool{}
	for more := true; more; {
		more = false
		err := c.DLQ.of(r.Name, func(ctx context.Context, q transports.Queue, name transports.QueueName) error {
			jobs, err := q.Dead(ctx, name, page)
			if err != nil {
				return err
			}
			for _, j := range jobs {
				if done[j.ID] {
					continue
				}
				done[j.ID], more = true, true
				switch err := q.Requeue(ctx, name, j.ID); {
				case errors.Is(err, transports.ErrNoJob): // somebody was faster, or it is no job
				case err != nil:
					return fmt.Errorf("%s: %w", j.ID, err)
				default:
					if err := s.printf("%s\n", oneLine(j.ID)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type dlqPurgeCmd struct {
	Name string `arg:"" help:"The queue: SERVICE METHOD PATH, in quotes." name:"queue"`

	Yes bool `help:"Do it: what is purged cannot be had again. Without it nothing is done."`
}

// Run forgets dead jobs.
func (p *dlqPurgeCmd) Run(s streams, c *cli) error {
	return c.DLQ.of(p.Name, func(ctx context.Context, q transports.Queue, name transports.QueueName) error {
		if !p.Yes {
			queues, err := q.Queues(ctx)
			if err != nil {
				return err
			}
			dead := 0
			for _, d := range queues {
				if d.QueueName == name {
					dead = d.Dead
				}
			}
			return usagef("%d dead jobs would be gone for good: export them if they are wanted, and say --yes", dead)
		}
		n, err := q.Purge(ctx, name)
		if err != nil {
			return err
		}
		return s.printf("%d jobs\n", n)
	})
}
