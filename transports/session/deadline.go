package session

import (
	"os"
	"sync"
	"time"
)

// deadlines bound what a service waits for within one call, each way. Calls have none until somebody sets one.
type deadlines struct{ read, write deadline }

// deadline wakes whoever waits when its time has come. It may be set anew at any time. The zero value never comes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	late  chan struct{} // closed once the time has come; nil: nobody has set it
}

// set replaces the deadline. The zero time is none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.late // its function has begun, and closes this
	}
	d.timer = nil
	passed := false
	if d.late != nil {
		select {
		case <-d.late:
			passed = true
		default:
		}
	}
	if d.late == nil || passed {
		d.late = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	late := d.late
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(late) })
	} else {
		close(late)
	}
}

// done is closed when the time has come.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.late
}

// SetReadDeadline bounds reads of the request's body, those that wait already included: they fail with
// [os.ErrDeadlineExceeded]. The zero time is no bound. It never fails.
func (c *Incoming) SetReadDeadline(t time.Time) error {
	c.bounds().read.set(t)
	return nil
}

// SetWriteDeadline bounds writes of the answer in the same way.
func (c *Incoming) SetWriteDeadline(t time.Time) error {
	c.bounds().write.set(t)
	return nil
}

// bounds are the call's deadlines. Who waits without any looks again when they are made.
func (c *Incoming) bounds() *deadlines {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late == nil {
		c.late = new(deadlines)
		c.wakeAll()
	}
	return c.late
}

// readLate and writeLate are closed when the time to wait is over; nil: never. The caller holds mu.
func (st *stream) readLate() <-chan struct{} {
	if st.late == nil {
		return nil
	}
	return st.late.read.done()
}

func (st *stream) writeLate() <-chan struct{} {
	if st.late == nil {
		return nil
	}
	return st.late.write.done()
}

// passed is the error once late is closed.
func passed(late <-chan struct{}) error {
	select {
	case <-late:
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}
