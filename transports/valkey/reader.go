package valkey

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	client "github.com/valkey-io/valkey-go"
)

// reader reads for some of a broker's sources, with one blocking command on a connection of its own.
type reader struct {
	b    *broker
	wake *source // interrupts the command
	done chan struct{}

	// The broker's lock guards these.
	conn    client.DedicatedClient
	closed  bool
	sources map[string]*source
}

// readerSources bounds the streams of a reader: each makes every read of the others dearer, by some 5 µs on two cores of
// 2026 for both ends and the server; and a reader that is idle costs one read a second.
const readerSources = 16

// source is a stream that a reader reads for its owner. The broker's lock guards the last three fields.
type source struct {
	key    string
	owner  owner
	reader *reader
	last   string // the last entry's id
	due    int    // entries that have been read and not deleted
	bytes  int    // of those
}

type owner interface {
	// take is given entries by the reader, which it must not keep.
	take(entries []client.XRangeSlice)
	// full reports whether the owner has enough for now. It wakes the broker when it wants more.
	full() bool
	// fail tells that there is nothing more to come.
	fail(err error)
	// prompt reports whether entries are to be deleted as soon as they are read.
	prompt() bool
}

// add reads a stream for its owner from behind the entry last on, and reports whether nobody has it yet.
func (b *broker) add(key string, o owner, last string) bool {
	if !b.assign(&source{key: key, owner: o, last: last}) {
		return false
	}
	b.wake(key)
	return true
}

// assign gives a source to a reader that has room, or to a new one.
func (b *broker) assign(s *source) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sources[s.key] != nil {
		return false
	}
	for _, r := range b.readers {
		if len(r.sources) < readerSources {
			s.reader = r
			break
		}
	}
	if s.reader == nil {
		s.reader = &reader{
			b: b, wake: &source{key: b.target.key("wake", randomID()), owner: discard{}, last: fromStart},
			done: make(chan struct{}), sources: map[string]*source{},
		}
		b.readers = append(b.readers, s.reader)
		b.wg.Go(s.reader.run)
	}
	b.sources[s.key], s.reader.sources[s.key] = s, s
	return true
}

// remove reads a stream no more. A reader that has no other ends.
func (b *broker) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sources[key]
	if s == nil {
		return
	}
	delete(b.sources, key)
	if delete(s.reader.sources, key); len(s.reader.sources) == 0 {
		b.readers = slices.DeleteFunc(b.readers, func(r *reader) bool { return r == s.reader })
		s.reader.stop()
	}
}

// rewind reads a stream from its beginning: it is a new one.
func (b *broker) rewind(key string) {
	b.mu.Lock()
	if s := b.sources[key]; s != nil {
		s.last = fromStart
	}
	b.mu.Unlock()
	b.wake(key)
}

// Bounds of the pause after a read has failed.
const minPause, maxPause = 20 * time.Millisecond, 500 * time.Millisecond

// run reads until the reader is stopped.
func (r *reader) run() {
	b := r.b
	answered := time.Now()
	// Beside the commands' own deadlines, which come in the midst of an attempt. The read that waits for news has no other: a
	// timer for each would wake an idle process once more a second.
	watchdog := time.AfterFunc(failAfter, func() {
		r.noteSilence()
		r.fail(fmt.Errorf("valkey: %s does not answer: it has been silent for %v", b.target.addr, failAfter))
		r.disconnect()
	})
	defer watchdog.Stop()
	pause, wait, idle, count := time.Duration(0), block, false, int64(readEntries)
	for r.connect() {
		var err error
		idle, err = r.pass(idle, count, wait)
		switch _, refused := client.IsValkeyErr(err); {
		case err == nil:
			answered, pause, wait = time.Now(), 0, block
			watchdog.Reset(failAfter)
			b.heard.Store(int64(answered.Sub(b.born)))
			count = min(2*count, readEntries)
			if idle {
				select {
				case b.pulse <- struct{}{}:
				default:
				}
			}
			if b.silent.Swap(false) {
				select {
				case b.doubt <- struct{}{}:
				default:
				}
			}
			continue
		case refused:
			r.blame()
		default:
			r.disconnect()
			count = max(1, count/4) // on a slow network, the answer may have been too large
			r.noteSilence()
			if time.Since(answered) >= failAfter {
				r.fail(fmt.Errorf("valkey: %s does not answer: %w", b.target.addr, err))
			}
		}
		wait = probe
		pause = min(max(2*pause, minPause), maxPause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.done:
			timer.Stop()
		}
	}
	r.disconnect()
	if !b.silent.Load() {
		b.do(context.Background(), b.client.B().Del().Key(r.wake.key).Build())
	}
}

// stop ends the reader, which is told under the broker's lock.
func (r *reader) stop() {
	if r.closed {
		return
	}
	r.closed = true
	close(r.done)
	if r.conn != nil {
		r.conn.Close() // ends the blocking read
	}
}

// noteSilence notes that the server does not answer, unless the reader has been stopped.
func (r *reader) noteSilence() {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if !r.closed {
		r.b.silent.Store(true)
	}
}

// connect sees that the reader has a connection. It is false when the reader has been stopped.
func (r *reader) connect() bool {
	r.b.mu.Lock()
	have, closed := r.conn != nil, r.closed
	r.b.mu.Unlock()
	if have || closed {
		return !closed
	}
	conn, _ := r.b.client.Dedicate()
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if r.closed {
		conn.Close()
		return false
	}
	r.conn = conn
	return true
}

// disconnect closes the connection, which may wait for a server that does not answer: without the lock, therefore.
func (r *reader) disconnect() {
	r.b.mu.Lock()
	conn := r.conn
	r.conn = nil
	r.b.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// pass deletes what is due and reads once, for as long as wait. idle tells that nothing came, now or in the pass before.
func (r *reader) pass(wasIdle bool, count int64, wait time.Duration) (idle bool, err error) {
	b, wake := r.b, r.wake
	b.mu.Lock()
	conn := r.conn
	if conn == nil {
		b.mu.Unlock()
		return false, context.Canceled
	}
	var cmds []client.Completed
	keys, ids := []string{wake.key}, []string{wake.last}
	for _, s := range r.sources {
		if s.due > 0 && (wasIdle || s.due >= trimEntries || s.bytes >= trimBytes || s.owner.prompt()) {
			cmds = append(cmds, conn.B().Xtrim().Key(s.key).Minid().Threshold(behind(s.last)).Build())
			s.due, s.bytes = 0, 0
		}
		if !s.owner.full() {
			keys, ids = append(keys, s.key), append(ids, s.last)
		}
	}
	b.mu.Unlock()
	cmds = append(cmds, conn.B().Xread().Count(count).Block(wait.Milliseconds()).Streams().Key(keys...).Id(ids...).Build())
	ctx := context.Background()
	if wait != block { // after a failure, where the watchdog may have barked
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait+commandTimeout)
		defer cancel()
	}
	answers := conn.DoMulti(ctx, cmds...)
	got, err := answers[len(answers)-1].AsXReadSlices()
	if client.IsValkeyNil(err) {
		return true, nil
	}
	if err != nil {
		return false, err //nolint:wrapcheck // whoever calls looks at its type, and then wraps it
	}
	if entries := got[wake.key]; len(entries) > 0 {
		wake.last = entries[len(entries)-1].ID
	}
	for _, key := range keys[1:] {
		if entries := got[key]; len(entries) > 0 {
			b.deliver(key, entries)
		}
	}
	return false, nil
}

func (b *broker) deliver(key string, entries []client.XRangeSlice) {
	b.mu.Lock()
	s := b.sources[key]
	if s == nil { // closed meanwhile
		b.mu.Unlock()
		return
	}
	s.last = entries[len(entries)-1].ID
	s.due += len(entries)
	for _, e := range entries {
		for _, f := range e.FieldValues {
			s.bytes += len(f.Value)
		}
	}
	b.mu.Unlock()
	s.owner.take(entries)
}

// behind is the id that follows on id.
func behind(id string) string {
	ms, seq, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return id
	}
	return ms + "-" + strconv.FormatUint(n+1, 10)
}

// blame finds the sources for which the server refuses a read of all, and fails them: their keys are something else's.
func (r *reader) blame() {
	b := r.b
	all := []*source{r.wake}
	b.mu.Lock()
	for _, s := range r.sources {
		all = append(all, s)
	}
	b.mu.Unlock()
	for _, s := range all {
		err := b.do(context.Background(), b.client.B().Xread().Count(1).Streams().Key(s.key).Id("0").Build()).Error()
		if e, refused := client.IsValkeyErr(err); refused && !e.IsNil() {
			b.do(context.Background(), b.client.B().Del().Key(s.key).Build())
			s.owner.fail(fmt.Errorf("valkey: %s: reading %s: %w", b.target.addr, s.key, err))
		}
	}
}

// fail fails the links of a server that does not answer. Listeners wait until it does.
func (r *reader) fail(err error) {
	var links []*link
	r.b.mu.Lock()
	for _, s := range r.sources {
		if l, ok := s.owner.(*link); ok {
			links = append(links, l)
		}
	}
	r.b.mu.Unlock()
	for _, l := range links {
		l.fail(err)
	}
}

// discard is the owner of the stream that wakes.
type discard struct{}

func (discard) take([]client.XRangeSlice) {}
func (discard) full() bool                { return false }
func (discard) fail(error)                {}
func (discard) prompt() bool              { return false }
