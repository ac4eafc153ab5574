package stella

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// silent is a sequence that waits before each of its items, and after the last.
func silent(waits ...time.Duration) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i, wait := range waits {
			time.Sleep(wait)
			if i < len(waits)-1 && !yield(i, nil) {
				return
			}
		}
	}
}

// answerOf makes a call with an Accept header, and reads its answer to the end.
func answerOf(ctx context.Context, s *session.Gateway, accept string) (string, error) {
	r := spec.Request{ID: [16]byte{1}, Header: []spec.Field{{Name: "Accept", Value: accept}}}
	f := transports.NewFrame(256)
	b := r.AppendTo(f.Bytes())
	f.SetBytes(b)
	c, err := s.Start(f, len(b)-spec.HeaderSize, spec.FlagEnd, time.Hour)
	if err != nil {
		return "", err
	}
	defer c.Close()
	head, err := c.Head(ctx)
	if err != nil {
		return "", err
	}
	body := string(head.Body())
	whole := head.Header().Flags&spec.FlagEnd != 0
	head.Release()
	for !whole {
		f, err := c.Next(ctx, time.Hour)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return body, err
		}
		body += string(f.Body())
		c.Consumed(len(f.Body()))
		f.Release()
	}
	return body, nil
}

func TestSilentSequences(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		accept string
		waits  []time.Duration
		want   string // empty: a comment and an item come at the same time, in either order
	}{
		"events":   {eventStream.mediaType, []time.Duration{40 * s, s, 14 * s, 31 * s}, ":\n\n:\n\ndata: 0\n\ndata: 1\n\ndata: 2\n\n:\n\n:\n\n"},
		"at once":  {eventStream.mediaType, []time.Duration{0, 0, 0}, "data: 0\n\ndata: 1\n\n"},
		"together": {eventStream.mediaType, []time.Duration{15*s + sequenceSilence, 15 * s, 15 * s, 15 * s}, ""},
		"lines":    {ndjson.mediaType, []time.Duration{40 * s, 20 * s, 20 * s}, "0\n1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gomega.NewWithT(t)
				w := &way{url: "inmemory://silent"}
				w.open(t)
				log := slog.New(slog.DiscardHandler)
				endpoint := &spec.Endpoint{Method: "GET", Path: "/", Status: 200, Stream: spec.StreamResponse}
				routes := []route{{endpoint: endpoint, dispatch: func(_ context.Context, r *Request, w *Response) error {
					return SendSequence(r, w, http.StatusOK, silent(test.waits...))
				}}}
				r := &running{
					settings: &settings{instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "x"}, maxAge: 24 * time.Hour, log: log},
					manifest: []byte("m"), dispatcher: newDispatcher(routes, log), cut: t.Context(), leases: &leases{total: 4}, peers: newPeers(nil, nil),
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					newConnection(r, gatewayURLs{w.url}, nil).run(ctx)
				}()
				time.Sleep(s)
				g.Expect(w.sessions()).To(gomega.HaveLen(1))
				body, err := answerOf(ctx, w.sessions()[0], test.accept)
				g.Expect(err).NotTo(gomega.HaveOccurred())
				if test.want != "" {
					g.Expect(body).To(gomega.Equal(test.want))
				}
				g.Expect(strings.Count(body, "data:") + strings.Count(body, "\n0\n")).To(gomega.BeNumerically("<", len(test.waits)))
				time.Sleep(time.Minute) // nothing comments on an answer that has ended
				cancel()
				<-done
				g.Expect(w.ln.Close()).To(gomega.Succeed())
				for _, s := range w.sessions() {
					g.Expect(s.Close(spec.CodeNoError, "")).To(gomega.Succeed())
				}
			})
		})
	}
}
