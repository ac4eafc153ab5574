package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// call has the handler do a job, within the endpoint's timeout, and returns its answer.
func (r *runner) call(s *shift, d *transports.Delivery, q *spec.Request, number uint32) (*transports.JobResult, error) {
	q.Generation, q.Endpoint, q.ContentLength = 0, number, int64(len(d.Body))
	q.Header = slices.DeleteFunc(q.Header, func(f spec.Field) bool {
		return f.Name == HeaderKey || f.Name == HeaderAttempt || f.Name == "Accept-Encoding" // of a result only the content type is kept
	})
	q.Header = append(q.Header, spec.Field{Name: HeaderAttempt, Value: strconv.Itoa(d.Attempt)}, spec.Field{Name: HeaderKey, Value: d.Key})
	timeout := r.timeout(d, number)
	ctx, cancel := context.WithTimeout(r.cut, timeout)
	defer cancel()

	f := transports.NewFrame(len(d.Request) + len(d.Body))
	b := q.AppendTo(f.Bytes())
	meta := len(b) - spec.HeaderSize
	inline := len(d.Body) <= spec.MaxInlineBody
	flags := spec.FlagIdempotent
	if inline {
		flags |= spec.FlagEnd
		if len(d.Body) > 0 {
			flags |= spec.FlagInlineBody
			b = append(b, d.Body...)
		}
	}
	if d.Attempt > 1 {
		flags |= spec.FlagRetry
	}
	f.SetBytes(b)
	c, err := s.gateway.Start(f, meta, flags, timeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotTaken, err)
	}
	var sending sync.WaitGroup
	defer c.Close()
	defer sending.Wait()
	defer c.Cancel(spec.CodeNoError) // a handler that has answered needs no more of the body
	if !inline {
		sending.Go(func() { send(c, d.Body) })
	}
	head, err := c.Head(ctx)
	if err != nil {
		return nil, failure(ctx, err, timeout)
	}
	return result(ctx, c, head, timeout)
}

// errNotTaken says that no handler has seen the job.
var errNotTaken = errors.New("the service did not take it")

// timeout is what an attempt may take: somewhat less than the lease, so that its outcome is known before others try.
func (r *runner) timeout(d *transports.Delivery, number uint32) time.Duration {
	const tenths = 10
	return min(time.Duration(r.Endpoints[number].Limits.TimeoutMS)*time.Millisecond, d.Lease-d.Lease/tenths)
}

// send sends a body. A call that ends before takes no more of it.
func send(c *session.Call, body []byte) {
	for {
		n, err := c.Acquire(min(len(body), spec.MaxChunk))
		if err != nil {
			return
		}
		take := min(n, len(body))
		f := transports.NewFrame(take)
		f.SetBytes(append(f.Bytes(), body[:take]...))
		body = body[take:]
		if err := c.Send(f, n, len(body) == 0); err != nil || len(body) == 0 {
			return
		}
	}
}

// failure says why there was no answer.
func failure(ctx context.Context, err error, timeout time.Duration) error {
	var e *session.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &e) && e.Code == spec.CodeDeadline:
		return fmt.Errorf("the handler did not answer within %v", timeout)
	case ctx.Err() != nil:
		return errors.New(interrupted)
	case errors.As(err, &e) && e.Remote && e.Code == spec.CodeRefused:
		return errNotTaken
	case errors.As(err, &e):
		return fmt.Errorf("the handler gave no answer: %s", e.Reason)
	}
	return fmt.Errorf("the handler gave no answer: %w", err)
}

// result reads an answer, as much of it as is kept.
func result(ctx context.Context, c *session.Call, head *transports.Frame, timeout time.Duration) (*transports.JobResult, error) {
	var r spec.Response
	err := r.Decode(head.Meta())
	body := append([]byte(nil), head.Body()...)
	head.Release()
	if err != nil {
		return nil, fmt.Errorf("the handler's answer cannot be read: %w", err)
	}
	for len(body) <= transports.MaxJobResult {
		f, err := c.Next(ctx, timeout)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, failure(ctx, err, timeout)
		}
		body = append(body, f.Body()...)
		c.Consumed(len(f.Body()))
		f.Release()
	}
	out := &transports.JobResult{Status: r.Status, Body: body}
	for _, f := range r.Header {
		if f.Name == "Content-Type" {
			out.ContentType = f.Value
		}
	}
	if len(body) > transports.MaxJobResult {
		out.Body, out.Cut = nil, true
	}
	return out, nil
}

// repeatable reports whether a job that was answered so may do better later.
func repeatable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

// maxReason bounds the reason that is kept, in bytes.
const maxReason = 1 << 10

// reason is what an answer says of its failure.
func reason(r *transports.JobResult) string {
	text := "the handler answered " + strconv.Itoa(r.Status)
	var p spec.Problem
	switch {
	case json.Unmarshal(r.Body, &p) == nil && (p.Detail != "" || p.Title != ""):
		if p.Detail == "" {
			p.Detail = p.Title
		}
		text += ": " + p.Detail
	case len(r.Body) > 0 && utf8.Valid(r.Body):
		text += ": " + strings.TrimSpace(string(r.Body))
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	return text
}
