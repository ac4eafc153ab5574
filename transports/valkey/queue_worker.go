package valkey

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/transports"
)

// Times.
const (
	// maxReclaim bounds the time between two looks for leases that are over: a quarter of a lease otherwise, and with a
	// quarter of that by chance, so that workers that began together do not look together.
	maxReclaim = 10 * time.Second
	// lapse is the part of a lease that may pass between an attempt's beginning and a call of Next that takes it.
	lapse = 4
)

// consumerIdle is after how long a consumer that has nothing is forgotten: its process is gone. A live one comes back by
// itself. Tests shorten it.
var consumerIdle = time.Hour

// Counts.
const (
	reclaimRounds = 100 // of ten entries each, in one script
	leaveAtOnce   = 16  // entries, which may have 4 MiB each
	maxReason     = 4 << 10
)

// worker is a consumer of some queues.
type worker struct {
	q        *queues
	consumer string
	sources  []*jobSource
	slots    int
	ctx      context.Context //nolint:containedctx // ends with the worker, for what goes on between calls of Next
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	fetched  chan fetched // what fetch has found
	freed    chan struct{}
	once     sync.Once
	gone     chan struct{} // closed when Close is through

	// One fetch at a time has these.
	ready []waiting // taken, and not begun
	turn  int       // which source is the first

	mu       sync.Mutex
	conn     client.DedicatedClient // for what blocks; nil until it is needed
	fetching bool
	open     map[*tag]struct{}
	err      error // why it is dead
}

// jobSource is a queue that a worker takes jobs from.
type jobSource struct {
	transports.Source
	keys

	due    time.Time // for a look at leases
	cursor string    // where that goes on
}

// tag is an attempt's place at the server.
type tag struct {
	worker *worker
	source *jobSource
	entry  string
	count  string // how often the entry had been delivered
	reason string // why the attempt before failed
	began  time.Time
}

type fetched struct {
	d   *transports.Delivery
	err error
}

// Work implements [transports.Queue].
func (q *queues) Work(ctx context.Context, sources []transports.Source, slots int) (transports.Worker, error) {
	if len(sources) == 0 || slots < 1 {
		return nil, fmt.Errorf("valkey: a worker of %d queues with %d slots, expected one of each at least", len(sources), slots)
	}
	w := &worker{
		q: q, consumer: randomID(), slots: slots, fetched: make(chan fetched, 1), freed: make(chan struct{}, 1),
		open: map[*tag]struct{}{}, gone: make(chan struct{}),
	}
	for _, s := range sources {
		if s.Lease < time.Millisecond {
			return nil, fmt.Errorf("valkey: %s has a lease of %v, expected 1ms at least", s.QueueName, s.Lease)
		}
		w.sources = append(w.sources, &jobSource{Source: s, keys: q.keys(s.QueueName), cursor: fromStart})
	}
	// The connection that blocks is made when it is needed; whether there is a server is told now.
	if _, err := call(ctx, q, "beginning to work", func(ctx context.Context, c client.Client) (string, error) {
		return twice(ctx, func() (string, error) { return c.Do(ctx, c.B().Ping().Build()).ToString() })
	}); err != nil {
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		w.cancel()
		return nil, fmt.Errorf("valkey: %s: %w: %w", q.target.url(), transports.ErrQueue, net.ErrClosed)
	}
	q.workers[w] = struct{}{}
	return w, nil
}

func (w *worker) closed() error {
	return fmt.Errorf("valkey: %s: the worker is closed: %w: %w", w.q.target.url(), transports.ErrQueue, net.ErrClosed)
}

// Next implements [transports.Worker].
func (w *worker) Next(ctx context.Context) (*transports.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		wait, err := w.fetchAhead()
		if err != nil {
			return nil, err
		}
		if wait {
			select {
			case <-ctx.Done():
			case <-w.ctx.Done():
			case <-w.freed:
			}
			continue
		}
		select {
		case <-ctx.Done(): // what comes is the next call's
		case <-w.ctx.Done():
		case got := <-w.fetched:
			if d, err := w.accept(ctx, got); d != nil || err != nil {
				return d, err
			}
		}
	}
}

// fetchAhead sees that a fetch is on its way, unless all slots are taken: then the caller has to wait.
func (w *worker) fetchAhead() (wait bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ctx.Err() != nil:
		return false, w.closed()
	case w.err != nil:
		return false, w.err
	case w.fetching:
		return false, nil
	case len(w.open) >= w.slots:
		return true, nil
	}
	w.fetching = true
	room := w.slots - len(w.open) - 1
	w.wg.Go(func() { w.fetched <- w.fetch(room) })
	return false, nil
}

// accept opens what was fetched. Where the caller has come for it late, the lease begins anew; it is nothing when that was
// over.
func (w *worker) accept(ctx context.Context, got fetched) (*transports.Delivery, error) {
	w.mu.Lock()
	w.fetching = false
	if got.err != nil {
		w.err = got.err
		w.mu.Unlock()
		return nil, got.err
	}
	t := got.d.Tag.(*tag) //nolint:forcetypeassert // this worker's own
	w.mu.Unlock()
	if time.Since(t.began) > t.source.Lease/lapse {
		kept, err := call(ctx, w.q, "beginning a job again", func(ctx context.Context, c client.Client) (bool, error) {
			return renewScript.Exec(ctx, c, []string{t.source.stream}, []string{w.q.target.group, w.consumer, t.entry, t.count}).AsBool()
		})
		if err != nil || !kept {
			return nil, err
		}
	}
	w.mu.Lock()
	w.open[t] = struct{}{}
	w.mu.Unlock()
	return got.d, nil
}

// undo gives back an attempt that nobody has seen, and which does not count.
func (w *worker) undo(ctx context.Context, d *transports.Delivery) {
	t := d.Tag.(*tag)                                                         //nolint:forcetypeassert // this worker's own
	_, _ = w.settle(ctx, d, d.Attempt-1, transports.JobQueued, t.reason, nil) // else the lease ends
}

// fetch finds a job and begins an attempt at it. Of what comes besides, it keeps as much as there is room for.
func (w *worker) fetch(room int) fetched {
	for {
		e, err := w.find(room)
		if err != nil {
			return fetched{err: err}
		}
		if d, err := w.begin(e); d != nil || err != nil {
			return fetched{d, err}
		}
	}
}

// find returns an entry, as soon as there is one.
func (w *worker) find(room int) (waiting, error) {
	for {
		if len(w.ready) > 0 {
			e := w.ready[0]
			w.ready = w.ready[1:]
			return e, nil
		}
		for _, look := range []func() (*waiting, error){w.reclaim, w.take, func() (*waiting, error) { return w.block(room) }} {
			if w.ctx.Err() != nil {
				return waiting{}, w.closed()
			}
			if e, err := look(); err != nil {
				return waiting{}, err
			} else if e != nil {
				return *e, nil
			}
		}
	}
}

// reclaim takes an entry whose lease is over. Of each queue all are looked at, from time to time.
func (w *worker) reclaim() (*waiting, error) {
	for _, s := range w.sources {
		for !time.Now().Before(s.due) {
			answer, err := call(w.ctx, w.q, "reclaiming a job", func(ctx context.Context, c client.Client) ([]client.ValkeyMessage, error) {
				return reclaimScript.Exec(ctx, c, []string{s.stream}, []string{
					w.q.target.group, w.consumer, milli(s.Lease), s.cursor, strconv.Itoa(reclaimRounds), milli(consumerIdle),
				}).ToArray()
			})
			if err != nil {
				return nil, err
			}
			if s.cursor, err = answer[0].ToString(); err != nil {
				return nil, fmt.Errorf("valkey: reclaiming a job: %w: %w", transports.ErrQueue, err)
			}
			if s.cursor == fromStart {
				every := min(s.Lease/4, maxReclaim)
				s.due = time.Now().Add(every - rand.N(every/4+1)) //nolint:gosec // nobody gains by guessing
			}
			if len(answer) == 3 { //nolint:mnd // and an entry
				return parseTaken(s.stream, answer[1], answer[2])
			}
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

func milli(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// parseTaken reads an entry that a script has returned.
func parseTaken(key string, id, fields client.ValkeyMessage) (*waiting, error) {
	e := &waiting{key: key}
	var err1, err2 error
	e.id, err1 = id.ToString()
	pairs, err2 := fields.AsStrSlice()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("valkey: an entry of %s: %w: %w", key, transports.ErrQueue, err)
	}
	for p := range slices.Chunk(pairs, 2) { //nolint:mnd // a field and its value
		if len(p) == 2 { //nolint:mnd // which is always so
			e.fields = append(e.fields, client.XRangeFieldValue{Field: p[0], Value: p[1]})
		}
	}
	return e, nil
}

// streams are the queues' keys, each time beginning with another one.
func (w *worker) streams() []string {
	w.turn++
	n := len(w.sources)
	all := make([]string, n)
	for i := range all {
		all[i] = w.sources[(w.turn+i)%n].stream
	}
	return all
}

// take takes an entry from the first queue that has one.
func (w *worker) take() (*waiting, error) {
	answer, err := call(w.ctx, w.q, "taking a job", func(ctx context.Context, c client.Client) ([]client.ValkeyMessage, error) {
		return takeScript.Exec(ctx, c, w.streams(), []string{w.q.target.group, w.consumer}).ToArray()
	})
	if err != nil || len(answer) != 3 { //nolint:mnd // a key, an id, fields
		return nil, err
	}
	key, err := answer[0].ToString()
	if err != nil {
		return nil, fmt.Errorf("valkey: taking a job: %w: %w", transports.ErrQueue, err)
	}
	return parseTaken(key, answer[1], answer[2])
}

// connect returns the connection for what blocks.
func (w *worker) connect() (client.DedicatedClient, error) {
	w.mu.Lock()
	conn := w.conn
	w.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	c, err := w.q.connect(w.ctx)
	if err != nil {
		return nil, fmt.Errorf("valkey: %s: %w: %w", w.q.target.url(), transports.ErrQueue, err)
	}
	conn, _ = c.Dedicate() // one that could not be made fails when it is used
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		conn.Close()
		return nil, w.closed()
	}
	w.conn = conn
	return conn, nil
}

// block waits for an entry, at most until leases are to be looked at. Where several queues get one at once, it has one of
// each: those for which there is no room go back.
func (w *worker) block(room int) (*waiting, error) {
	wait := block
	for _, s := range w.sources {
		wait = min(wait, time.Until(s.due))
	}
	wait = max(wait, time.Millisecond) // 0 is for ever
	conn, err := w.connect()
	if err != nil {
		return nil, err
	}
	streams := w.streams()
	ids := slices.Repeat([]string{">"}, len(streams))
	ctx, cancel := context.WithTimeout(w.ctx, wait+queueTimeout)
	defer cancel()
	got, err := conn.Do(ctx, conn.B().Xreadgroup().Group(w.q.target.group, w.consumer).Count(1).Block(wait.Milliseconds()).
		Streams().Key(streams...).Id(ids...).Build()).AsXReadSlices()
	if client.IsValkeyNil(err) {
		return nil, nil //nolint:nilnil // nothing came
	}
	if e, refused := client.IsValkeyErr(err); refused && (strings.HasPrefix(e.Error(), "NOGROUP") || strings.HasPrefix(e.Error(), "UNBLOCKED")) {
		return nil, nil //nolint:nilnil // a queue was deleted, which take makes anew
	}
	if err != nil {
		return nil, fmt.Errorf("valkey: %s: waiting for a job: %w: %w", w.q.target.url(), transports.ErrQueue, err)
	}
	var first *waiting
	for _, key := range streams {
		for _, e := range got[key] {
			next := waiting{key, e.ID, e.FieldValues}
			switch {
			case first == nil:
				first = &next
			case len(w.ready) < room:
				w.ready = append(w.ready, next)
			default:
				if err := w.leave(w.ctx, key, e.ID, e.ID); err != nil {
					return nil, err
				}
			}
		}
	}
	return first, nil
}

// leave gives back the worker's entries of a queue.
func (w *worker) leave(ctx context.Context, key, first, last string) error {
	for first != "" {
		answer, err := call(ctx, w.q, "giving back jobs", func(ctx context.Context, c client.Client) ([]string, error) {
			return leaveScript.Exec(ctx, c, []string{key},
				[]string{w.q.target.group, w.consumer, first, last, strconv.Itoa(leaveAtOnce), w.q.statusKey("")}).AsStrSlice()
		})
		if err != nil {
			return err
		}
		first = strings.Join(answer, "")
	}
	return nil
}

// begin begins an attempt at what is in an entry. It returns nothing when there is none to be made.
func (w *worker) begin(e waiting) (*transports.Delivery, error) {
	s := w.source(e.key)
	j, err := parseWaiting(s.QueueName, e)
	if err != nil {
		_, err = call(w.ctx, w.q, "burying what is no job", func(ctx context.Context, c client.Client) (int64, error) {
			return buryScript.Exec(ctx, c, []string{s.stream, s.dead}, []string{w.q.target.group, w.consumer, e.id, err.Error(), e.contents()}).AsInt64()
		})
		return nil, err
	}
	began := time.Now()
	// An attempt that has begun counts. So Close waits for the answer, and takes back what nobody has seen.
	answer, err := call(context.WithoutCancel(w.ctx), w.q, "beginning a job", func(ctx context.Context, c client.Client) ([]string, error) {
		return beginScript.Exec(ctx, c, []string{s.stream, s.dead, w.q.statusKey(j.ID)}, []string{
			w.q.target.group, w.consumer, e.id, encodeName(j.Queue), j.ID, j.Owner, strconv.Itoa(j.Attempts), milli(transports.JobRetention),
		}).AsStrSlice()
	})
	if err != nil || len(answer) != 3 { //nolint:mnd // attempt, count, reason
		return nil, err
	}
	attempt, err := strconv.Atoi(answer[0])
	if err != nil {
		return nil, fmt.Errorf("valkey: the status of job %.100q: %w: %w", j.ID, transports.ErrQueue, err)
	}
	return &transports.Delivery{Job: j, Attempt: attempt, Tag: &tag{
		worker: w, source: s, entry: e.id, count: answer[1], reason: answer[2], began: began,
	}}, nil
}

func (w *worker) source(key string) *jobSource {
	for _, s := range w.sources {
		if s.stream == key {
			return s
		}
	}
	return nil // the server returns what it was asked for
}

// errLost is what became of an attempt too late.
var errLost = errors.New("the lease of the attempt is over, and the job is somebody else's or was deleted")

// Settle implements [transports.Worker]. To have a job tried again whose attempts are over is to have it dead.
func (w *worker) Settle(ctx context.Context, d *transports.Delivery, o transports.Outcome) error {
	t, ok := d.Tag.(*tag)
	if !ok || t.worker != w {
		return errors.New("valkey: this is no attempt of the worker's")
	}
	w.mu.Lock()
	_, ok = w.open[t]
	w.mu.Unlock()
	switch {
	case w.ctx.Err() != nil:
		return w.closed()
	case !ok:
		return fmt.Errorf("valkey: attempt %d at job %.100q is settled already", d.Attempt, d.ID)
	}
	defer w.free(t)
	var result []string
	switch o.State {
	case transports.JobDone:
		result, o.Reason = resultFields(o.Result), ""
	case transports.JobQueued:
		if d.Attempt >= d.Attempts {
			o.State = transports.JobDead
		}
	case transports.JobDead:
	default:
		return fmt.Errorf("valkey: an attempt ends as done, queued or dead, not %.40q", o.State)
	}
	kept, err := w.settle(ctx, d, d.Attempt, o.State, o.Reason[:min(len(o.Reason), maxReason)], result)
	if err == nil && !kept {
		return fmt.Errorf("valkey: %s: attempt %d at job %.100q: %w", w.q.target.url(), d.Attempt, d.ID, errLost)
	}
	return err
}

// settle records what became of an attempt. It is false when the worker does not have the job any more.
func (w *worker) settle(
	ctx context.Context, d *transports.Delivery, attempt int, state transports.JobState, reason string, result []string,
) (bool, error) {
	t := d.Tag.(*tag) //nolint:forcetypeassert // checked by whoever calls
	return call(ctx, w.q, "settling a job", func(ctx context.Context, c client.Client) (bool, error) {
		var failed error
		kept, err := twice(ctx, func() (kept bool, err error) {
			kept, err = settleScript.Exec(ctx, c, []string{t.source.stream, t.source.dead, w.q.statusKey(d.ID)}, append([]string{
				w.q.target.group, w.consumer, t.entry, t.count, encodeName(d.Queue), d.ID, d.Owner,
				string(state), strconv.Itoa(attempt), reason, milli(transports.JobRetention),
			}, result...)).AsBool()
			failed = errors.Join(failed, err)
			return kept, err //nolint:wrapcheck // call wraps it
		})
		if err == nil && !kept && failed != nil {
			return false, failed // the first try may have been the one that took the job away
		}
		return kept, err
	})
}

// free frees an attempt's slot.
func (w *worker) free(t *tag) {
	w.mu.Lock()
	delete(w.open, t)
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// Close implements [transports.Worker]. What it cannot give back because the server does not answer is given to others
// when its lease is over.
func (w *worker) Close() error {
	var err error
	w.once.Do(func() {
		defer close(w.gone)
		w.mu.Lock()
		w.cancel()
		if w.conn != nil {
			w.conn.Close() // ends what blocks
		}
		w.mu.Unlock()
		w.wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), queueTimeout)
		defer cancel()
		select {
		case got := <-w.fetched:
			if got.d != nil {
				w.undo(ctx, got.d)
			}
		default:
		}
		for _, s := range w.sources {
			if err = w.leave(ctx, s.stream, "-", "+"); err != nil {
				break
			}
		}
		w.q.mu.Lock()
		delete(w.q.workers, w)
		w.q.mu.Unlock()
	})
	<-w.gone
	return err
}
