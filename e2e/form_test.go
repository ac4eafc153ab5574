package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/gateway"
)

// form is a way to run the system under test.
type form struct {
	name    string
	listen  func() string            // a new URL for services to dial
	tap     func(listen string) *tap // between service and gateway
	gateway func(s *stack) program
	service func(s *stack, v fixture.Variant) program
}

// forms are all of them. What a row says holds in each, and each gives the same answers.
func forms() []form {
	return []form{
		{
			name: "in two processes over tcp", listen: func() string { return "tcp://" + address() }, tap: startProxy,
			gateway: gatewayProcess, service: serviceProcess,
		},
		{name: "in one process over inmemory", listen: inmemoryURL, tap: startTapped, gateway: gatewayPart, service: servicePart},
		{
			name: "in one process over tcp", listen: func() string { return "tcp://" + address() }, tap: startTapped,
			gateway: gatewayPart, service: servicePart,
		},
	}
}

// processes is the form in which the product is used.
func processes() form { return forms()[0] }

// overTCP are the forms in which anybody may connect where services do.
func overTCP() []form { return []form{forms()[0], forms()[2]} }

// everyForm runs the same rows in every form.
func everyForm(text string, rows func(start func(settings) *stack)) bool {
	return inForms(text, forms(), rows)
}

// inForms runs the same rows in several forms. The rows start their stack with what they are given. An answer that is
// not the one that another form gave to the same row fails the row.
func inForms(text string, forms []form, rows func(start func(settings) *stack)) bool {
	return Describe(text, func() {
		for _, f := range forms {
			Describe(f.name, Ordered, ContinueOnFailure, func() {
				BeforeEach(noted.forget)
				AfterEach(noted.compare)
				rows(func(c settings) *stack { return startStack(f, c) })
			})
		}
	})
}

// said is an answer without what is another one every time.
type said struct {
	Status int
	Header http.Header
	Body   string
}

// notes are the answers to the row that runs, and those that other forms gave to each row.
type notes struct {
	mu      sync.Mutex
	current []said
	rows    map[string][]said
}

var noted = notes{rows: map[string][]said{}}

func (n *notes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current = nil
}

// add notes an answer.
func (n *notes) add(a answer) {
	header := maps.Clone(a.Header)
	body := a.body
	if id := header.Get("X-Request-Id"); id != "" {
		body = strings.ReplaceAll(body, id, "(id)")
	}
	delete(header, "X-Request-Id")
	delete(header, "Date")
	if body != "" { // net/http tells the length of an answer that happens to be there before its head has left
		delete(header, "Content-Length")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current = append(n.current, said{a.StatusCode, header, body})
}

// compare holds what was answered against what the first form answered to the same row.
func (n *notes) compare() {
	n.mu.Lock()
	defer n.mu.Unlock()
	report := CurrentSpecReport()
	if report.Failed() {
		return
	}
	texts := append(slices.Clone(report.ContainerHierarchyTexts), report.LeafNodeText)
	row := strings.Join(slices.Delete(texts, 1, 2), " / ") // all but the form
	if first, known := n.rows[row]; known {
		Expect(n.current).To(Equal(first), "another form answered otherwise")
	} else {
		n.rows[row] = n.current
	}
}

// settings are what a row asks of its gateway. The zero value means the defaults.
type settings struct {
	dev    *gateway.Dev
	retain time.Duration
	// drainDelay is how long a gateway that drains goes on taking requests after its /readyz says that it does.
	drainDelay time.Duration
	queue      string          // the broker of the queue
	stall      time.Duration   // where it can be set: it has no flag
	service    fixture.Variant // instead of the whole fixture
}

// program is a gateway or a service that runs.
type program interface {
	// end asks it to end, as an operator would, and expects it to do so cleanly.
	end()
	// ended reports whether it has ended.
	ended() bool
	// held is what it holds now.
	held() held
	// memory is what it takes, in bytes.
	memory() int64
	// log is all that it has logged.
	log() string
}

// held is what a program may forget to give back.
type held struct {
	Descriptors, Goroutines int
}

// stack is the system under test: a gateway, the fixture service, and the tap between them.
type stack struct {
	form        form
	settings    settings
	http, admin string
	listen      string // URL that the gateway listens on, and services dial
	dial        string // URL that services dial, if it is another
	tap         *tap
	gateway     program
	fixture     program
	rest        map[program]held // what each holds when nothing goes on
}

// startStack starts a gateway and the fixture, and waits until the service answers through the gateway. At the end of
// the spec or container both have to hold what they held then, and to end cleanly.
func startStack(f form, c settings) *stack {
	GinkgoHelper()
	s := &stack{form: f, settings: c, http: address(), admin: address(), listen: f.listen(), rest: map[program]held{}}
	s.tap = f.tap(s.listen)
	s.startGateway()
	s.startFixture(c.service)
	return s
}

// startGateway starts the gateway, and waits until it takes connections.
func (s *stack) startGateway() {
	GinkgoHelper()
	s.gateway = s.form.gateway(s)
	Eventually(func() error {
		if s.gateway.ended() {
			StopTrying("the gateway has ended").Now()
		}
		return healthy(s.admin)
	}).Should(Succeed())
	DeferCleanup(s.finish) // which has to come before the program's own cleanup
}

// startFixture starts the service, waits until it answers, and takes the counts that have to come back.
func (s *stack) startFixture(v fixture.Variant) {
	GinkgoHelper()
	s.fixture = s.form.service(s, v)
	Eventually(func() int {
		if s.fixture.ended() {
			StopTrying("the fixture has ended").Now()
		}
		return s.status("/items/0")
	}).Should(Equal(http.StatusOK))
	s.settle()
	DeferCleanup(s.finish)
}

// settle notes what is held when nothing goes on: when two counts in a row are the same.
func (s *stack) settle() {
	GinkgoHelper()
	for _, p := range []program{s.gateway, s.fixture} {
		Eventually(func() bool {
			before := s.rest[p]
			s.rest[p] = p.held()
			return s.rest[p] == before
		}).WithPolling(20 * time.Millisecond).Should(BeTrue())
	}
}

// rested expects everything to have been given back.
func (s *stack) rested() {
	GinkgoHelper()
	for p, rest := range s.rest {
		if !p.ended() {
			Eventually(p.held).Should(And(
				HaveField("Descriptors", BeNumerically("<=", rest.Descriptors)), HaveField("Goroutines", BeNumerically("<=", rest.Goroutines))))
		}
	}
}

// finish expects everything to have been given back, and ends what has not ended.
func (s *stack) finish() {
	s.rested()
	for _, p := range []program{s.fixture, s.gateway} {
		if p != nil && !p.ended() {
			p.end()
		}
	}
}

func (s *stack) url(path string) string { return "http://" + s.http + path }

// status is what a GET is answered with at the moment; 0 means not at all.
func (s *stack) status(path string) int {
	a, err := try(http.MethodGet, s.url(path), http.NoBody)
	if err != nil {
		return 0
	}
	return a.StatusCode
}

func healthy(admin string) error {
	a, err := try(http.MethodGet, "http://"+admin+"/healthz", http.NoBody)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("/healthz answers %s", a.Status)
	}
	return err
}
