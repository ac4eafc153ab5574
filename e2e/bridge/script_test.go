package bridge

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	stella "github.com/stella-ops/router/runtime"
)

// again is the answer to another request of the same connection.
const again = "as before"

// caseHeader names the script that a request's handler plays.
const caseHeader = "X-Case"

// step is one thing that a handler does.
type step struct {
	Do     action
	Name   string
	Values []string
	N      int
}

func (s step) String() string { return fmt.Sprintf("%s(%q %.60q %d)", s.Do, s.Name, s.Values, s.N) }

// action is what a step does. A script is data, so that rapid can print it and make it smaller.
type action string

const (
	setHeader    action = "set header"    // Name to Values, which may be none
	addHeader    action = "add header"    // all Values to Name
	deleteHeader action = "delete header" // Name
	writeHeader  action = "write header"  // status N
	write        action = "write"         // N bytes that begin with Name
	writeString  action = "write string"  // the same
	copyFrom     action = "copy from"     // the same, by io.Copy
	flush        action = "flush"         //
	fullDuplex   action = "full duplex"   //
	read         action = "read"          // N bytes of the body
	readAll      action = "read all"      //
	echo         action = "echo"          // the body, by io.Copy
	form         action = "form"          // parse the request's
	closeBody    action = "close body"    //
	abort        action = "abort"         // http.ErrAbortHandler
	fail         action = "panic"         //
	setTrailer   action = "set trailer"   // Name, which was announced, to Values
	lateTrailer  action = "late trailer"  // Name, which was not
)

// view is what a handler has seen of its request.
type view struct {
	Method, Proto, Host, Path, RawPath, URI, Query, Pattern, Rest, ID, Part string
	Length                                                                  int64
	Encoding                                                                []string
	Header                                                                  http.Header
	Cookies                                                                 []string
	Announced                                                               []string // names of trailers
	Peer, Close                                                             bool
}

// observed is what became of a script.
type observed struct {
	view  view
	steps []string // what each step returned
	wrote int64    // bytes of body that were taken
	ended bool     // the request's body has been read to its end
}

// stage plays scripts. It is the handler under test, and must not know who serves it, but to say so.
type stage struct {
	mu    sync.Mutex
	plays map[string]*play
}

// play is one script and what has become of it.
type play struct {
	steps    []step
	direct   chan *observed // one each
	observed chan *observed
}

// put has a script played by the requests that name it.
func (s *stage) put(name string, steps []step) *play {
	p := &play{steps: steps, direct: make(chan *observed, 1), observed: make(chan *observed, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plays == nil {
		s.plays = map[string]*play{}
	}
	s.plays[name] = p
	return p
}

// drop forgets a script.
func (s *stage) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.plays, name)
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	p := s.plays[r.Header.Get(caseHeader)]
	s.mu.Unlock()
	if p == nil {
		http.Error(w, "no such case", http.StatusInternalServerError)
		return
	}
	if r.URL.Path == "/again" {
		_, _ = io.WriteString(w, again)
		return
	}
	o := &observed{view: viewOf(r)}
	to := p.direct
	if stella.RequestFromContext(r.Context()) != nil {
		to = p.observed
	}
	defer func() {
		v := recover()
		if o.ended { // before, net/http does not say which trailers there are
			o.note("trailer", r.Trailer)
		}
		to <- o
		if v != nil {
			panic(v)
		}
	}()
	for _, step := range p.steps {
		o.play(step, w, r)
	}
}

// viewOf is what r shows before its body is read.
func viewOf(r *http.Request) view {
	v := view{
		Method: r.Method, Proto: r.Proto, Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, URI: r.RequestURI, Query: r.URL.RawQuery,
		Pattern: r.Pattern, Rest: r.PathValue("rest"), ID: r.PathValue("id"), Part: r.PathValue("part"),
		Length: r.ContentLength, Encoding: r.TransferEncoding, Header: r.Header.Clone(), Peer: strings.HasPrefix(r.RemoteAddr, "127.0.0.1:"), Close: r.Close,
	}
	for _, c := range r.Cookies() {
		v.Cookies = append(v.Cookies, c.String())
	}
	v.Announced = slices.Sorted(maps.Keys(r.Trailer))
	return v
}

func (o *observed) note(what string, results ...any) {
	o.steps = append(o.steps, strings.TrimSpace(fmt.Sprintln(append([]any{what}, results...)...)))
}

// play takes one step.
func (o *observed) play(s step, w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	switch s.Do {
	case setHeader, setTrailer:
		w.Header()[s.Name] = s.Values // the name as it is
	case lateTrailer:
		w.Header()[http.TrailerPrefix+s.Name] = s.Values
	case addHeader:
		for _, v := range s.Values {
			w.Header().Add(s.Name, v)
		}
	case deleteHeader:
		w.Header().Del(s.Name)
	case writeHeader:
		w.WriteHeader(s.N)
	case write, writeString, copyFrom:
		o.write(s, w)
	case flush:
		o.note("flush", rc.Flush())
	case fullDuplex:
		o.note("full duplex", rc.EnableFullDuplex())
	case read:
		b := make([]byte, s.N)
		n, err := io.ReadFull(r.Body, b)
		o.note("read", n, crc32.ChecksumIEEE(b[:n]), err)
	case readAll:
		b, err := io.ReadAll(r.Body)
		o.ended = o.ended || err == nil
		o.note("read all", len(b), crc32.ChecksumIEEE(b), err)
	case echo:
		n, err := io.Copy(w, r.Body)
		o.wrote += n
		o.ended = o.ended || err == nil
		o.note("echo", n, sentinel(err))
	case form:
		err := r.ParseForm()
		o.note("form", r.Form.Encode(), r.PostForm.Encode(), err)
	case closeBody:
		o.note("close body", r.Body.Close())
	case abort:
		panic(http.ErrAbortHandler)
	case fail:
		panic("the script says so")
	}
}

// write writes what a step says.
func (o *observed) write(s step, w http.ResponseWriter) {
	content := s.Name + string(body(s.N))
	var n int64
	var wrote int
	var err error
	switch s.Do {
	case write:
		wrote, err = w.Write([]byte(content))
		n = int64(wrote)
	case writeString:
		wrote, err = io.WriteString(w, content)
		n = int64(wrote)
	default:
		n, err = io.Copy(w, struct{ io.Reader }{strings.NewReader(content)})
	}
	o.wrote += n
	o.note(string(s.Do), n, sentinel(err))
}

// sentinel is the error that handlers compare with.
func sentinel(err error) error {
	for _, known := range []error{http.ErrContentLength, http.ErrBodyNotAllowed} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

// errUncalled is that a handler was not called.
var errUncalled = errors.New("the handler was not called")

// outcome waits for what a handler has observed.
func outcome(c <-chan *observed) (*observed, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case o := <-c:
		return o, nil
	case <-timer.C:
		return nil, errUncalled
	}
}
