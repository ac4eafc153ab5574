package session_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// schedules is how many seeds TestSchedule plays.
var schedules = flag.Int("schedules", 120, "how many schedules of faults are played")

// fault is what a direction of a link does for a while.
type fault struct {
	until time.Duration // from the schedule's beginning
	kind  string        // fine, slow, stalled, silent, closed
	delay time.Duration // of each batch, when it is slow
}

// schedule is what a direction does, one fault after the other.
type schedule []fault

// draw makes a schedule: most of the time things are fine, and not every schedule ends badly.
func draw(random *rand.Rand) schedule {
	at := time.Millisecond
	s := schedule{{until: at, kind: "fine"}} // the session opens
	for range 1 + random.IntN(6) {
		at += time.Duration(random.IntN(8_000)) * time.Millisecond
		f := fault{until: at, kind: []string{"fine", "fine", "slow", "slow", "stalled", "silent", "closed"}[random.IntN(7)]}
		f.delay = time.Duration(random.IntN(300)) * time.Millisecond
		s = append(s, f)
		if f.kind == "closed" {
			break
		}
	}
	return s
}

func (s schedule) String() string {
	var text strings.Builder
	for _, f := range s {
		fmt.Fprintf(&text, " %s until %v", f.kind, f.until)
	}
	return text.String()
}

// scheduled is an end of a link whose writes go as its schedule says.
type scheduled struct {
	transports.Link

	schedule schedule
	begin    time.Time
	rest     []*transports.Frame // left by WriteSome
	once     sync.Once
	closed   chan struct{}
}

func newScheduled(l transports.Link, s schedule) *scheduled {
	return &scheduled{Link: l, schedule: s, begin: time.Now(), closed: make(chan struct{})}
}

// wait lets time pass, or less if the link is closed.
func (l *scheduled) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.closed:
	}
}

func (l *scheduled) now() fault {
	at := time.Since(l.begin)
	for _, f := range l.schedule {
		if at < f.until {
			return f
		}
	}
	return fault{kind: "fine"}
}

// WriteSome implements [transports.Patient]: a stall leaves all for the next write.
func (l *scheduled) WriteSome(batch []*transports.Frame) (left bool, err error) {
	if l.now().kind != "stalled" {
		return false, l.WriteFrames(batch)
	}
	l.rest = append(l.rest, batch...)
	return true, nil
}

func (l *scheduled) WriteFrames(batch []*transports.Frame) error {
	batch, l.rest = append(l.rest, batch...), nil
	for began := time.Now(); ; {
		f := l.now()
		switch f.kind {
		case "slow":
			l.wait(f.delay)
		case "stalled":
			l.wait(min(time.Until(l.begin.Add(f.until)), time.Until(began.Add(spec.WriteStall))))
			select {
			case <-l.closed:
				return l.Link.WriteFrames(batch)
			default:
			}
			if time.Since(began) >= spec.WriteStall {
				for _, f := range batch {
					f.Release()
				}
				return os.ErrDeadlineExceeded // as every link must
			}
			continue
		case "silent":
			for _, f := range batch {
				f.Release()
			}
			return nil
		case "closed":
			_ = l.Close()
		}
		return l.Link.WriteFrames(batch)
	}
}

// Close also ends a write that the schedule holds up, as closing a socket does.
func (l *scheduled) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Link.Close()
}

// seededServe serves calls in the ways in which handlers do.
func seededServe(random *rand.Rand, mu *sync.Mutex) func(*session.Incoming) {
	return func(c *session.Incoming) {
		mu.Lock()
		how, size, pause := random.IntN(8), random.IntN(200_000), time.Duration(random.IntN(3000))*time.Millisecond
		mu.Unlock()
		switch how {
		case 0:
			respond(c, 200, "")
		case 1:
			_, _ = io.Copy(io.Discard, c)
			respond(c, 200, string(make([]byte, size)))
		case 2:
			if c.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
				if _, err := c.ReadFrom(c); err == nil {
					_ = c.End()
				}
			}
		case 3:
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = c.Write(make([]byte, size))
		case 4:
			c.Cancel(spec.CodeStale, "")
		case 5: // no answer
		case 6:
			select {
			case <-time.After(pause):
			case <-c.Context().Done():
			}
			respond(c, 200, "late")
		case 7:
			_, _ = io.Copy(io.Discard, c)
			_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, make([]byte, size), append(c.Trailers(), digest...))
		}
	}
}

// seededCall makes one call to its end, and reports how long it waited beyond what it was promised.
func seededCall(g *session.Gateway, random *rand.Rand) (begun bool, err error) {
	const timeout, idle, slack = 5 * time.Second, 5 * time.Second, 3 * time.Second
	whole, size, reads, leaves := random.IntN(2) == 0, random.IntN(300_000), random.IntN(30), random.IntN(4) == 0
	stays := time.Duration(random.IntN(2_000)) * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if leaves {
		go func() {
			select {
			case <-time.After(stays):
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	f, meta := request("", -1)
	flags := spec.Flags(0)
	if whole {
		flags = spec.FlagEnd
	}
	began := time.Now()
	c, err := g.Start(f, meta, flags, timeout)
	if err != nil {
		return false, nil // that it is refused is an outcome
	}
	defer c.Close()
	var pump sync.WaitGroup
	defer pump.Wait()
	if !whole {
		pump.Go(func() {
			if size%2 == 0 {
				_ = sendAll(c, make([]byte, size))
			} else if sendPart(c, make([]byte, size)) == nil {
				_ = c.EndWith(digest)
			}
		})
	}
	defer c.Cancel(spec.CodeNoError)
	head, err := c.Head(ctx)
	// A caller that writes for others as well is held up by a few slow writes at most.
	if took := time.Since(began); took > timeout+slack {
		return true, fmt.Errorf("a call waited %v for its head: %w", took, err)
	}
	if err != nil {
		return true, nil // an outcome
	}
	head.Release()
	for range reads {
		at := time.Now()
		f, err := c.Next(ctx, idle)
		if took := time.Since(at); took > idle+slack {
			return true, fmt.Errorf("a call waited %v for a part of its answer: %w", took, err)
		}
		if err != nil {
			return true, nil // an outcome
		}
		c.Consumed(len(f.Body()))
		f.Release()
	}
	return true, nil
}

// playSchedule plays the schedule of a seed.
func playSchedule(t *testing.T, seed uint64) (err error) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	a, b := inmemory.Pipe()
	near, far := newScheduled(a, draw(random)), newScheduled(b, draw(random))
	opened := make(chan *session.Service, 1)
	var mu sync.Mutex
	go func() {
		h := hello()
		trailers(&h)
		s, err := session.Open(context.Background(), far, session.ServiceConfig{
			Hello: h, Manifest: []byte("m"), Serve: seededServe(rand.New(rand.NewPCG(seed, 1)), &mu),
		})
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	g, err := session.Accept(context.Background(), near, session.GatewayConfig{})
	if err != nil {
		return err
	}
	s := <-opened
	defer func() {
		if err != nil {
			err = fmt.Errorf("seed %d, to the service:%v, to the gateway:%v: %w", seed, near.schedule, far.schedule, err)
		}
	}()
	errs := make(chan error, 8)
	var calls sync.WaitGroup
	for caller := range cap(errs) {
		own := rand.New(rand.NewPCG(seed, uint64(2+caller)))
		calls.Go(func() {
			for range 12 {
				begun, err := seededCall(g, own)
				if err != nil {
					errs <- err
					return
				}
				if !begun {
					time.Sleep(200 * time.Millisecond)
				}
			}
		})
	}
	calls.Wait()
	time.Sleep(spec.CancelHold + time.Second)
	synctest.Wait()
	select {
	case err = <-errs:
	default:
	}
	if err == nil && g.Err() == nil && s.Err() == nil && !lossy(near.schedule) && !lossy(far.schedule) {
		time.Sleep(time.Minute) // until the last fault is over
		synctest.Wait()
		if g.Err() == nil && s.Err() == nil {
			err = balanced(g, s)
		}
	}
	return errors.Join(err, g.Close(spec.CodeShutdown, ""), s.Close())
}

// lossy reports whether frames vanish: no link may do that, so the books need not balance.
func lossy(s schedule) bool {
	for _, f := range s {
		if f.kind == "silent" {
			return true
		}
	}
	return false
}

// TestSchedule plays seeded schedules of faults under seeded calls in virtual time: nobody waits for longer than was
// promised, whatever happens to the link, and what a session that lives has lent is given back. A failure names its seed;
// -args -seed N plays that one again.
func TestSchedule(t *testing.T) {
	first, n := rand.Uint64N(1<<48), *schedules
	if *seed != 0 {
		first, n = *seed, 1
	}
	for i := range n {
		var err error
		synctest.Test(t, func(t *testing.T) { err = playSchedule(t, first+uint64(i)) })
		if err != nil {
			t.Fatal(err)
		}
	}
}
