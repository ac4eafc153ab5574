package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ask is a request as it goes over the wire.
type ask struct {
	Method, Target string
	Header         []string // lines, as they are
	Size           int      // of the body, in bytes
	Chunk          int      // of the body, which is chunked then; 0: it has a Content-Length, unless it is empty
	Length         bool     // Content-Length, though the body is empty
	Expect         bool     // 100, which the body waits for, but not for long
	Trailer        []string // lines behind a chunked body, which are announced
}

func (a *ask) String() string {
	text := fmt.Sprintf("%s %.80s\nheader %.60q\nsize %d chunk %d length %v expect %v", a.Method, a.Target, a.Header, a.Size, a.Chunk, a.Length, a.Expect)
	return fmt.Sprintf("%s trailer %q", text, a.Trailer)
}

// body is a body of n bytes, which differ with their place.
func body(n int) []byte {
	b := make([]byte, 0, n+8)
	for i := 0; len(b) < n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), ' ')
	}
	return b[:n]
}

// head is all but the body.
func (a *ask) head() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", a.Method, a.Target, authority)
	for _, line := range a.Header {
		b.WriteString(line + "\r\n")
	}
	if a.Expect {
		b.WriteString("Expect: 100-continue\r\n")
	}
	for _, line := range a.Trailer {
		name, _, _ := strings.Cut(line, ":")
		b.WriteString("Trailer: " + name + "\r\n")
	}
	switch {
	case a.Chunk > 0:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case a.Size > 0 || a.Length:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", a.Size)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// payload is the body as it is framed.
func (a *ask) payload() []byte {
	content := body(a.Size)
	if a.Chunk == 0 {
		return content
	}
	var b bytes.Buffer
	for len(content) > 0 {
		n := min(a.Chunk, len(content))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, content[:n])
		content = content[n:]
	}
	b.WriteString("0\r\n")
	for _, line := range a.Trailer {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// answer is what came back.
type answer struct {
	Status   int // 0: none came
	Header   http.Header
	Length   int64 // the Content-Length; -1: there is none
	Body     []byte
	Trailer  http.Header
	Informal []int // statuses of informational answers
	Broken   bool  // the connection has ended before the answer was whole
	Last     bool  // the connection ends with it

	conn net.Conn
	in   *bufio.Reader
	sent <-chan struct{} // closed when the request has been sent whole, or cannot be
}

// again sends another request by the same connection, which must be good for it unless the answer has said that it ends.
func (a *answer) again(name string) (*answer, error) {
	<-a.sent
	next := &ask{Method: http.MethodGet, Target: "/again", Header: []string{caseHeader + ": " + name}}
	if _, err := a.conn.Write(next.head()); err != nil {
		return nil, err
	}
	return next.receive(a.conn, a.in, nil, make(chan struct{}))
}

func (a *answer) String() string {
	text := fmt.Sprintf("status %d, length %d, %d bytes, broken %v, informational %v", a.Status, a.Length, len(a.Body), a.Broken, a.Informal)
	return fmt.Sprintf("%s\nheader %v\ntrailer %v\nbody %.300q", text, a.Header, a.Trailer, a.Body)
}

// trails are the names that Trailer has announced and those that have come, with the values of these. What was announced is among
// the fields where the answer turned out to have a length.
func (a *answer) trails() http.Header {
	all := http.Header{}
	for _, names := range a.Header["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			all[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
		}
	}
	maps.Copy(all, a.Trailer)
	return all
}

// waitForContinue is how long a client holds a body back: it must not wait for ever (RFC 9110, section 10.1.1), and net/http would,
// after a panic, on its part.
const waitForContinue = 200 * time.Millisecond

// errTimeout is that a server has answered nothing in time.
var errTimeout = errors.New("no answer in time")

// send sends the request to a server, by a connection of its own, and reads the answer. The connection stays open until end is
// called: a handler may still be at work.
func (a *ask) send(ctx context.Context, address string) (got *answer, end func(), err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if _, err := conn.Write(a.head()); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	goAhead, head, final, sent := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	if !a.Expect {
		close(goAhead)
	}
	late := time.NewTimer(waitForContinue)
	go func() { // a server may answer before it has read the body
		defer close(sent)
		select {
		case <-goAhead:
		case <-late.C:
		case <-final: // there is no answer
		case <-head: // what is sent to a server that has closed might cost the rest of the answer
			<-final // and yet the handler may wait for the body
		}
		_, _ = conn.Write(a.payload()) // fails when the server has closed
	}()
	got, err = a.receive(conn, bufio.NewReader(conn), goAhead, head)
	close(final)
	if got != nil {
		got.sent = sent
	}
	return got, func() {
		late.Stop()
		_ = conn.Close() // ends the writing
		<-sent
	}, err
}

// receive reads answers up to the final one, and has the body sent when 100 comes. It closes head when the final one begins.
func (a *ask) receive(conn net.Conn, in *bufio.Reader, goAhead, head chan<- struct{}) (*answer, error) {
	got, waits := &answer{Length: -1, conn: conn, in: in}, a.Expect
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: a.Method})
		if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
			return nil, errTimeout
		}
		if err != nil {
			got.Broken = true
			return got, nil //nolint:nilerr // that the connection ends is an outcome
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			got.Informal = append(got.Informal, resp.StatusCode)
			if waits && resp.StatusCode == http.StatusContinue {
				waits = false
				close(goAhead)
			}
			continue
		}
		close(head)
		got.Status, got.Header, got.Last = resp.StatusCode, resp.Header, resp.Close
		if v := resp.Header.Get("Content-Length"); v != "" {
			if got.Length, err = strconv.ParseInt(v, 10, 64); err != nil {
				return nil, err
			}
		}
		got.Body, err = io.ReadAll(resp.Body)
		got.Broken, got.Trailer = err != nil, resp.Trailer
		_ = resp.Body.Close() // says once more that the answer was broken off
		return got, nil
	}
}
