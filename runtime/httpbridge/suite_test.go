package httpbridge_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

func TestHTTPBridge(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "HTTP bridge")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

// journal is a log that a spec can read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// bridge runs a service that serves one endpoint, such as "GET /a/{id}", by h. It ends with the spec and must leave no
// goroutine.
func bridge(endpoint string, h http.Handler, change ...func(*spec.Endpoint)) (*stellatest.Service, *journal) {
	GinkgoHelper()
	method, path, _ := strings.Cut(endpoint, " ")
	e := spec.Endpoint{
		Method: method, Path: path, Handler: "Handler", Kind: spec.KindHTTP, Status: 200, Stream: spec.StreamBoth,
		Public: "it is a test", Limits: spec.DefaultLimits,
	}
	for _, f := range change {
		f(&e)
	}
	m := spec.Manifest{Service: "test", Version: "1.0.0", Endpoints: []spec.Endpoint{e}}
	b, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	before := gleak.Goroutines()
	log := new(journal)
	s, err := stellatest.Start(context.Background(), stella.Manifest{JSON: string(b)},
		stella.Endpoints{Package: "test", List: []stella.Endpoint{{Method: method, Path: path, Dispatch: httpbridge.Dispatch(h)}}},
		stella.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(s.Close()).To(Succeed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return s, log
}

// call makes a call whose answer must be whole.
func call(s *stellatest.Service, r stellatest.Request) *stellatest.Response {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := s.Call(ctx, r)
	Expect(err).NotTo(HaveOccurred())
	return answer
}

// fields is a header of names and values in turn.
func fields(namesAndValues ...string) (h stella.Header) {
	for i := 0; i < len(namesAndValues); i += 2 {
		h.Add(namesAndValues[i], namesAndValues[i+1])
	}
	return h
}
