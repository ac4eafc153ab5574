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

// errFed is what an upstream's connection is told when the body is no more.
var errFed = errors.New("edge: the request body has ended early")

// feed is a request body on its way to an upstream, as [http.Request] wants it: whoever writes to the upstream reads from it, so
// that it is read no faster than the upstream takes it. It counts the body, and notices a client that stalls or leaves, as a pump
// does. It holds nothing.
type feed struct {
	x      *Exchange
	stall  time.Duration
	watch  *watch
	broken atomic.Pointer[context.CancelCauseFunc] // ends the request; nil: it has not begun

	verdict atomic.Pointer[verdictOnBody] // set before the request is ended because of the body
	whole   atomic.Bool                   // it was read to its end

	stopping atomic.Bool // the request is over

	mu      sync.Mutex // held by whoever reads
	left    int64      // bytes that may come
	over    bool       // nobody reads on
	failed  bool       // reading has failed, and would fail again
	leave   context.CancelFunc
	unwatch func() bool
}

// startFeed lets the body be read.
func (x *Exchange) startFeed(stall time.Duration) {
	x.duplex()
	f := &feed{x: x, stall: stall, left: x.route.MaxBody}
	f.watch = newWatch(x, hungUp, func() { f.end(nil, spec.CodeClientGone) })
	if x.http1() {
		// Any error of reading from its client ends a request's context, a deadline of ours as well. As long as the body is
		// read, it is known better what has happened.
		x.ctx, f.leave = context.WithCancel(context.WithoutCancel(x.ctx))
	}
	x.feed = f
}

// Read implements [io.Reader]. Between two reads what was read waits for the upstream.
func (f *feed) Read(p []byte) (int, error) {
	f.watch.over()
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.read(p)
	if err == nil {
		f.watch.begin()
	}
	return n, err
}

// read reads. The caller holds mu.
func (f *feed) read(p []byte) (int, error) {
	switch {
	case f.whole.Load():
		return 0, io.EOF
	case f.over || f.failed:
		return 0, errFed
	}
	x := f.x
	x.readBy(time.Now().Add(f.stall))
	if f.stopping.Load() { // it may have set a deadline before this one
		return 0, errFed
	}
	n, err := x.read(p)
	if !x.http1() { // which would break the body off while the upstream takes its time
		x.readBy(time.Time{})
	}
	f.left -= int64(n)
	switch {
	case f.left < 0:
		f.failed = true
		f.end(tooLarge(x.route.MaxBody), spec.CodeLimit)
		return 0, errFed
	case err == io.EOF: //nolint:errorlint // io.Reader returns it bare
		f.whole.Store(true)
		x.readBy(time.Time{})
		if f.leave != nil { // from here on net/http watches
			f.unwatch = context.AfterFunc(x.context(), f.leave)
		}
		return n, io.EOF
	case err != nil:
		f.failed = true
		f.end(x.fault(err))
		return n, errFed
	}
	return n, nil
}

// Close implements [io.Closer]: nobody reads on. A read that waits is ended by who has begun the exchange.
func (f *feed) Close() error {
	f.watch.over()
	return nil
}

// end ends the request because of its body.
func (f *feed) end(why *problem, code spec.Code) {
	f.verdict.CompareAndSwap(nil, &verdictOnBody{why, code})
	if cancel := f.broken.Load(); cancel != nil {
		(*cancel)(errFed)
	}
}

// join ends the body of a request that is over, and waits for whoever reads it. What has been answered so far is sent first, and
// what the client still sends is read for a moment, for nobody, so that it gets to read the answer.
func (f *feed) join() {
	x := f.x
	lingers := false
	f.stopping.Store(true)
	if !f.whole.Load() {
		if lingers = !x.aborted && x.http1() && x.flush() == nil; lingers {
			x.readBy(time.Now().Add(lingering))
		} else {
			x.readBy(longAgo)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if lingers && !f.whole.Load() && !f.failed {
		f.linger()
	}
	f.watch.over()
	if f.unwatch != nil {
		f.unwatch()
	}
	if f.leave != nil {
		f.leave()
	}
}

// linger reads on for as long as the deadline says.
func (f *feed) linger() {
	frame := transports.NewFrame(chunk)
	defer frame.Release()
	b := frame.Bytes()
	b = b[len(b) : len(b)+chunk]
	for left := lingeringBytes; left > 0; {
		n, err := f.x.read(b)
		left -= n
		if err != nil {
			return
		}
	}
}
