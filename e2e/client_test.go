package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/spec"
)

// answer is a response, read whole.
type answer struct {
	*http.Response

	body string
	took time.Duration
}

// client has no connections to reuse, so that one spec cannot disturb another.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// overHTTP2 returns a client that speaks HTTP/2 by prior knowledge, without TLS.
func overHTTP2() *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	DeferCleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: patience}
}

// option changes a request before it is sent.
type option func(*http.Request)

func header(name, value string) option {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func bearer(token string) option { return header("Authorization", "Bearer "+token) }

// unknownLength hides the body's length, so that it is sent in chunks.
func unknownLength(r *http.Request) { r.ContentLength = -1 }

// call sends one request and reads the whole answer, which is noted.
func call(method, url, body string, options ...option) answer {
	GinkgoHelper()
	a, err := try(method, url, strings.NewReader(body), options...)
	Expect(err).NotTo(HaveOccurred())
	noted.add(a)
	return a
}

// try sends one request and reads the whole answer, if one comes.
func try(method, url string, body io.Reader, options ...option) (answer, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return answer{}, fmt.Errorf("request: %w", err)
	}
	for _, o := range options {
		o(req)
	}
	begin := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("call: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp, string(text), time.Since(begin)}, err
}

// problem reads the answer's problem document.
func (a answer) problem() spec.Problem {
	GinkgoHelper()
	Expect(a.Header.Get("Content-Type")).To(Equal(spec.ProblemType), "%s", a.body)
	var p spec.Problem
	Expect(json.Unmarshal([]byte(a.body), &p)).To(Succeed(), "%s", a.body)
	Expect(p.Status).To(Equal(a.StatusCode))
	Expect(p.RequestID).To(Equal(a.Header.Get("X-Request-Id")))
	return p
}

// raw sends bytes as they are on a connection of its own, and returns it for reading.
func raw(addr, text string) (net.Conn, *bufio.Reader) {
	GinkgoHelper()
	conn, err := net.Dial("tcp", addr)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
	_, err = io.WriteString(conn, text)
	Expect(err).NotTo(HaveOccurred())
	return conn, bufio.NewReader(conn)
}

// respond reads one response from a raw connection, and notes it.
func respond(r *bufio.Reader, method string) answer {
	GinkgoHelper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	a := answer{Response: resp, body: string(text)}
	noted.add(a)
	return a
}

// over waits for the end of a raw connection, and says what came instead.
func over(r *bufio.Reader) error {
	rest, err := io.ReadAll(r)
	if len(rest) > 0 {
		err = errors.Join(err, fmt.Errorf("%d bytes came: %.80q", len(rest), rest))
	}
	return err
}

var tags atomic.Int64

// newTag returns a name for the calls of one spec.
func newTag() string { return fmt.Sprintf("t%d", tags.Add(1)) }

// events asks the fixture what happened to the calls of one tag.
func (s *stack) events(tag string) []fixture.Event {
	GinkgoHelper()
	a, err := try(http.MethodGet, s.url("/journal?tag="+tag), http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
	var j fixture.Journal
	Expect(json.Unmarshal([]byte(a.body), &j)).To(Succeed())
	return j.Events
}

// entered waits until a handler has begun.
func (s *stack) entered(tag string) {
	GinkgoHelper()
	Eventually(func() []fixture.Event { return s.events(tag) }).Should(HaveLen(1))
}

// left waits until the handler has ended, and returns that event.
func (s *stack) left(tag string) fixture.Event {
	GinkgoHelper()
	var events []fixture.Event
	Eventually(func() []fixture.Event { events = s.events(tag); return events }).Should(HaveLen(2))
	Expect(events[1].What).To(Equal("left"))
	return events[1]
}

// after is how long after a moment an event happened. Both clocks are this machine's.
func after(e fixture.Event, moment time.Time) time.Duration {
	return time.UnixMicro(e.AtMicros).Sub(moment)
}
