package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// smuggling is a request that two readers may take for requests of different ends. What one of them takes for its body, the
// other takes for the next request, which is called hidden here. N in text stands for the number of the payload.
type smuggling struct {
	name, text string
	lawful     bool // RFC 9112 leaves no other reading than the one by which the hidden request is the next one
}

// hidden is the request that nobody sent on purpose.
const hidden = "GET /t/hidden-N HTTP/1.1\r\nHost: h\r\n\r\n"

// Lines that some reader, somewhere, takes for a chunked body and another does not.
var chunkedLines = []string{
	"Transfer-Encoding: chunked", "transfer-encoding: chunked", "TRANSFER-ENCODING: CHUNKED", "Transfer-Encoding: Chunked",
	"Transfer-Encoding:chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding:  chunked", "Transfer-Encoding: chunked ",
	"Transfer-Encoding: chunked\t", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
	"\tTransfer-Encoding: chunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: \x0cchunked", "Transfer-Encoding: chunked\x0b",
	"Transfer-Encoding: chunked\x00", "Transfer-Encoding: \x00chunked", "Transfer-Encoding\x00: chunked", "Transfer-Encoding: xchunked",
	"Transfer-Encoding: chunkedx", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'", "Transfer-Encoding: chunked;q=1",
	"Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked",
	"Transfer-Encoding: chunked, chunked", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding:", "Transfer-Encoding: cow",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
	"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
	"Transfer-Encoding:\r\n chunked", "Transfer-Encoding:\r\n\tchunked", "Transfer-Encoding: chun\r\n ked", "Transfer_Encoding: chunked",
	"transfer_encoding: chunked", "X: a\nTransfer-Encoding: chunked", "X: a\rTransfer-Encoding: chunked", "X: a\r\rTransfer-Encoding: chunked",
	"Transfer-Encoding: chunked\n", "Transfer\xadEncoding: chunked", "\xefTransfer-Encoding: chunked", "Transfer-Encoding: chunked\xa0",
	"Transfer-Encoding: \xa0chunked", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "Transfer-Encoding\\: chunked",
}

// Lines that give one length to one reader and another, or none, to another. LEN is the length of the hidden request.
var lengthLines = []string{
	"Content-Length: LEN\r\nContent-Length: 0", "Content-Length: 0\r\nContent-Length: LEN", "Content-Length: LEN, 0", "Content-Length: 0, LEN",
	"Content-Length: LEN,LEN", "Content-Length: +LEN", "Content-Length: -LEN", "Content-Length: LEN.0", "Content-Length: LENe0", "Content-Length: 0xLEN",
	"Content-Length: LEN;", "Content-Length: \"LEN\"", "Content-Length: LEN" + " LEN", "Content-Length: 0 LEN", "Content-Length : LEN", "Content-Length\t: LEN",
	" Content-Length: LEN", "Content-Length: \x0bLEN", "Content-Length: LEN\x00", "Content-Length: \x00LEN", "Content-Length\x00: LEN",
	"Content-Length:\r\n LEN", "Content-Length: LEN\r\n ", "Content-Length: 00LEN", "Content_Length: LEN", "content_length: LEN", "X: a\nContent-Length: LEN",
	"X: a\rContent-Length: LEN", "Content-Length: 18446744073709551616", "Content-Length: 184467440737095516LEN", "Content-Length:", "Content-Length: \xb2",
	"Content-Length\\: LEN", "Content-Length: LEN\xa0", "Connection: Content-Length\r\nContent-Length: LEN", "Content-Length: LEN\r\nContent-Length: LEN",
}

// Chunked bodies that some reader ends elsewhere. HIDDEN is the hidden request, HEX its length.
var chunkTricks = []string{
	"0\r\n\r\nHIDDEN", "00\r\n\r\nHIDDEN", "0000000000000000\r\n\r\nHIDDEN", "0;a=b\r\n\r\nHIDDEN", "0;a=\"\r\n\r\nHIDDEN\"\r\n\r\n", "0 \r\n\r\nHIDDEN", "0\t\r\n\r\nHIDDEN",
	"0\n\r\nHIDDEN", "0\r\n\nHIDDEN", "0\n\nHIDDEN", "0\r\r\nHIDDEN", "0\r\n\rHIDDEN", "0x0\r\n\r\nHIDDEN", "-0\r\n\r\nHIDDEN", "+0\r\n\r\nHIDDEN", "0,0\r\n\r\nHIDDEN", "\r\n0\r\n\r\nHIDDEN",
	"HEX\r\nHIDDEN\r\n0\r\n\r\n", "HEX;x\r\nHIDDEN\r\n0\r\n\r\n", "HEX;x\nHIDDEN\r\n0\r\n\r\n", "HEX;\r\nHIDDEN\r\n0\r\n\r\n", "HEX\nHIDDEN\r\n0\r\n\r\n", "HEX \r\nHIDDEN\r\n0\r\n\r\n",
	"+HEX\r\nHIDDEN\r\n0\r\n\r\n", "0xHEX\r\nHIDDEN\r\n0\r\n\r\n", "HEXh\r\nHIDDEN\r\n0\r\n\r\n", "1000000000000000HEX\r\nHIDDEN\r\n0\r\n\r\n", "HEX\r\nHIDDEN0\r\n\r\n", "HEX\r\nHIDDEN\n0\r\n\r\n",
	"HEX\rHIDDEN\r\n0\r\n\r\n", "HEX\r\nHIDDENxx0\r\n\r\n", "3\r\nabc\r\n0\r\nX: y\r\n\r\nHIDDEN", "3\r\nabc\r\n0\r\nX\r\n\r\nHIDDEN", "3\r\nabc\r\n0\r\n X: y\r\n\r\nHIDDEN",
	"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\nHIDDEN", "3\r\nabc\r\n0\r\nContent-Length: LEN\r\n\r\nHIDDEN", "3\r\nabc\r\n0\nX: y\n\nHIDDEN", "1\r\nabc\r\n0\r\n\r\nHIDDEN",
	"5\r\nabc\r\n0\r\n\r\nHIDDEN", "3;\r\n\r\nabc\r\n0\r\n\r\nHIDDEN", "\x00\r\n\r\nHIDDEN", "HIDDEN",
}

// Requests that the gateway answers itself, or whose service answers without the body: it must stay a body.
var unreadHeads = []string{
	"POST /nobody HTTP/1.1", "POST /a/../b HTTP/1.1", "DELETE /t/attack-N HTTP/1.1", "CONNECT /t/attack-N HTTP/1.1", "TRACE /t/attack-N HTTP/1.1", "POST /claimed HTTP/1.1",
	"POST /early/early-N HTTP/1.1", "OPTIONS * HTTP/1.1", "OPTIONS /t/attack-N HTTP/1.1", "HEAD /t/attack-N HTTP/1.1", "GET /t/attack-N HTTP/1.1", "POST /small/small-N HTTP/1.1",
}

func smugglings() []smuggling {
	length, size := strconv.Itoa(len(number(hidden, 100))), fmt.Sprintf("%x", len(number(hidden, 100)))
	expand := strings.NewReplacer("LEN", length, "HEX", size, "HIDDEN", hidden)
	const head = "POST /t/attack-N HTTP/1.1\r\nHost: h\r\n"
	var all []smuggling
	add := func(name, text string, lawful bool) {
		all = append(all, smuggling{fmt.Sprintf("%s %q", name, text), text, lawful})
	}
	for _, line := range chunkedLines {
		// Who reads chunks has the hidden request behind the body, who reads the length has it inside.
		inside := "0\r\n\r\n" + hidden
		add("inside by length", fmt.Sprintf("%s%s\r\nContent-Length: %d\r\n\r\n%s", head, line, len(number(inside, 100)), inside), false)
		add("inside by length", fmt.Sprintf("%sContent-Length: %d\r\n%s\r\n\r\n%s", head, len(number(inside, 100)), line, inside), false)
		// And the other way round.
		body := expand.Replace("HEX\r\nHIDDEN\r\n0\r\n\r\n")
		add("inside by chunks", fmt.Sprintf("%s%s\r\nContent-Length: %d\r\n\r\n%s", head, line, len(size)+2, body), false)
		add("inside by chunks, HTTP/1.0", fmt.Sprintf("%s%s\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%s",
			strings.Replace(head, "1.1", "1.0", 1), line, len(size)+2, body), false)
	}
	for _, line := range lengthLines {
		add("lengths", expand.Replace(head+line+"\r\n\r\nHIDDEN"), false)
		add("lengths of GET", expand.Replace(strings.Replace(head, "POST", "GET", 1)+line+"\r\n\r\nHIDDEN"), false)
	}
	add("a length in a folded line", expand.Replace(head+"X: a\r\n Content-Length: LEN\r\n\r\nHIDDEN"), true)
	add("a length by another name", expand.Replace(head+"X-Content-Length: LEN\r\n\r\nHIDDEN"), true)
	add("an encoding in a folded line", expand.Replace(head+"X: a\r\n Transfer-Encoding: chunked\r\n\r\nHIDDEN"), true)
	add("a plain second request", expand.Replace(head+"Content-Length: 0\r\n\r\nHIDDEN"), true)
	for _, trick := range chunkTricks {
		add("chunks", expand.Replace(head+"Transfer-Encoding: chunked\r\n\r\n"+trick), false)
	}
	for _, line := range unreadHeads {
		add("a body that nobody reads", expand.Replace(line+"\r\nHost: h\r\nContent-Length: LEN\r\n\r\nHIDDEN"), false)
		add("a body that nobody reads", expand.Replace(line+"\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: LEN\r\n\r\nHIDDEN"), false)
		add("a chunked body that nobody reads", expand.Replace(line+"\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nHIDDEN\r\n0\r\n\r\n"), false)
		add("a large body that nobody reads", fmt.Sprintf("%s\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s%s", line, 20_000, strings.Repeat("x", 20_000-len(number(hidden, 100))), hidden), false)
	}
	return all
}

// number puts the number of a payload, which has three digits, in the place of N.
func number(text string, n int) string { return strings.ReplaceAll(text, "-N", fmt.Sprintf("-%d", n)) }

// witness is a service that answers with the tag of each request, and keeps in which order they came.
type witness struct {
	mu   sync.Mutex
	seen map[string][]string // by the payload's number
}

func (w *witness) serve(in *session.Incoming) {
	tag := in.Request().Params[0]
	_, n, _ := strings.Cut(tag, "-")
	w.mu.Lock()
	w.seen[n] = append(w.seen[n], tag)
	w.mu.Unlock()
	if !strings.HasPrefix(tag, "early") {
		if _, err := io.Copy(io.Discard, in); err != nil {
			return
		}
	}
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1, Header: []spec.Field{{Name: "X-Tag", Value: tag}}}, []byte(tag))
}

func (w *witness) of(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen[strconv.Itoa(n)])
}

var _ = Describe("a smuggled request", func() {
	It("is never served, and no answer is of another request", func() {
		all := smugglings()
		Expect(len(all)).To(BeNumerically(">=", 200))
		r := start(stallsAfter(patience / 5))
		w := &witness{seen: map[string][]string{}}
		r.join(identity{}, w.serve, endpoint("POST", "/t/{tag}"), endpoint("GET", "/t/{tag}"), endpoint("POST", "/early/{tag}", streams),
			endpoint("POST", "/claimed", claims("scope=x")), endpoint("POST", "/small/{tag}", limits(spec.Limits{MaxBodyBytes: 3})))
		wrong := make([]string, len(all))
		next, work := make(chan int), sync.WaitGroup{}
		for range 16 {
			work.Go(func() {
				defer GinkgoRecover()
				for i := range next {
					wrong[i] = r.smuggle(w, all[i], 100+i)
				}
			})
		}
		for i := range all {
			next <- i
		}
		close(next)
		work.Wait()
		wrong = slices.DeleteFunc(wrong, func(s string) bool { return s == "" })
		Expect(wrong).To(BeEmpty(), strings.Join(wrong, "\n"))
	})
})

// smuggle sends one payload and an honest request behind it, and says what is wrong with what came of them.
func (r *rig) smuggle(w *witness, s smuggling, n int) (wrong string) {
	conn, in := r.raw(number(s.text+"GET /t/honest-N HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", n))
	defer func() { _ = conn.Close() }()
	var statuses []int
	var tags []string
	for {
		resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // the connection is closed
		if err != nil {
			break
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		tag := resp.Header.Get("X-Tag")
		if strings.Contains(s.text[:4], "HEAD") && len(statuses) == 0 {
			resp.Body = http.NoBody
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || tag != "" && string(body) != tag && resp.Body != http.NoBody {
			return fmt.Sprintf("%s: the answer to %s has the body %q, %v", s.name, tag, body, err)
		}
		statuses = append(statuses, resp.StatusCode)
		if tag != "" {
			tags = append(tags, tag)
		}
	}
	seen := w.of(n)
	// A request whose body broke off has reached the service, and is answered by the gateway.
	answered := slices.Clone(seen)
	if len(statuses) > 0 && len(answered) > 0 && statuses[0] >= 400 && !strings.HasPrefix(answered[0], "honest") {
		answered = answered[1:]
	}
	want := []string{}
	for _, tag := range []string{"attack-N", "early-N", "small-N", "hidden-N", "honest-N"} {
		if tag = number(tag, n); slices.Contains(seen, tag) {
			want = append(want, tag)
		}
	}
	switch {
	case !slices.Equal(seen, want):
		return fmt.Sprintf("%s: the service saw %v", s.name, seen)
	case slices.Contains(seen, number("hidden-N", n)) != s.lawful:
		return fmt.Sprintf("%s: the service saw %v, the client %v", s.name, seen, statuses)
	case !slices.Equal(answered, tags):
		return fmt.Sprintf("%s: the service saw %v, answers were of %v", s.name, seen, tags)
	case len(statuses) < len(seen) || len(statuses) == 0 || len(statuses) > 3:
		return fmt.Sprintf("%s: the service saw %v, and there were the answers %v", s.name, seen, statuses)
	}
	return ""
}
