package edge

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// errFed is what an upstream's connection is told when there is no more of the body.
var errFed = errors.New("edge: the request body has ended early")

// feed owns a request body that is streamed to an upstream: from the first time that the upstream's connection wants some of it, to
// its end or the request's, it reads the body, counts it, and notices a client that stalls or leaves, as a pump does. It is joined
// before the handler returns. It holds two chunks: one that the connection takes, and the next one.
//
// Whoever writes to the upstream takes the body by Read, which never waits for the client once the request is over: net/http
// waits for its writer before it tells that a request has failed.
type feed struct {
	x      *Exchange
	stall  time.Duration
	watch  *watch
	cancel context.CancelCauseFunc // ends the request

	parts chan []byte   // what was read; closed at the body's end
	gone  chan struct{} // closed when nobody takes any more
	leave func()        // closes it

	verdict  atomic.Pointer[verdictOnBody] // set before the request is ended because of the body
	whole    atomic.Bool                   // it was read to its end
	stopping atomic.Bool                   // the body is not wanted any more
	aborting atomic.Bool                   // and the connection is to end at once
	done     chan struct{}                 // closed when nobody reads from the client any more

	mu      sync.Mutex // held for moments
	begun   bool
	over    bool // the chunks are no more
	chunks  [2]*transports.Frame
	part    []byte // what is left of the one that was taken
	away    context.CancelFunc
	unwatch func() bool // stops waiting for net/http to say that the client has left; set before done is closed
}

// startFeed makes the body ready to be read. The context is that of the request, and ends with the client.
func (x *Exchange) startFeed(stall time.Duration) (context.Context, context.CancelCauseFunc) {
	x.duplex()
	f := &feed{x: x, stall: stall, parts: make(chan []byte), gone: make(chan struct{}), done: make(chan struct{})}
	f.leave = sync.OnceFunc(func() { close(f.gone) })
	f.watch = newWatch(x, hungUp, func() { f.end(nil, spec.CodeClientGone) })
	if x.http1() {
		// Any error of reading from its client ends a request's context, a deadline of ours as well. As long as the body is
		// read, it is known better what has happened.
		x.ctx, f.away = context.WithCancel(context.WithoutCancel(x.ctx))
	}
	ctx, cancel := context.WithCancelCause(x.ctx)
	f.cancel = func(cause error) {
		cancel(cause)
		f.leave()
	}
	x.feed = f
	return ctx, f.cancel
}

// Read implements [io.Reader]. The first one begins to read from the client, which is told to go on where it waits for that.
func (f *feed) Read(p []byte) (int, error) {
	f.mu.Lock()
	if !f.begun && !f.over {
		f.begun = true
		for i := range f.chunks {
			f.chunks[i] = transports.NewFrame(chunk)
		}
		go f.run()
	}
	empty := len(f.part) == 0
	f.mu.Unlock()
	var next []byte
	if empty {
		select {
		case part, more := <-f.parts:
			if !more {
				return 0, io.EOF
			}
			next = part
		case <-f.gone:
			return 0, errFed
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return 0, errFed
	}
	if empty {
		f.part = next
	}
	n := copy(p, f.part)
	f.part = f.part[n:]
	return n, nil
}

// Close implements [io.Closer]: the upstream wants no more.
func (f *feed) Close() error {
	f.leave()
	return nil
}

func (f *feed) run() {
	defer close(f.done)
	limit := f.x.maxBody()
	left := limit
	for i := 0; ; i ^= 1 { // what is in one chunk is taken whole before anything of the other is
		f.x.readBy(time.Now().Add(f.stall))
		if f.stopping.Load() {
			f.linger()
			return
		}
		b := f.room(i)
		n, err := f.x.read(b)
		if !f.x.http1() { // which would break the body off while the upstream takes its time
			f.x.readBy(time.Time{})
		}
		if left -= int64(n); left < 0 {
			f.end(tooLarge(limit), spec.CodeLimit)
			return
		}
		ended := err == io.EOF //nolint:errorlint // io.Reader returns it bare
		if ended {
			f.whole.Store(true)
			f.x.readBy(time.Time{})
			if f.away != nil { // from here on net/http watches
				f.unwatch = context.AfterFunc(f.x.context(), f.away)
			}
		}
		if n > 0 && !f.hand(b[:n], !ended) {
			if !ended {
				f.linger()
			}
			return
		}
		switch {
		case ended:
			close(f.parts)
			return
		case err != nil:
			f.end(f.x.fault(err))
			return
		}
	}
}

// room is where a chunk's bytes go.
func (f *feed) room(i int) []byte {
	b := f.chunks[i].Bytes()
	return b[len(b) : len(b)+chunk]
}

// hand waits until a part is taken, and meanwhile looks whether the client has left, unless net/http does. It reports whether the part
// was taken.
func (f *feed) hand(part []byte, look bool) bool {
	if look {
		f.watch.begin()
		defer f.watch.over()
	}
	select {
	case f.parts <- part:
		return true
	case <-f.gone:
		return false
	}
}

// end ends the request because of its body.
func (f *feed) end(why *problem, code spec.Code) {
	f.verdict.CompareAndSwap(nil, &verdictOnBody{why, code})
	f.cancel(errFed)
}

// linger reads on for a moment, for nobody, so that a client that is still sending gets to read the answer.
func (f *feed) linger() {
	if !f.x.http1() {
		return // the stream is reset, the connection goes on
	}
	f.mu.Lock()
	f.over = true // what was taken is not read any more
	f.mu.Unlock()
	f.x.readBy(time.Now().Add(lingering))
	b := f.room(0)
	for left := lingeringBytes; left > 0 && !f.aborting.Load(); {
		n, err := f.x.read(b)
		left -= n
		if err != nil {
			return
		}
	}
}

// join ends the body of a request that is over, and waits for whoever reads it. What has been answered so far is sent first.
func (f *feed) join() {
	f.leave()
	f.mu.Lock()
	begun := f.begun
	f.begun = true // nobody begins any more
	f.mu.Unlock()
	if begun {
		f.await()
	}
	f.mu.Lock()
	f.over = true
	for _, frame := range f.chunks {
		frame.Release()
	}
	f.mu.Unlock()
	f.watch.over()
	if f.unwatch != nil {
		f.unwatch()
	}
	if f.away != nil {
		f.away()
	}
}

// reads reports whether somebody reads from the client, or has. A nil feed does not.
func (f *feed) reads() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun
}

// await waits until nobody reads from the client any more.
func (f *feed) await() {
	select {
	case <-f.done:
		return
	default:
	}
	f.stopping.Store(true)
	if f.x.aborted || !f.x.http1() {
		f.aborting.Store(true)
		f.x.readBy(longAgo)
	} else if f.x.flush() == nil {
		f.x.readBy(time.Now().Add(lingering))
	}
	<-f.done
}
