package edge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Jobs are requests to endpoints with delivery=queue. The client gets 202 as soon as the broker has the request, and asks
// for what becomes of it under the gateway's own path.

// jobsPath is where the gateway tells what has become of jobs. No endpoint can be under it: see spec.
const jobsPath = "/_stella/jobs/"

// resultPath follows a job's ID where the client asks for the handler's answer as it was.
const resultPath = "/result"

const headerIdempotencyKey = "Idempotency-Key"

// What a worker adds: header fields, and bytes beside an idempotency key.
const jobFields, jobRoom = 2, 256

// jobAnswer is what the gateway says of a job.
type jobAnswer struct {
	Job       string              `json:"job"`
	State     transports.JobState `json:"state"`
	StatusURL string              `json:"statusUrl"`
	Attempt   int                 `json:"attempt"`
	Reason    string              `json:"reason,omitempty"`
	Changed   time.Time           `json:"changed"`
	Result    *jobResult          `json:"result,omitempty"`
}

// jobResult says where the handler's answer is.
type jobResult struct {
	Status int    `json:"status"`
	URL    string `json:"url,omitempty"` // empty where the body was too large to be kept
}

// enqueue makes the request a job, and answers 202.
func (e *Edge) enqueue(x *Exchange) *problem {
	if e.cfg.Queue == nil {
		return &problem{Kind: kindQueue, detail: "this gateway has no queue: its operator sets --queue (STELLA_QUEUE) to a broker's URL"}
	}
	key := ""
	if given := x.header()[headerIdempotencyKey]; len(given) > 0 {
		key = given[0]
	}
	if len(x.request.Header)+jobFields > spec.MaxFields || len(x.request.AppendTo(nil))+len(key)+jobRoom > spec.MaxMetadata {
		return &problem{Kind: kindHeaders, detail: "header fields, query and path are too many or too long for a job"}
	}
	if i := x.request.Identity; i != nil && i.Subject == "" {
		return &problem{Kind: kindForbidden, detail: "the token names no subject (sub), and a job belongs to one", challenge: `Bearer error="invalid_token"`}
	}
	room := x.length
	if room < 0 {
		room = x.route.MaxBody
	}
	release, err := e.cfg.Queue.Hold(room)
	if err != nil {
		return &problem{Kind: kindOverloaded, detail: "too many requests are on their way to the queue", retryable: true}
	}
	defer release()
	body, p := e.readWhole(x, room)
	if p != nil || x.aborted {
		return p
	}
	x.request.ContentLength = int64(len(body))
	x.request.Generation, x.request.Endpoint = 0, 0 // the worker knows them by the queue's name
	switch err := e.cfg.Queue.Put(x.ctx, x.route.Release.Service, x.route.Endpoint, &x.request, key, body); {
	case err == nil:
	case x.ctx.Err() != nil:
		x.abort(statusClientGone)
		return nil
	default:
		e.log.WarnContext(x.ctx, "a request could not be queued", "error", err, "requestId", x.request.ID.String())
		return &problem{Kind: kindQueue, detail: "the queue's broker did not take the request. It may have it all the same"}
	}
	id := x.request.ID.String()
	return e.tell(x, http.StatusAccepted, &jobAnswer{Job: id, State: transports.JobQueued, StatusURL: jobsPath + id, Changed: x.start.UTC()})
}

// readWhole reads the body, within the endpoint's timeout: it holds room that others want. room is what it takes at most.
func (e *Edge) readWhole(x *Exchange, room int64) ([]byte, *problem) {
	body := make([]byte, 0, min(room, spec.MaxInlineBody)+1)
	for {
		if len(body) == cap(body) {
			body = slices.Grow(body, 1)
		}
		until := x.start.Add(x.route.Timeout)
		if stall := time.Now().Add(e.cfg.Stall); stall.Before(until) {
			until = stall
		}
		x.readBy(until)
		n, err := x.read(body[len(body):min(cap(body), int(room)+1)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > room:
			return nil, tooLarge(x.route.MaxBody)
		case errors.Is(err, io.EOF):
			x.readBy(time.Time{})
			return body, nil
		case err != nil:
			p, _ := x.fault(err)
			if p == nil {
				x.abort(statusClientGone)
			}
			return nil, p
		}
	}
}

// job answers a request for a job's status, or for its result.
func (e *Edge) job(x *Exchange) *problem {
	if x.method != http.MethodGet && x.method != http.MethodHead {
		return &problem{Kind: kindMethod, detail: "what becomes of a job is there for GET, HEAD", allow: "GET, HEAD"}
	}
	asks, p := e.whoAsks(x)
	if p != nil {
		return p
	}
	text, result := strings.CutSuffix(x.path[len(jobsPath):], resultPath)
	id, err := spec.ParseRequestID(text)
	if err != nil {
		return &problem{Kind: kindJob, detail: err.Error()}
	}
	s, err := e.cfg.Queue.Status(x.ctx, id.String(), asks)
	switch {
	case errors.Is(err, transports.ErrNoJob):
		return &problem{Kind: kindJob, detail: "nothing is known of this job: its ID is wrong, it is somebody else's, or it ended over " +
			transports.JobRetention.String() + " ago"}
	case err != nil:
		e.log.WarnContext(x.ctx, "a job's status could not be read", "error", err, "job", id.String())
		return &problem{Kind: kindQueue, detail: "the queue's broker cannot be asked now", retryable: true}
	case !result:
		return e.tell(x, http.StatusOK, answerOf(s))
	case s.Result == nil || s.Result.Cut:
		return &problem{Kind: kindJob, detail: "the job has no result that was kept: it is " + string(s.State)}
	}
	e.send(x, s.Result.Status, s.Result.ContentType, s.Result.Body)
	return nil
}

func answerOf(s *transports.JobStatus) *jobAnswer {
	a := &jobAnswer{Job: s.ID, State: s.State, StatusURL: jobsPath + s.ID, Attempt: s.Attempt, Reason: s.Reason, Changed: s.Changed.UTC()}
	if s.Result != nil {
		a.Result = &jobResult{Status: s.Result.Status}
		if !s.Result.Cut {
			a.Result.URL = a.StatusURL + resultPath
		}
	}
	return a
}

// whoAsks is the identity that a request proves; nil where it tries to prove none. A certificate that names nobody is none
// of the request's own.
func (e *Edge) whoAsks(x *Exchange) (*spec.Identity, *problem) {
	if len(x.header()[headerAuthorization]) > 0 {
		if !e.cfg.Verifier.Takes() {
			return nil, nil
		}
		return e.identity(x)
	}
	if x.certified() {
		if who, p := e.identity(x); p == nil {
			return who, nil
		}
	}
	return nil, nil
}

// tell answers with what is known of a job.
func (e *Edge) tell(x *Exchange, status int, a *jobAnswer) *problem {
	body, err := json.Marshal(a)
	if err != nil {
		return &problem{Kind: kindQueue, detail: "what the queue's broker says of the job cannot be passed on"}
	}
	h := x.answerHeader()
	if status == http.StatusAccepted {
		h["Location"] = []string{a.StatusURL}
	} else if a.State == transports.JobQueued || a.State == transports.JobRunning {
		h["Retry-After"] = []string{retryAfter}
	}
	e.send(x, status, "application/json", body)
	return nil
}

var notStored = []string{"no-store"}

// send answers with a body that nobody must keep, unless it has a tag.
func (e *Edge) send(x *Exchange, status int, contentType string, body []byte) {
	h := x.answerHeader()
	x.stamp(h)
	if contentType != "" {
		h[headerContentType] = []string{contentType}
	}
	if status == http.StatusNoContent || status == http.StatusNotModified { // RFC 9110, sections 15.3.5 and 15.4.5
		body = nil
	} else {
		h[headerContentLength] = []string{strconv.Itoa(len(body))}
	}
	if h["Etag"] != nil {
		h["Cache-Control"] = documentAge
	} else {
		h["Cache-Control"] = notStored
	}
	x.writeBy(time.Now().Add(e.cfg.Stall))
	x.status = status
	x.head(status)
	if x.method == http.MethodHead || len(body) == 0 {
		return
	}
	n, err := x.write(body)
	x.written = int64(n)
	if err != nil {
		x.abort(statusClientGone)
	}
}
