package limit

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// queueing is a service that does some calls at once, each of which takes its time, while the others wait.
type queueing struct {
	places chan struct{}
	takes  atomic.Int64
}

func newQueueing(places int, takes time.Duration) *queueing {
	q := &queueing{places: make(chan struct{}, places)}
	q.takes.Store(int64(takes))
	return q
}

func (q *queueing) call() {
	q.places <- struct{}{}
	time.Sleep(time.Duration(q.takes.Load()))
	<-q.places
}

// load is what became of the requests of a while.
type load struct {
	mu      sync.Mutex
	took    []time.Duration // of those that were served
	refused int
}

// slowest is how long all but the given part of the served requests took at most.
func (l *load) slowest(part float64) time.Duration {
	slices.Sort(l.took)
	return l.took[int(float64(len(l.took)-1)*(1-part))]
}

// rig is a limiter that runs, and its test.
type rig struct {
	*testing.T
	*Limiter
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, c Config, test func(rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := New(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Run(ctx)
		}()
		test(rig{t, l})
		cancel()
		<-ended
		if n, calls := l.gauge.inFlight.Load(), l.gauge.calls.Load(); n != 0 || calls != 0 {
			t.Errorf("%d requests and %d calls are in flight at the end", n, calls)
		}
	})
}

// ask sends requests at a rate for a while, whatever becomes of them, and waits for all.
func (r rig) ask(q *queueing, endpoint string, aSecond int, lasts time.Duration) *load {
	out := &load{}
	var wg sync.WaitGroup
	p := r.Plan("service", endpoint)
	every := time.NewTicker(time.Second / time.Duration(aSecond))
	defer every.Stop()
	for end := time.Now().Add(lasts); time.Now().Before(end); <-every.C {
		wg.Go(func() {
			if !r.Enter(p, true) {
				out.mu.Lock()
				out.refused++
				out.mu.Unlock()
				return
			}
			begun := time.Now()
			q.call()
			took := time.Since(begun)
			r.Leave(p, true, took)
			out.mu.Lock()
			out.took = append(out.took, took)
			out.mu.Unlock()
		})
	}
	wg.Wait()
	return out
}

var adaptive = Config{Concurrency: Concurrency{Adaptive: true}}

func TestFiveTimesWhatAServiceCanDo(t *testing.T) {
	virtually(t, adaptive, func(r rig) {
		const seconds, capacity = 60, 10 * 50 // a second
		q := newQueueing(10, 20*time.Millisecond)
		got := r.ask(q, "GET /", 5*capacity, seconds*time.Second)
		if served := len(got.took); served < capacity*seconds*8/10 {
			r.Errorf("%d of %d were served, expected eight tenths of what can be", served, capacity*seconds)
		}
		if slow := got.slowest(0.01); slow > 3*20*time.Millisecond {
			r.Errorf("99 %% of them took up to %s, expected three times as long as without load at most", slow)
		}
		if after := r.ask(q, "GET /", capacity*8/10, 5*time.Second); after.refused > 0 {
			r.Errorf("%d are refused after the overload", after.refused)
		}
	})
}

func TestNothingIsRefusedThatAServiceCanDo(t *testing.T) {
	virtually(t, adaptive, func(r rig) {
		q := newQueueing(1000, 50*time.Millisecond)
		if got := r.ask(q, "GET /", 1000, 20*time.Second); got.refused > 0 { // 50 at once
			r.Errorf("%d were refused", got.refused)
		}
	})
}

func TestTheLimitGrowsWithDemand(t *testing.T) {
	virtually(t, adaptive, func(r rig) {
		q := newQueueing(10_000, 100*time.Millisecond)
		r.ask(q, "GET /", 5000, 20*time.Second) // 500 at once
		if got := r.ask(q, "GET /", 5000, 5*time.Second); got.refused > 0 {
			r.Errorf("%d were refused, at a limit of %d", got.refused, r.gauge.limit.Load())
		}
	})
}

func TestAServiceThatTakesLongerForGoodIsNotStarved(t *testing.T) {
	virtually(t, adaptive, func(r rig) {
		q := newQueueing(1000, 20*time.Millisecond)
		r.ask(q, "GET /", 2000, 5*time.Second)
		q.takes.Store(int64(200 * time.Millisecond)) // 400 at once
		r.ask(q, "GET /", 2000, 60*time.Second)
		if got := r.ask(q, "GET /", 2000, 5*time.Second); got.refused > len(got.took)/10 {
			r.Errorf("%d of %d were refused, at a limit of %d", got.refused, got.refused+len(got.took), r.gauge.limit.Load())
		}
	})
}

func TestCallsOfManyLengthsAreComparedEachWithItsOwn(t *testing.T) {
	virtually(t, adaptive, func(r rig) {
		fast, slow := newQueueing(1000, time.Millisecond), newQueueing(1000, time.Second)
		r.ask(fast, "GET /fast", 1000, 10*time.Second)
		if got := r.ask(slow, "GET /slow", 50, 20*time.Second); got.refused > 0 { // 50 at once
			r.Errorf("%d were refused, at a limit of %d", got.refused, r.gauge.limit.Load())
		}
	})
}

func TestBackgroundIsRefusedFirstAndCriticalLast(t *testing.T) {
	c := adaptive
	c.Priorities = []Priority{{Endpoint: "GET /vital", Class: ClassCritical}, {Endpoint: "GET /report", Class: ClassBackground}}
	virtually(t, c, func(r rig) {
		q := newQueueing(10, 20*time.Millisecond) // 500 a second
		var vital, ordinary, report *load
		var wg sync.WaitGroup
		for _, part := range []struct {
			out      **load
			endpoint string
			aSecond  int
		}{{&vital, "GET /vital", 100}, {&ordinary, "GET /", 450}, {&report, "GET /report", 400}} {
			wg.Go(func() { *part.out = r.ask(q, part.endpoint, part.aSecond, 30*time.Second) })
		}
		wg.Wait()
		rate := func(l *load) float64 { return float64(l.refused) / float64(l.refused+len(l.took)) }
		if rate(vital) > 0.01 || rate(ordinary) > 0.5 || rate(report) < rate(ordinary)+0.2 {
			r.Errorf("of critical %.3f were refused, of normal %.3f, of background %.3f: expected next to none, some, and more",
				rate(vital), rate(ordinary), rate(report))
		}
	})
}

func TestTheLimitKeepsToItsBounds(t *testing.T) {
	c := Config{Concurrency: Concurrency{Adaptive: true, Min: 5, Max: 20}}
	virtually(t, c, func(r rig) {
		q := newQueueing(1, 20*time.Millisecond)
		r.ask(q, "GET /", 1000, 20*time.Second)
		if n := r.gauge.limit.Load(); n < 5 || n > 20 {
			r.Errorf("it is %d", n)
		}
		c.Concurrency.Min, c.Concurrency.Max = 30, 40
		if err := r.Apply(c); err != nil {
			r.Fatal(err)
		}
		r.ask(q, "GET /", 1000, 2*time.Second)
		if n := r.gauge.limit.Load(); n < 30 || n > 40 {
			r.Errorf("it is %d after its bounds have changed", n)
		}
	})
}

func TestTheAdaptiveLimitCanBeTurnedOn(t *testing.T) {
	virtually(t, Config{Concurrency: Concurrency{Total: 1 << 20}}, func(r rig) {
		q := newQueueing(1, 20*time.Millisecond)
		if got := r.ask(q, "GET /", 100, 5*time.Second); got.refused > 0 {
			r.Fatalf("%d were refused without a limit", got.refused)
		}
		if err := r.Apply(adaptive); err != nil {
			r.Fatal(err)
		}
		if got := r.ask(q, "GET /", 1000, 5*time.Second); got.refused == 0 {
			r.Fatal("none was refused with one")
		}
	})
}
