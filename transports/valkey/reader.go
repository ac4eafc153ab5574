package valkey

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	client "github.com/valkey-io/valkey-go"
)

// source is a stream that the broker reads for its owner. All fields but the first two are guarded by the broker.
type source struct {
	key   string
	owner owner
	last  string // the last entry's id
	due   int    // entries that have been read and not deleted
	bytes int    // of those
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
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sources[key] != nil {
		return false
	}
	b.sources[key] = &source{key: key, owner: o, last: last}
	return true
}

func (b *broker) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sources, key)
}

// rewind reads a stream from its beginning: it is a new one.
func (b *broker) rewind(key string) {
	b.mu.Lock()
	if s := b.sources[key]; s != nil {
		s.last = "0-0"
	}
	b.mu.Unlock()
	b.wake()
}

// Bounds of the pause after a read has failed.
const minPause, maxPause = 20 * time.Millisecond, 500 * time.Millisecond

// read reads for all sources until the broker closes.
func (b *broker) read() {
	wake := &source{key: b.wakeKey, owner: discard{}, last: "0-0"}
	answered := time.Now()
	pause, idle, count := time.Duration(0), false, int64(readEntries)
	for b.connect() {
		var err error
		idle, err = b.pass(wake, idle, count)
		switch _, refused := client.IsValkeyErr(err); {
		case err == nil:
			answered, pause = time.Now(), 0
			count = min(2*count, readEntries)
			if b.silent.Swap(false) {
				select {
				case b.doubt <- struct{}{}:
				default:
				}
			}
			continue
		case refused:
			b.blame(wake)
		default:
			b.disconnect()
			count = max(1, count/4) // on a slow network, the answer may have been too large
			b.silent.Store(!b.isClosed())
			if time.Since(answered) >= failAfter {
				b.failLinks(fmt.Errorf("valkey: %s does not answer: %w", b.target.addr, err))
			}
		}
		pause = min(max(2*pause, minPause), maxPause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-b.done:
			timer.Stop()
		}
	}
	b.disconnect()
}

// connect sees that the reader has a connection. It is false when the broker is closed.
func (b *broker) connect() bool {
	if b.isClosed() {
		return false
	}
	if b.conn != nil { // nobody else sets it
		return true
	}
	conn, _ := b.client.Dedicate()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		conn.Close()
		return false
	}
	b.conn = conn
	return true
}

func (b *broker) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *broker) disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

// pass deletes what is due and reads once, for as long as block. idle tells that nothing came, now or in the pass before.
func (b *broker) pass(wake *source, wasIdle bool, count int64) (idle bool, err error) {
	b.mu.Lock()
	conn := b.conn
	if conn == nil {
		b.mu.Unlock()
		return false, context.Canceled
	}
	var cmds []client.Completed
	keys, ids := []string{wake.key}, []string{wake.last}
	for _, s := range b.sources {
		if s.due > 0 && (wasIdle || s.due >= trimEntries || s.bytes >= trimBytes || s.owner.prompt()) {
			cmds = append(cmds, conn.B().Xtrim().Key(s.key).Minid().Threshold(behind(s.last)).Build())
			s.due, s.bytes = 0, 0
		}
		if !s.owner.full() {
			keys, ids = append(keys, s.key), append(ids, s.last)
		}
	}
	b.mu.Unlock()
	cmds = append(cmds, conn.B().Xread().Count(count).Block(block.Milliseconds()).Streams().Key(keys...).Id(ids...).Build())
	ctx, cancel := context.WithTimeout(context.Background(), block+commandTimeout)
	defer cancel()
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
func (b *broker) blame(wake *source) {
	all := []*source{wake}
	b.mu.Lock()
	for _, s := range b.sources {
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

func (b *broker) failLinks(err error) {
	for _, l := range b.links() {
		l.fail(err)
	}
}

// discard is the owner of the stream that wakes.
type discard struct{}

func (discard) take([]client.XRangeSlice) {}
func (discard) full() bool                { return false }
func (discard) fail(error)                {}
func (discard) prompt() bool              { return false }
