package edge_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// payload is what a client sends as it is, and what has to become of it.
type payload struct {
	name, text string
	answers    []int // in order; 1xx too
	closed     bool  // behind the last of them; else the connection serves another request
	reached    int   // how many REQUESTs the service gets
}

const (
	post = "POST /a HTTP/1.1\r\nHost: h\r\n"
	get  = "GET /a HTTP/1.1\r\nHost: h\r\n"
	// second is what a hidden request would be: if it is served, the service is asked once more.
	second = "GET /a?second HTTP/1.1\r\nHost: h\r\n\r\n"
	chunks = "3\r\nabc\r\n0\r\n\r\n"
)

// one is an expected status.
func one(status int) []int { return []int{status} }

// payloads are what C libraries, careless proxies and people send. What RFC 9112 leaves open is decided here.
var payloads = []payload{
	// Content-Length (RFC 9112, section 6.3).
	{"a body of its length", post + "Content-Length: 3\r\n\r\nabc", one(200), false, 1},
	{"two lengths that differ", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" + second, one(400), true, 0},
	{"two lengths that agree", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", one(200), false, 1},
	{"a list of lengths", post + "Content-Length: 3, 3\r\n\r\nabc" + second, one(400), true, 0},
	{"a list of lengths that differ", post + "Content-Length: 3, 4\r\n\r\nabcd" + second, one(400), true, 0},
	{"a length with a sign", post + "Content-Length: +3\r\n\r\nabc" + second, one(400), true, 0},
	{"a negative length", post + "Content-Length: -1\r\n\r\nabc" + second, one(400), true, 0},
	{"a hexadecimal length", post + "Content-Length: 0x3\r\n\r\nabc" + second, one(400), true, 0},
	{"an empty length", post + "Content-Length:\r\n\r\nabc" + second, one(400), true, 0},
	{"a length of letters", post + "Content-Length: three\r\n\r\nabc" + second, one(400), true, 0},
	{"a length beyond 64 bits", post + "Content-Length: 99999999999999999999\r\n\r\nabc" + second, one(400), true, 0},
	{"a length beyond the limit", post + "Content-Length: 9223372036854775807\r\n\r\nabc" + second, one(413), true, 0},
	{"a length with blanks around it", post + "Content-Length: \t 3 \t\r\n\r\nabc", one(200), false, 1},
	{"a length in a name with an underscore", post + "Content_Length: 3\r\n\r\n" + second, one(400), true, 0},
	{"such a name and a path that is none", "POST /a/../b HTTP/1.1\r\nHost: h\r\nCONTENT_LENGTH: 3\r\n\r\n" + second, one(400), true, 0},
	{"GET with a body", get + "Content-Length: 3\r\n\r\nabc", one(200), false, 1},
	{"a body that is cut off", post + "Content-Length: 30\r\n\r\nabc", nil, true, 0},

	// Transfer-Encoding (RFC 9112, section 6.1).
	{"a chunked body", post + "Transfer-Encoding: chunked\r\n\r\n" + chunks + second, one(200), true, 1},
	{"a chunked body with a length before it", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + second, one(200), true, 1},
	{"a chunked body with a length behind it", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + chunks + second, one(200), true, 1},
	{"a chunked body with two lengths", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunks + second, one(400), true, 0},
	{"chunked in capitals", post + "Transfer-Encoding: CHUNKED\r\n\r\n" + chunks + second, one(200), true, 1},
	{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + second, one(501), true, 0},
	{"chunked in a list", post + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunks + second, one(501), true, 0},
	{"chunked and identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunks + second, one(501), true, 0},
	{"chunked behind gzip", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks + second, one(501), true, 0},
	{"identity", post + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc" + second, one(501), true, 0},
	{"an encoding that is none", post + "Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc" + second, one(501), true, 0},
	{"an empty encoding", post + "Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc" + second, one(501), true, 0},
	{"chunked behind a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\nContent-Length: 3\r\n\r\nabc" + second, one(400), true, 0},
	{"chunked in a folded line", post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunks + second, one(200), true, 1},
	{"an encoding in a name with an underscore", post + "Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc" + second, one(400), true, 0},
	{"an encoding in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + second, one(200), true, 1},
	{"an encoding and a length in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc" + second, one(200), true, 1},
	{"HTTP/1.0 that would stay", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + second, one(200), true, 1},

	// Chunks (RFC 9112, section 7.1).
	{"a chunk with an extension", post + "Transfer-Encoding: chunked\r\n\r\n3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n" + second, one(200), true, 1},
	{"a chunk of a size with leading zeros", post + "Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n0\r\n\r\n" + second, one(200), true, 1},
	{"a chunk of a size with 0x", post + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk of a negative size", post + "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk of a size beyond 64 bits", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk of no size", post + "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk longer than its size", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk whose size ends with LF", post + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk that ends with LF", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n" + second, one(400), true, 1},
	{"a chunk with an extension of 64 KiB", post + "Transfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 64<<10) + "\r\nabc\r\n0\r\n\r\n" + second, one(400), true, 1},
	{"trailers that were not declared", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-User-Id: root\r\nContent-Length: 99\r\n\r\n" + second, one(200), true, 1},
	{"a trailer that is none", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX\r\n\r\n" + second, one(400), true, 1},
	{"chunks that are cut off", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", nil, true, 1},

	// Header lines (RFC 9112, section 5).
	{"a blank before the colon", post + "Content-Length : 3\r\n\r\nabc" + second, one(400), true, 0},
	{"a blank before the colon of Transfer-Encoding", post + "Transfer-Encoding : chunked\r\n\r\n" + chunks + second, one(400), true, 0},
	{"a NUL in a value", get + "X: a\x00b\r\n\r\n" + second, one(400), true, 0},
	{"a CR in a value", get + "X: a\rb\r\n\r\n" + second, one(400), true, 0},
	{"a NUL in a name", get + "X\x00: a\r\n\r\n" + second, one(400), true, 0},
	{"a name of none but a colon", get + ": a\r\n\r\n" + second, one(400), true, 0},
	{"a line without a colon", get + "X\r\n\r\n" + second, one(400), true, 0},
	{"a name in brackets", get + "X(a): a\r\n\r\n" + second, one(400), true, 0},
	{"a folded line", get + "X: a\r\n b\r\n\r\n" + second, []int{200, 200}, false, 2},
	{"a first line that is folded", "GET /a HTTP/1.1\r\n Host: h\r\n\r\n" + second, one(400), true, 0},
	{"lines that end with LF", "GET /a HTTP/1.1\nHost: h\nX: a\n\n" + second, []int{200, 200}, false, 2},
	{"a field that is reserved, with an underscore", get + "X_User_Id: root\r\n\r\n" + second, []int{200, 200}, false, 2},
	{"Connection that hides Content-Length", post + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc" + second, []int{400, 200}, false, 1},
	{"more than 64 KiB of fields", get + "X: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", one(431), true, 0},
	{"a target of more than 64 KiB", "GET /" + strings.Repeat("x", 80<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", one(431), true, 0},

	// Host (RFC 9112, section 3.2).
	{"no Host", "GET /a HTTP/1.1\r\n\r\n" + second, one(400), true, 0},
	{"two Hosts", get + "Host: h\r\n\r\n" + second, one(400), true, 0},
	{"a Host with a blank", "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n" + second, one(400), true, 0},
	{"a Host with a slash", "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n" + second, one(400), true, 0},
	{"a URL of another host", "GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n" + second, []int{200, 200}, false, 2},

	// The request line (RFC 9112, section 3).
	{"HTTP/1.32", "GET /a HTTP/1.32\r\nHost: h\r\n\r\n" + second, one(400), true, 0},
	{"HTTP/2.0 by a request line", "GET /a HTTP/2.0\r\nHost: h\r\n\r\n" + second, one(505), true, 0},
	{"HTTP/3.0", "GET /a HTTP/3.0\r\nHost: h\r\n\r\n" + second, one(505), true, 0},
	{"HTTP/0.9", "GET /a\r\n\r\n" + second, one(400), true, 0},
	{"http/1.1", "GET /a http/1.1\r\nHost: h\r\n\r\n" + second, one(400), true, 0},
	{"a method in brackets", "G(T /a HTTP/1.1\r\nHost: h\r\n\r\n" + second, one(400), true, 0},
	{"a method in lower case", "get /a HTTP/1.1\r\nHost: h\r\n\r\n" + second, []int{405, 200}, false, 1},
	{"a blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n" + second, one(400), true, 0},
	{"two blanks before the target", "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n" + second, one(400), true, 0},
	{"a tab before the target", "GET\t/a HTTP/1.1\r\nHost: h\r\n\r\n" + second, one(400), true, 0},
	{"an empty line before the request", "\r\n" + get + "\r\n", one(400), true, 0},
	{"CONNECT", "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n" + second, []int{405, 200}, false, 1},
	{"CONNECT with a body", "CONNECT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + second, []int{405, 200}, false, 1},
	{"TRACE", "TRACE /a HTTP/1.1\r\nHost: h\r\n\r\n" + second, []int{405, 200}, false, 1},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + second, []int{204, 200}, false, 1},
	{"rubbish", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", one(400), true, 0},

	// Expect and Upgrade.
	{"an expectation", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", []int{100, 200}, false, 1},
	{"an expectation that nobody meets", post + "Expect: miracles\r\nContent-Length: 3\r\n\r\nabc" + second, one(417), true, 0},
	{"an upgrade to HTTP/2", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + second, []int{200, 200}, false, 2},
	{"an upgrade to WebSocket that nobody declared", get + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n" + second, []int{200, 200}, false, 2},
}

// over reports whether a connection has ended, one way or another.
func over(r *bufio.Reader) bool {
	_, err := r.ReadByte()
	var late net.Error
	return err != nil && (!errors.As(err, &late) || !late.Timeout())
}

var _ = Describe("what a client sends over HTTP/1.1", func() {
	It("has exactly the answers, the connection and the requests at the service that are stated", func() {
		Expect(len(payloads)).To(BeNumerically(">=", 48))
		r := start()
		m := r.join(identity{}, echo, endpoint("POST", "/a"), endpoint("GET", "/a"))
		var wrong []string
		for _, p := range payloads {
			before := len(m.tap.received(spec.TypeRequest))
			conn, in := r.raw(p.text)
			Expect(conn.SetReadDeadline(time.Now().Add(patience))).To(Succeed())
			if p.answers == nil { // nothing comes before the client has ended its side
				half, ok := conn.(*net.TCPConn)
				Expect(ok).To(BeTrue())
				Expect(half.CloseWrite()).To(Succeed())
			}
			var got []int
			for range p.answers {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				got = append(got, resp.StatusCode)
			}
			closed := false
			probes := 0
			if p.closed {
				closed = over(in)
			} else if _, err := io.WriteString(conn, get+"Connection: close\r\n\r\n"); err == nil {
				resp, err := http.ReadResponse(in, nil)
				closed = err != nil
				if err == nil {
					_ = resp.Body.Close()
					probes = 1
				}
			}
			Expect(conn.Close()).To(Succeed())
			reached := 0
			for until := time.Now().Add(patience); ; runtime.Gosched() { // an answer of the gateway's own may overtake what it sent to the service
				reached = len(m.tap.received(spec.TypeRequest)) - before - probes
				if reached >= p.reached || time.Now().After(until) {
					break
				}
			}
			if fmt.Sprint(got, closed, reached) != fmt.Sprint(p.answers, p.closed, p.reached) {
				wrong = append(wrong, fmt.Sprintf("%s: got %v closed=%v reached=%d, expected %v closed=%v reached=%d",
					p.name, got, closed, reached, p.answers, p.closed, p.reached))
			}
		}
		Expect(wrong).To(BeEmpty(), strings.Join(wrong, "\n"))
	})

	It("that begins as HTTP/2 and is not ends with GOAWAY, and nothing is served", func() {
		r := start()
		m := r.join(identity{}, echo, endpoint("GET", "/a"))
		for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + second, "PRI * HTTP/2.0\r\n\r\n" + second} {
			conn, in := r.raw(text)
			c := &h2conn{conn, in}
			Expect(c.ends()).To(BeElementOf(-1, 1), "PROTOCOL_ERROR, or nothing at all")
		}
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
	})
})
