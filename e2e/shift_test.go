package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// shifted is a gateway before the echo service and what it takes the place of, and callers who ask without a pause.
type shifted struct {
	*configured

	upstream string

	asked  [2]atomic.Int64 // that were answered, by side: the old one first
	failed atomic.Int64    // on purpose, by the old one

	mu    sync.Mutex
	wrong []string
	moved map[string][]string // the sides that callers have been on, one after the other
}

// headerSide says which side has answered; the service does not.
const headerSide = "Side"

// old is the echo service as it was before it moved: an HTTP server, which fails where it is asked to.
func old(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(headerSide, "legacy")
	if r.URL.RawQuery == "fail" {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, _ = w.Write(body)
}

// weigh has so many percent stay with the old side.
func (s *shifted) weigh(percent int) {
	GinkgoHelper()
	s.write(fmt.Sprintf("legacy:\n  upstreams: [{name: old, url: %[1]q}]\n  routes:\n"+
		"    - {path: /echo, upstream: old, weight: %[2]d, sticky: header:X-Caller, public: a test}\n"+
		"    - {path: '/{rest...}', upstream: old, weight: %[2]d, public: a test}\n", s.upstream, percent))
	Expect(s.reload()).To(BeTrue())
	for _, path := range []string{"/other", "/echo/", "/echo/below"} {
		Expect(call(http.MethodGet, "http://"+s.http+path, "").Header.Get(headerSide)).To(Equal("legacy"), "%s, which has not moved, with weight %d", path, percent)
	}
}

// ask asks once, and notes what is wrong with the answer. caller may be empty.
func (s *shifted) ask(caller, body string, options ...option) (side string) {
	if caller != "" {
		options = append(options, header("X-Caller", caller))
	}
	a, err := try(http.MethodPost, "http://"+s.http+"/echo", strings.NewReader(body), options...)
	fault := ""
	switch {
	case err != nil:
		fault = err.Error()
	case a.StatusCode != http.StatusOK || a.body != body:
		fault = fmt.Sprintf("%s with %d bytes: %.200s", a.Status, len(a.body), a.body)
	default:
		if side = a.Header.Get(headerSide); side == "" {
			side = "service"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault != "" {
		s.wrong = append(s.wrong, caller+": "+fault)
		return ""
	}
	s.asked[map[string]int{"legacy": 0, "service": 1}[side]].Add(1)
	if been := s.moved[caller]; caller != "" && (len(been) == 0 || been[len(been)-1] != side) {
		s.moved[caller] = append(been, side)
	}
	return side
}

// on is how many callers are on the old side now.
func (s *shifted) on() (legacy int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, been := range s.moved {
		if been[len(been)-1] == "legacy" {
			legacy++
		}
	}
	return legacy
}

// counted is what /metrics says of a side and an outcome.
func (s *shifted) counted(side, outcome string) int64 {
	GinkgoHelper()
	text := call(http.MethodGet, "http://"+s.admin+"/metrics", "").body
	m := regexp.MustCompile(`(?m)^stella_gateway_legacy_requests_total\{outcome="` + outcome + `",route="/echo",side="` + side + `"\} (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	Expect(err).NotTo(HaveOccurred())
	return n
}

var _ = Describe("traffic that is shifted from an old deployment to a service, and back", func() {
	It("fails no request under load, moves callers one way only, and shows both sides' errors", func() {
		server := httptest.NewServer(http.HandlerFunc(old))
		DeferCleanup(server.Close)
		s := &shifted{upstream: server.URL, moved: map[string][]string{}}
		s.configured = startConfigured()
		s.weigh(100)

		const workers, callersEach = 4, 25
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var load sync.WaitGroup
		var rounds [workers]atomic.Int64
		for w := range workers {
			load.Go(func() {
				defer GinkgoRecover()
				for ctx.Err() == nil {
					for i := range callersEach {
						s.ask(fmt.Sprintf("caller %d of %d", i, w), "x")
					}
					rounds[w].Add(1)
				}
			})
		}
		large := strings.Repeat("0123456789abcdef", 20<<10/16)
		load.Go(func() { // bodies that are streamed, of callers whom nobody knows, each of whom goes by chance
			defer GinkgoRecover()
			for ctx.Err() == nil {
				s.ask("", large)
				s.ask("", large, unknownLength)
			}
		})
		load.Go(func() {
			defer GinkgoRecover()
			for ctx.Err() == nil {
				a, err := try(http.MethodPost, "http://"+s.http+"/echo?fail", http.NoBody)
				if err == nil && a.StatusCode == http.StatusInternalServerError {
					s.failed.Add(1)
				} else if err == nil {
					s.asked[1].Add(1)
				}
			}
		})
		settle := func() { // every caller has asked again
			GinkgoHelper()
			var from [workers]int64
			for w := range workers {
				from[w] = rounds[w].Load()
			}
			Eventually(func() bool {
				for w := range workers {
					if rounds[w].Load() < from[w]+2 {
						return false
					}
				}
				return true
			}).Should(BeTrue())
		}

		settle()
		Expect(s.on()).To(Equal(workers*callersEach), "all begin on the old side")
		before := workers * callersEach
		for _, service := range []int{10, 50, 100} {
			s.weigh(100 - service)
			settle()
			now := s.on()
			Expect(now).To(BeNumerically("~", workers*callersEach*(100-service)/100, 15), "%d %%", service)
			Expect(now).To(BeNumerically("<", before))
			before = now
		}
		Expect(before).To(BeZero())
		s.weigh(100)
		settle()
		Expect(s.on()).To(Equal(workers*callersEach), "and back at once")
		cancel()
		load.Wait()

		Expect(s.wrong).To(BeEmpty(), "of %d requests", s.asked[0].Load()+s.asked[1].Load())
		for caller, been := range s.moved {
			Expect(been).To(Equal([]string{"legacy", "service", "legacy"}), "%s was moved, and moved back, once", caller)
		}
		Expect(s.failed.Load()).To(BeNumerically(">", 0))
		for i, side := range []string{"legacy", "service"} {
			Expect(s.asked[i].Load()).To(BeNumerically(">", workers*callersEach))
			Eventually(s.counted).WithArguments(side, "ok").Should(Equal(s.asked[i].Load()), side)
		}
		Eventually(s.counted).WithArguments("legacy", "server_error").Should(Equal(s.failed.Load()))
		Expect(s.counted("service", "server_error")).To(BeZero())
	})
})

var _ = Describe("bodies to an old deployment and back", func() {
	It("are not held, however large", func() {
		const size = 512 << 20
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				return
			}
			if r.URL.Path == "/up" {
				_, _ = fmt.Fprint(w, n)
				return
			}
			_, _ = io.CopyN(w, endless{}, size)
		}))
		DeferCleanup(server.Close)
		c := startConfigured()
		c.write(fmt.Sprintf("legacy:\n  upstreams: [{name: old, url: %q}]\n  routes: [{path: '/{rest...}', upstream: old, public: a test, body: 1GiB}]\n", server.URL))
		Expect(c.reload()).To(BeTrue())
		exchange := func(path string, size int64) int64 {
			GinkgoHelper()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.http+path, io.LimitReader(endless{}, size))
			Expect(err).NotTo(HaveOccurred())
			resp, err := http.DefaultClient.Do(q)
			Expect(err).NotTo(HaveOccurred())
			defer resp.Body.Close()
			Expect(resp.StatusCode).To(Equal(http.StatusOK))
			if path == "/up" {
				text, err := io.ReadAll(resp.Body)
				Expect(err).NotTo(HaveOccurred())
				Expect(string(text)).To(Equal(strconv.FormatInt(size, 10)))
			}
			n, err := io.Copy(io.Discard, resp.Body)
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		exchange("/up", 1<<20)
		before := c.memory()
		exchange("/up", size)
		Expect(exchange("/down", 0)).To(BeEquivalentTo(size))
		Expect(c.memory() - before).To(BeNumerically("<", 8<<20))
	})
})

// endless reads zeros for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
