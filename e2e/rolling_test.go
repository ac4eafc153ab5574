package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/spec"
)

// fleet is a service of several instances behind one or more gateways, and clients that call it without a pause.
type fleet struct {
	gateways []*stack
	ledger   string
	ready    []atomic.Bool // whether a gateway's /readyz says so, as a load balancer would ask

	mu       sync.Mutex
	answered map[string]bool // ids of requests that were answered with 200
	failed   []string
	large    map[int]int // what became of large bodies: how often which status
	calls    int
}

func startFleet(gateways int) *fleet {
	GinkgoHelper()
	stacks := make([]*stack, gateways)
	for i := range stacks {
		stacks[i] = &stack{listen: "tcp://" + address()}
	}
	return startFleetOn(stacks...)
}

// startFleetOn starts gateways that listen where the stacks say.
func startFleetOn(stacks ...*stack) *fleet {
	GinkgoHelper()
	return startFleetBy(processes(), stacks...)
}

// startFleetBy is startFleetOn for gateways of a form.
func startFleetBy(by form, stacks ...*stack) *fleet {
	GinkgoHelper()
	f := &fleet{
		ledger: filepath.Join(GinkgoT().TempDir(), "ledger"), answered: map[string]bool{}, large: map[int]int{},
		ready: make([]atomic.Bool, len(stacks)),
	}
	for _, s := range stacks {
		s.form, s.http, s.admin, s.rest = by, address(), address(), map[program]held{}
		s.settings.drainDelay = time.Second
		s.startGateway()
		f.gateways = append(f.gateways, s)
	}
	return f
}

// instance starts one instance, and waits until every gateway that is ready routes to it.
func (f *fleet) instance(id string, env ...string) *process {
	GinkgoHelper()
	var urls []string
	for _, s := range f.gateways {
		if url := cmp.Or(s.dial, s.listen); !slices.Contains(urls, url) { // gateways at one broker have one
			urls = append(urls, url)
		}
	}
	p := start(id, append(env, "STELLA_GATEWAYS="+strings.Join(urls, ","), "STELLA_INSTANCE_ID="+id, fixture.EnvLedger+"="+f.ledger),
		filepath.Join(scratch, "fixture"))
	for _, s := range f.gateways {
		if !s.gateway.ended() {
			Eventually(s.serves).WithArguments(id).Should(BeTrue(), "%s at %s", id, s.admin)
		}
	}
	return p
}

// serves reports whether an instance is connected and may be picked.
func (s *stack) serves(id string) bool {
	for _, v := range s.services() {
		for _, in := range v.Instances {
			if in.ID == id && in.Health == "healthy" && in.Quarantine == "" {
				return true
			}
		}
	}
	return false
}

// watch asks every gateway whether it is ready, until ctx ends.
func (f *fleet) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for i, s := range f.gateways {
			a, err := try(http.MethodGet, "http://"+s.admin+"/readyz", http.NoBody)
			f.ready[i].Store(err == nil && a.StatusCode == http.StatusOK)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// load calls until ctx ends: bodies of up to 64 KiB, whose calls must not fail, or large ones.
func (f *fleet) load(ctx context.Context, large bool) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for i := 0; ctx.Err() == nil; i++ {
		s := f.gateways[i%len(f.gateways)]
		if !f.ready[i%len(f.gateways)].Load() {
			continue
		}
		size, path := []int{0, 100, 10_000, 40_000, 64 << 10}[rand.IntN(5)], "/ledger"
		if large {
			size, path = 200_000+rand.IntN(2_000_000), "/ledger/large"
		}
		f.note(large, size, s.url(path), client)
	}
}

func (f *fleet) note(large bool, size int, url string, client *http.Client) {
	resp, err := client.Post(url, "application/octet-stream", bytes.NewReader(make([]byte, size)))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	var p spec.Problem
	switch {
	case err != nil:
		f.failed = append(f.failed, err.Error())
	case resp.StatusCode == http.StatusOK && string(body) == strconv.Itoa(size):
		f.answered[resp.Header.Get("X-Request-Id")] = true
		if large {
			f.large[http.StatusOK]++
		}
	case large && resp.StatusCode == http.StatusServiceUnavailable && json.Unmarshal(body, &p) == nil && p.Retryable:
		f.large[http.StatusServiceUnavailable]++
	default:
		f.failed = append(f.failed, fmt.Sprintf("%d bytes: %s: %.300s", size, resp.Status, body))
	}
}

// under runs clients of both kinds while something happens.
func (f *fleet) under(happens func()) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer GinkgoRecover()
		f.watch(ctx)
	})
	for i := range f.ready {
		Eventually(f.ready[i].Load).Should(BeTrue())
	}
	for i := range 8 {
		wg.Go(func() { f.load(ctx, i < 2) })
	}
	happens()
}

// settled expects that nothing failed, and that what was answered was done once and nothing was done twice.
func (f *fleet) settled() {
	GinkgoHelper()
	text, err := os.ReadFile(f.ledger)
	Expect(err).NotTo(HaveOccurred())
	executed := map[string]int{}
	for id := range strings.FieldsSeq(string(text)) {
		executed[id]++
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	GinkgoWriter.Printf("%d calls, %d answered, %d executed; large: %v\n", f.calls, len(f.answered), len(executed), f.large)
	Expect(f.failed).To(BeEmpty(), "of %d calls", f.calls)
	Expect(len(f.answered)).To(BeNumerically(">", 100), "there was a load")
	for id, n := range executed {
		Expect(n).To(Equal(1), "request %s was executed %d times", id, n)
	}
	for id := range f.answered {
		Expect(executed[id]).To(Equal(1), "request %s was answered", id)
	}
}

var _ = Describe("a fleet under load", func() {
	It("loses no call and does none twice while three instances are restarted ten times, one after the other", func() {
		f := startFleet(1)
		instances := make([]*process, 3)
		for i := range instances {
			instances[i] = f.instance(fmt.Sprintf("i%d-0", i))
		}
		f.under(func() {
			for round := range 10 {
				for i, old := range instances {
					old.end()
					instances[i] = f.instance(fmt.Sprintf("i%d-%d", i, round+1))
				}
			}
		})
		f.settled()
	})

	It("loses no call while its only instance renews its session several times a second", func() {
		f := startFleet(1)
		p := f.instance("i0", "STELLA_MAX_AGE=150ms")
		f.under(func() {
			Eventually(func() int { return strings.Count(p.log(), "session replaced") }).Should(BeNumerically(">", 15))
		})
		f.settled()
	})

	It("loses no call when one of three gateways drains", func() {
		f := startFleet(3)
		for i := range 2 {
			f.instance(fmt.Sprintf("i%d", i))
		}
		f.under(func() {
			for _, s := range f.gateways[:2] {
				<-time.After(300 * time.Millisecond)
				s.gateway.end()
			}
			<-time.After(300 * time.Millisecond)
		})
		f.settled()
	})
})
