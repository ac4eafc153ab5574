package edge_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// whim serves a call in one of the ways in which handlers do.
func whim(in *session.Incoming) {
	body := make([]byte, rand.IntN(100_000))
	switch rand.IntN(7) {
	case 0: // early, and reads nothing
		_ = in.Respond(&spec.Response{Status: 413, ContentLength: -1}, []byte("no"))
	case 1:
		count(in)
	case 2: // both ways at once
		if in.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
			if _, err := io.Copy(in, struct{ io.Reader }{in}); err == nil {
				_ = in.End()
			}
		}
	case 3: // broken off
		_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
		_, _ = in.Write(body)
	case 4:
		in.Cancel(spec.CodeStale, "")
	case 5: // no answer
	case 6: // as long as anybody takes it
		_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
		for range 50 {
			if _, err := in.Write(body); err != nil {
				return
			}
		}
		_ = in.End()
	}
}

var _ = Describe("After any number of requests in any order of events", func() {
	It("every slot is free again, and nobody waits", func() {
		r := start(func(c *gateway.Config) { c.Stall = time.Second })
		m := r.join(identity{lease: 32}, whim, endpoint("POST", "/a", streams))
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		second := &http.Transport{Protocols: p}
		defer second.CloseIdleConnections()
		clients := []*http.Client{r.client, {Transport: second}}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					if rand.IntN(6) == 0 {
						conn, err := net.Dial("tcp", r.g.HTTPAddr())
						if err != nil {
							continue
						}
						_, _ = io.WriteString(conn, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc")
						<-time.After(time.Duration(rand.IntN(10)) * time.Millisecond)
						_ = conn.Close()
						continue
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rand.IntN(30))*time.Millisecond)
					if rand.IntN(2) == 0 {
						ctx = context.Background()
					}
					var body io.Reader = bytes.NewReader(make([]byte, rand.IntN(300_000)))
					if rand.IntN(2) == 0 {
						body = unsized{body}
					}
					q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("/a"), body)
					if err == nil {
						var resp *http.Response
						if resp, err = clients[i%2].Do(q); err == nil {
							_, _ = io.CopyN(io.Discard, resp.Body, rand.Int64N(3_000_000))
							_ = resp.Body.Close()
						}
					}
					cancel()
				}
			})
		}
		wg.Wait()
		Eventually(m.InFlight).WithTimeout(patience).Should(BeZero())
		Eventually(func() int { return r.g.Registry().Services()[0].Instances[0].InFlight }).WithTimeout(patience).Should(BeZero())
	})
})
