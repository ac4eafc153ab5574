package routing_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

func TestRouting(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Routing")
}

const patience = 5 * time.Second

var (
	ready = spec.Heartbeat{Status: spec.StatusReady, Lease: 1}
	names atomic.Int64
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// world is a registry, its log, and the time it is told.
type world struct {
	*routing.Registry

	log bytes.Buffer
	now time.Time
}

func newWorld(region string) *world { return newOwnedWorld(region, nil) }

func newOwnedWorld(region string, owners routing.Owners) *world {
	return newWorldOf(routing.Config{Region: region, Owners: owners})
}

// newWorldOf is a world by configuration, in which services beat every second and are known for a minute after.
func newWorldOf(cfg routing.Config) *world {
	GinkgoHelper()
	w := &world{now: epoch}
	cfg.Heartbeat, cfg.Retain, cfg.Logger = time.Second, time.Minute, slog.New(slog.NewTextHandler(&w.log, nil))
	Expect(cfg.Check()).To(Succeed())
	w.Registry = routing.NewRegistry(cfg)
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before)) })
	return w
}

// later moves the time on and refreshes.
func (w *world) later(d time.Duration) {
	w.now = w.now.Add(d)
	w.Refresh(w.now)
}

func endpoint(method, path string) spec.Endpoint {
	e := spec.Endpoint{
		Method: method, Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test",
		Limits: spec.DefaultLimits,
	}
	p, err := spec.ParsePattern(path)
	Expect(err).NotTo(HaveOccurred())
	for _, name := range p.Params() {
		e.Params = append(e.Params, spec.Param{Name: name, In: spec.InPath, Required: true, Schema: &spec.Schema{Type: "string"}})
	}
	return e
}

type who struct {
	service, version, region string
	lease                    int
	id, supersedes           string
	overlay                  []spec.OverlayEndpoint
}

// features are those that its HELLO has to name.
func (i *who) features() []spec.Feature {
	if len(i.overlay) == 0 {
		return nil
	}
	return []spec.Feature{{Name: spec.FeatureOverlay, Critical: true}}
}

// join opens a session and adds it. Every call on it blocks until the session ends.
func (w *world) join(i who, endpoints ...spec.Endpoint) *routing.Instance {
	GinkgoHelper()
	m := &spec.Manifest{Service: i.service, Version: i.version, Endpoints: endpoints}
	manifest, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	near, far := inmemory.Pipe()
	opened := make(chan *session.Service, 1)
	go func() {
		defer GinkgoRecover()
		s, err := session.Open(context.Background(), far, session.ServiceConfig{
			Hello: spec.Hello{
				Instance: spec.Instance{Service: i.service, Version: i.version, Region: i.region, ID: cmp.Or(i.id, fmt.Sprintf("i%d", names.Add(1)))},
				Lease:    max(i.lease, 1), Supersedes: i.supersedes, Features: i.features(), Overlay: i.overlay,
			},
			Manifest: manifest, Serve: func(in *session.Incoming) { <-in.Context().Done() },
		})
		Expect(err).NotTo(HaveOccurred())
		opened <- s
	}()
	g, err := session.Accept(context.Background(), near, session.GatewayConfig{})
	Expect(err).NotTo(HaveOccurred())
	var s *session.Service
	Eventually(opened).WithTimeout(patience).Should(Receive(&s))
	DeferCleanup(func() {
		Expect(g.Close(spec.CodeNoError, "")).To(Succeed())
		Expect(s.Close()).To(Succeed())
	})
	offer, err := routing.Prepare(g.Hello(), g.Manifest())
	Expect(err).NotTo(HaveOccurred())
	return w.Add(g, offer, w.now)
}

// quarantine is why an instance is quarantined.
func (w *world) quarantine(in *routing.Instance) string { return w.quarantines(in)[0] }

// quarantines are why the sessions of an instance's id are quarantined, in the order in which they came.
func (w *world) quarantines(in *routing.Instance) []string {
	reasons := []string{}
	for _, s := range w.Services() {
		for _, v := range s.Instances {
			if v.ID == in.ID() {
				reasons = append(reasons, v.Quarantine)
			}
		}
	}
	return append(reasons, "unknown")
}

// owner is the service that serves a path, or the empty string.
func (w *world) owner(method, path string) string {
	if e := w.Snapshot().Match(method, path, nil).Endpoint; e != nil {
		return e.Service
	}
	return ""
}

// release is what requests without a version go to.
func (w *world) release(path string) *routing.Release {
	return w.Snapshot().Match("GET", path, nil).Endpoint.Default("").Release
}

// shares counts what becomes of so many picks for a path.
func (w *world) shares(path string, picks int) map[*routing.Instance]int {
	counts := map[*routing.Instance]int{}
	for range picks {
		counts[w.pick(path)]++
	}
	return counts
}

// shown is an instance as operators see it.
func (w *world) shown(in *routing.Instance) routing.InstanceView {
	GinkgoHelper()
	for _, s := range w.Services() {
		for _, v := range s.Instances {
			if v.ID == in.ID() {
				return v
			}
		}
	}
	Fail("the instance is not shown")
	return routing.InstanceView{}
}

// pick picks for a path by default version.
func (w *world) pick(path string) *routing.Instance {
	return w.Snapshot().Match("GET", path, nil).Endpoint.Default("").Release.Pick(w.now, nil)
}
