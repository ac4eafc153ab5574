package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/transports"
)

// queues are the job queues of one server. They have connections of their own: a job may have some MiB, for which frames of
// sessions must not wait.
type queues struct {
	target target
	done   chan struct{}  // closed by Close
	wg     sync.WaitGroup // commands on their way

	mu      sync.Mutex
	closed  bool
	conn    *connection
	workers map[*worker]struct{}
}

// connection is a client that is, or is about to be, connected.
type connection struct {
	ready  chan struct{} // closed when client or err is set
	client client.Client
	err    error
}

// queueTimeout bounds every command of a caller whose context has no deadline.
const queueTimeout = 5 * time.Second

// Counts.
const (
	deadPage   = 8   // dead jobs that are read in one go: they may have 4 MiB each
	deadSteps  = 100 // dead jobs that one script looks at
	depthsPage = 256 // queues that are measured in one go
)

func openQueue(u *url.URL) (transports.Queue, error) {
	t, err := parse(u)
	if err != nil {
		return nil, err
	}
	return &queues{target: t, done: make(chan struct{}), workers: map[*worker]struct{}{}}, nil
}

// connect returns the client, and connects where there is none. The client itself replaces a connection that was lost.
func (q *queues) connect(ctx context.Context) (client.Client, error) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil, net.ErrClosed
	}
	c := q.conn
	if c == nil {
		c = &connection{ready: make(chan struct{})}
		q.conn = c
		q.wg.Go(func() { q.dial(c) })
	}
	q.mu.Unlock()
	select {
	case <-c.ready:
		return c.client, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// dial connects for all who wait. A failure is theirs alone: who comes later tries again.
func (q *queues) dial(c *connection) {
	defer close(c.ready)
	o := q.target.options()
	o.ConnWriteTimeout = queueTimeout
	made, err := client.NewClient(o)
	if err == nil {
		if err = checkDurable(made); err != nil {
			made.Close()
		}
	}
	if err == nil {
		c.client = made
		return
	}
	c.err = err
	q.mu.Lock()
	q.conn = nil
	q.mu.Unlock()
}

// checkDurable refuses a server that forgets what it has, in a restart or when memory is short. One that does not tell its
// configuration passes.
func checkDurable(c client.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	conf := map[string]string{}
	for _, name := range []string{"appendonly", "maxmemory*"} { // one at a time: Redis 6.2 takes no more
		some, err := c.Do(ctx, c.B().ConfigGet().Parameter(name).Build()).AsStrMap()
		if err != nil {
			if e, refused := client.IsValkeyErr(err); refused && !passing(e) {
				return nil
			}
			return fmt.Errorf("reading its configuration: %w", err)
		}
		maps.Copy(conf, some)
	}
	if conf["appendonly"] == "no" {
		return errors.New("the server keeps nothing over a restart, and would lose jobs: set appendonly to yes")
	}
	return refusePolicy(conf, "jobs")
}

// call runs commands, and returns by the context's end or in queueTimeout: the library may take longer, where it has to
// connect anew.
func call[T any](ctx context.Context, q *queues, doing string, f func(context.Context, client.Client) (T, error)) (T, error) {
	cancel := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, queueTimeout)
	}
	defer cancel()
	v, err := tryCall(ctx, q, f)
	if err != nil {
		err = fmt.Errorf("valkey: %s: %s: %w: %w", q.target.url(), doing, transports.ErrQueue, err)
	}
	return v, err
}

func tryCall[T any](ctx context.Context, q *queues, f func(context.Context, client.Client) (T, error)) (T, error) {
	var none T
	c, err := q.connect(ctx)
	if err != nil {
		return none, err
	}
	type answer struct {
		v   T
		err error
	}
	answered := make(chan answer, 1)
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return none, net.ErrClosed
	}
	q.wg.Go(func() {
		v, err := f(ctx, c)
		answered <- answer{v, err}
	})
	q.mu.Unlock()
	select {
	case a := <-answered:
		return a.v, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// twice runs a command again whose connection broke: most often it broke long before, while nobody used it, which is noticed
// only now. The server may have run it then.
func twice[T any](ctx context.Context, f func() (T, error)) (T, error) {
	v, err := f()
	if err == nil || ctx.Err() != nil || client.IsValkeyNil(err) || errors.Is(err, client.ErrClosing) {
		return v, err
	}
	if _, refused := client.IsValkeyErr(err); refused {
		return v, err
	}
	return f()
}

// keys are those of one queue.
type keys struct{ stream, dead string }

func (q *queues) keys(name transports.QueueName) keys {
	id := encodeName(name)
	return keys{q.target.key("queue", id), q.target.key(q.target.dead, id)}
}

func (q *queues) statusKey(id string) string { return q.target.key("job", id) }

func (q *queues) namesKey() string { return q.target.key("queues") }

// Put implements [transports.Queue]. A job that is put twice is there twice.
func (q *queues) Put(ctx context.Context, j *transports.Job, tokens ...string) error {
	raw, err := j.Encode(tokens...)
	if err != nil {
		return err
	}
	if _, err := transports.ParseJob(raw); err != nil {
		return err // nobody could take it
	}
	nonce := randomID()
	_, err = call(ctx, q, "putting a job", func(ctx context.Context, c client.Client) (int64, error) {
		return twice(ctx, func() (int64, error) {
			return putScript.Exec(ctx, c, []string{q.keys(j.Queue).stream, q.statusKey(j.ID), q.namesKey()},
				[]string{q.target.group, encodeName(j.Queue), j.ID, j.Owner, client.BinaryString(raw), nonce}).AsInt64()
		})
	})
	return err
}

// Status implements [transports.Queue].
func (q *queues) Status(ctx context.Context, id string) (*transports.JobStatus, error) {
	fields, err := call(ctx, q, "asking for a job", func(ctx context.Context, c client.Client) (map[string]string, error) {
		return twice(ctx, func() (map[string]string, error) {
			return c.Do(ctx, c.B().Hgetall().Key(q.statusKey(id)).Build()).AsStrMap()
		})
	})
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("valkey: %s: job %.100q: %w", q.target.url(), id, transports.ErrNoJob)
	}
	s, err := parseStatus(id, fields)
	if err != nil {
		return nil, fmt.Errorf("valkey: %s: the status of job %.100q: %w", q.target.url(), id, err)
	}
	return s, nil
}

// Queues implements [transports.Queue].
func (q *queues) Queues(ctx context.Context) ([]transports.QueueDepth, error) {
	return call(ctx, q, "listing queues", func(ctx context.Context, c client.Client) ([]transports.QueueDepth, error) {
		members, err := twice(ctx, func() ([]string, error) {
			return c.Do(ctx, c.B().Smembers().Key(q.namesKey()).Build()).AsStrSlice()
		})
		if err != nil {
			return nil, err
		}
		var all []transports.QueueDepth
		for page := range slices.Chunk(members, depthsPage) {
			some, err := q.depths(ctx, c, page)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		slices.SortFunc(all, func(a, b transports.QueueDepth) int {
			return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Endpoint, b.Endpoint))
		})
		return all, nil
	})
}

// depths measures the queues of some members of the set of names.
func (q *queues) depths(ctx context.Context, c client.Client, members []string) ([]transports.QueueDepth, error) {
	var all []transports.QueueDepth
	var cmds []client.Completed
	for _, m := range members {
		name, err := decodeName(m)
		if err != nil {
			continue // somebody else's
		}
		k := q.keys(name)
		cmds = append(cmds, c.B().Xlen().Key(k.stream).Build(), c.B().Xlen().Key(k.dead).Build())
		all = append(all, transports.QueueDepth{QueueName: name})
	}
	answers := c.DoMulti(ctx, cmds...)
	for i := range all {
		waiting, err1 := answers[2*i].AsInt64()
		dead, err2 := answers[2*i+1].AsInt64()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		all[i].Waiting, all[i].Dead = int(waiting), int(dead)
	}
	return all, nil
}

// Dead implements [transports.Queue]. Of an entry that is no job, the ID is the entry's, and the body what was in it.
func (q *queues) Dead(ctx context.Context, name transports.QueueName, limit int) ([]*transports.DeadJob, error) {
	return call(ctx, q, "reading dead jobs", func(ctx context.Context, c client.Client) ([]*transports.DeadJob, error) {
		var all []*transports.DeadJob
		for from := "-"; len(all) < limit; {
			page := min(deadPage, limit-len(all))
			got, err := twice(ctx, func() ([]client.XRangeSlice, error) {
				return c.Do(ctx, c.B().Xrange().Key(q.keys(name).dead).Start(from).End("+").Count(int64(page)).Build()).AsXRangeSlices()
			})
			if err != nil {
				return nil, err
			}
			for _, e := range got {
				all = append(all, parseDead(name, e))
				from = "(" + e.ID
			}
			if len(got) < page {
				break
			}
		}
		return all, nil
	})
}

// Requeue implements [transports.Queue].
func (q *queues) Requeue(ctx context.Context, name transports.QueueName, id string) error {
	k := q.keys(name)
	found, err := call(ctx, q, "requeuing a job", func(ctx context.Context, c client.Client) (string, error) {
		for from := "-"; ; {
			answer, err := requeueScript.Exec(ctx, c, []string{k.stream, k.dead, q.statusKey(id), q.namesKey()},
				[]string{q.target.group, encodeName(name), id, from, strconv.Itoa(deadSteps)}).AsStrSlice()
			if err != nil {
				return "", err //nolint:wrapcheck // call wraps it
			}
			if len(answer) < 2 { //nolint:mnd // not yet found, and where to look next
				return answer[0], nil
			}
			from = answer[1]
		}
	})
	switch {
	case err != nil:
		return err
	case found == "none":
		return fmt.Errorf("valkey: %s: %q is not among the dead jobs of %s: %w", q.target.url(), id, name, transports.ErrNoJob)
	case found == "poison":
		return fmt.Errorf("valkey: %s: %q among the dead of %s cannot be requeued: %w: nobody could read it",
			q.target.url(), id, name, transports.ErrNoJob)
	}
	return nil
}

// Purge implements [transports.Queue].
func (q *queues) Purge(ctx context.Context, name transports.QueueName) (int, error) {
	n, err := call(ctx, q, "purging dead jobs", func(ctx context.Context, c client.Client) (int64, error) {
		return purgeScript.Exec(ctx, c, []string{q.keys(name).dead}, nil).AsInt64()
	})
	return int(n), err
}

// Close implements [transports.Queue].
func (q *queues) Close() error {
	q.mu.Lock()
	workers := make([]*worker, 0, len(q.workers))
	for w := range q.workers {
		workers = append(workers, w)
	}
	q.mu.Unlock()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { _ = w.Close() }) // what it could not give back, its lease does
	}
	wg.Wait()
	q.mu.Lock()
	again := q.closed
	q.closed = true
	c := q.conn
	if !again {
		close(q.done)
	}
	q.mu.Unlock()
	if !again && c != nil {
		if <-c.ready; c.client != nil {
			c.client.Close()
		}
	}
	q.wg.Wait()
	return nil
}
