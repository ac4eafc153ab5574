package valkey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/transports"
)

// outbox is the writing half of a link.
type outbox struct {
	sync.Mutex

	seq     uint64   // of the last entry that the server has
	entries [][]byte // gathered, not yet on the server
	unread  []int    // sizes of the entries that the server has, and the peer may not have read
	bytes   int      // their sum
	spare   []byte   // a buffer for small entries
}

// Bounds of the buffer that a link keeps, in bytes.
const minSpare, keepSpare = 4 << 10, 64 << 10

// gather copies frames into entries, and releases them.
func (o *outbox) gather(batch []*transports.Frame) {
	var buf []byte
	total := 0
	for _, f := range batch {
		total += len(f.Bytes())
	}
	for _, f := range batch {
		b := f.Bytes()
		if len(buf) > 0 && len(buf)+len(b) > entryBytes {
			o.entries = append(o.entries, buf)
			buf = nil
		}
		if buf == nil {
			buf, o.spare = o.spare[:0], nil
			if need := max(len(b), min(total, entryBytes)); cap(buf) < need {
				buf = make([]byte, 0, max(need, minSpare))
			}
		}
		buf = append(buf, b...)
		total -= len(b)
		f.Release()
	}
	if len(buf) > 0 {
		o.entries = append(o.entries, buf)
	}
}

// room is how many of the gathered entries may be sent now.
func (o *outbox) room() (n int) {
	bytes := o.bytes
	for n < len(o.entries) && len(o.unread)+n < maxUnreadEntries && bytes < maxUnread && bytes < o.bytes+sendBytes {
		bytes += len(o.entries[n])
		n++
	}
	return n
}

// sent notes that the server has the first entry.
func (o *outbox) sent() {
	size := len(o.entries[0])
	o.seq++
	o.unread = append(o.unread, size)
	o.bytes += size
	o.entries[0] = nil
	o.entries = o.entries[1:]
	if len(o.entries) == 0 {
		o.entries = nil
	}
}

// read notes that the server's stream has n entries left, and reports whether the peer has read some.
func (o *outbox) read(n int) (progress bool) {
	for len(o.unread) > n {
		o.bytes -= o.unread[0]
		o.unread = o.unread[1:]
		progress = true
	}
	return progress
}

// Bounds of the pause between looks at whether the peer has read.
const minLook, maxLook = time.Millisecond, 20 * time.Millisecond

// flush sends what is gathered. Where the peer has to read first, it waits as long as patience says from the last progress
// on. Then it is an error, or, for a writer that may leave, the rest is left for the next time.
func (l *link) flush(patience time.Duration, leave bool) (left bool, err error) {
	o := &l.box
	progress, pause := time.Now(), minLook
	for len(o.entries) > 0 {
		if err := l.broken(); err != nil {
			o.entries = nil
			return false, err
		}
		if n := o.room(); n > 0 {
			if err := l.send(n); err != nil {
				l.fail(err)
				o.entries = nil
				return false, err
			}
			progress, pause = time.Now(), minLook
			continue
		}
		read, err := l.look()
		if err != nil {
			l.fail(err)
			o.entries = nil
			return false, err
		}
		if read {
			continue
		}
		if time.Since(progress) >= patience {
			if leave {
				return true, nil
			}
			err := fmt.Errorf("valkey: write without progress for %v: %w", patience, os.ErrDeadlineExceeded)
			l.fail(err)
			o.entries = nil
			return false, err
		}
		l.wait(pause)
		pause = min(2*pause, maxLook)
	}
	return false, nil
}

// wait waits, unless the link ends first.
func (l *link) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
	case <-l.dead:
	}
}

// look asks the server how much is unread.
func (l *link) look() (read bool, err error) {
	err = l.insist(func() (bool, error) {
		n, err := l.b.do(context.Background(), l.b.client.B().Xlen().Key(l.out).Build()).AsInt64()
		if err == nil {
			read = l.box.read(int(n))
		}
		return false, err //nolint:wrapcheck // insist wraps it
	})
	return read, err
}

// send sends the first n entries.
func (l *link) send(n int) error {
	o := &l.box
	again := false
	return l.insist(func() (progress bool, err error) {
		cmds := make([]client.Completed, 0, n+1)
		for i, b := range o.entries[:n] {
			cmds = append(cmds, l.xadd(o.seq+1+uint64(i), fieldFrames, client.BinaryString(b)))
		}
		// Asked early, so that a writer as fast as its reader never waits.
		ask := len(o.unread)+n > maxUnreadEntries/2 || o.bytes > maxUnread/2
		if ask {
			cmds = append(cmds, l.b.client.B().Xlen().Key(l.out).Build())
		}
		answers := l.b.multi(context.Background(), cmds...)
		for _, a := range answers[:len(answers)-extra(ask)] {
			if err := l.stored(a.Error(), again); err != nil {
				if _, refused := client.IsValkeyErr(err); !refused {
					again = true // the server may have what it has not confirmed
				}
				return progress, err
			}
			first := o.entries[0]
			o.sent()
			n--
			progress = true
			if !again && cap(first) <= keepSpare { // else the library may still hold it
				o.spare = first
			}
		}
		if ask {
			if left, err := answers[len(answers)-1].AsInt64(); err == nil {
				o.read(int(left))
			}
		}
		return true, nil
	})
}

func extra(ask bool) int {
	if ask {
		return 1
	}
	return 0
}

func (l *link) xadd(seq uint64, field, value string) client.Completed {
	return l.b.client.B().Xadd().Key(l.out).Nomkstream().Id(entryID(seq)).FieldValue().FieldValue(field, value).Build()
}

// stored is what the answer to an XADD means.
func (l *link) stored(err error, again bool) error {
	switch {
	case err == nil:
		return nil
	case client.IsValkeyNil(err):
		return errVanished
	case again && strings.Contains(err.Error(), "equal or smaller"):
		return nil // the answer was lost, not the entry
	}
	return err
}

// passing reports whether an error goes by: the server is short of memory because others have not yet read, loads its data,
// or runs a script of somebody's.
func passing(e *client.ValkeyError) bool {
	for _, code := range []string{"OOM ", "LOADING ", "BUSY ", "MASTERDOWN ", "TRYAGAIN "} {
		if strings.HasPrefix(e.Error(), code) {
			return true
		}
	}
	return false
}

// insist runs commands until the server has answered; it gives up when there was none for failAfter, and when the link
// ends.
func (l *link) insist(f func() (progress bool, err error)) error {
	began, pause := time.Now(), minPause
	for {
		progress, err := f()
		if err == nil {
			return nil
		}
		reason := "does not answer"
		if e, refused := client.IsValkeyErr(err); refused && !passing(e) || errors.Is(err, errVanished) {
			return fmt.Errorf("valkey: %s: %w", l.b.target.addr, err)
		} else if refused {
			reason = "refuses"
		}
		if progress {
			began = time.Now()
		}
		if time.Since(began) >= failAfter {
			return fmt.Errorf("valkey: %s %s: %w", l.b.target.addr, reason, err)
		}
		l.wait(pause)
		if broken := l.broken(); broken != nil { // perhaps since a moment ago, and the next command would take its time
			return broken
		}
		pause = min(2*pause, maxPause)
	}
}
