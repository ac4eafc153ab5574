package e2e

import (
	"bufio"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// slowBody is a request whose body does not come as it should.
type slowBody struct {
	name, head string   // TAG in head is the call's
	first      string   // of the body; then nothing, or
	slowly     []string // these parts, one after the other: it takes 1.2 times the stall limit
	status     int
	canceled   bool // whether there is a call to be cancelled
}

// slowBodies are all of them. A body that is passed on while it comes may come slowly; one that is small enough to be
// passed on whole has to be whole in time.
func slowBodies() []slowBody {
	const late = http.StatusRequestTimeout
	return []slowBody{
		{name: "a small body that stalls", head: "POST /count?tag=TAG HTTP/1.1\r\nContent-Length: 10\r\n", first: "abc", status: late},
		{name: "a small body that is slow", head: "POST /count?tag=TAG HTTP/1.1\r\nContent-Length: 10\r\n", slowly: strings.Split("abcdef", ""), status: late},
		{name: "a large body that stalls", head: "POST /count?tag=TAG HTTP/1.1\r\nContent-Length: 60000\r\n", first: "abc", status: late, canceled: true},
		{name: "a chunked body that stalls", head: "POST /count?tag=TAG HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", first: "3\r\nabc\r\n", status: late, canceled: true},
		{name: "a stream that stalls", head: "PUT /bulk?tag=TAG HTTP/1.1\r\nContent-Length: 60000\r\n", first: "abc", status: late, canceled: true},
		{name: "a stream that never begins", head: "PUT /bulk?tag=TAG HTTP/1.1\r\nContent-Length: 60000\r\n", status: late, canceled: true},
		{name: "a chunked stream that stalls", head: "PUT /bulk?tag=TAG HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", first: "3\r\nabc\r\n", status: late, canceled: true},
		{
			name: "a stream that is slow", head: "PUT /bulk?tag=TAG HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
			slowly: []string{"1\r\na\r\n", "1\r\nb\r\n", "1\r\n", "c\r\n", "1\r\nd\r\n", "0\r\n\r\n"}, status: http.StatusOK,
		},
	}
}

var _ = everyForm("a request body", func(start func(settings) *stack) {
	// All at once, because the processes have the limit that they always have: 10 s.
	It("that stalls is answered with 408 at the stall limit, with one CANCEL where the service knows of it", func() {
		s := start(settings{stall: 500 * time.Millisecond})
		limit, mark, bodies := s.settings.stall, s.tap.mark(), slowBodies()
		canceled := 0
		var tags []string
		var readers []*bufio.Reader
		took := make([]chan time.Duration, len(bodies))
		begin := time.Now()
		for i, b := range bodies {
			tags = append(tags, newTag())
			conn, r := raw(s.http, strings.Replace(b.head, "TAG", tags[i], 1)+"Host: x\r\n\r\n"+b.first)
			Expect(conn.SetDeadline(begin.Add(2*limit + patience))).To(Succeed())
			readers = append(readers, r)
			if b.slowly != nil {
				go func() {
					tick := time.NewTicker(limit / 5)
					defer tick.Stop()
					for _, part := range b.slowly {
						<-tick.C
						if _, err := conn.Write([]byte(part)); err != nil {
							return
						}
					}
				}()
			}
			took[i] = make(chan time.Duration, 1)
			go func() {
				_, _ = r.Peek(1) // an error comes again when the answer is read
				took[i] <- time.Since(begin)
			}()
		}
		for i, b := range bodies {
			var at time.Duration
			Eventually(took[i]).Within(limit+patience).Should(Receive(&at), b.name)
			a := respond(readers[i], http.MethodPost)
			Expect(a.StatusCode).To(Equal(b.status), "%s: %s", b.name, a.body)
			if b.status != http.StatusRequestTimeout {
				Expect(at).To(BeNumerically(">", limit), b.name)
				Expect(a.body).To(Equal("4"), b.name)
				continue
			}
			Expect(at).To(And(BeNumerically(">=", limit), BeNumerically("<", limit+time.Second)), b.name)
			Expect(a.problem().Origin).To(Equal("gateway"), b.name)
			if b.canceled {
				canceled++
				Expect(s.left(tags[i]).Cause).To(Equal(spec.CodeStalled.String()), b.name)
			} else {
				Expect(s.events(tags[i])).To(BeEmpty(), b.name)
			}
		}
		Expect(s.tap.cancels(mark)).To(Equal(canceled))
	})
})
