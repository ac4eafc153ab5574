package valkey

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/transports"
)

// encodeName is a queue's name as keys and the set of names have it: nothing in it is a colon, a brace or a space.
func encodeName(n transports.QueueName) string {
	return url.QueryEscape(n.Service) + ":" + url.QueryEscape(n.Endpoint)
}

// decodeName reads what encodeName has written, and nothing else.
func decodeName(s string) (transports.QueueName, error) {
	service, endpoint, _ := strings.Cut(s, ":")
	var n transports.QueueName
	var err1, err2 error
	n.Service, err1 = url.QueryUnescape(service)
	n.Endpoint, err2 = url.QueryUnescape(endpoint)
	if err1 != nil || err2 != nil || encodeName(n) != s {
		return transports.QueueName{}, fmt.Errorf("%.100q is no queue's name", s)
	}
	return n, nil
}

// waiting is an entry of a queue as it was taken from there.
type waiting struct {
	key    string // the queue's
	id     string
	fields []client.XRangeFieldValue
}

// parseWaiting reads the job in an entry of a queue.
func parseWaiting(name transports.QueueName, e waiting) (*transports.Job, error) {
	f := e.fields
	if len(f) != 3 || f[0].Field != fieldID || f[1].Field != fieldOwner || f[2].Field != fieldJob {
		return nil, errors.New("the entry does not have the fields of a job")
	}
	j, err := transports.ParseJob([]byte(f[2].Value))
	switch {
	case err != nil:
		return nil, err
	case j.ID != f[0].Value || j.Owner != f[1].Value:
		return nil, fmt.Errorf("the entry is of job %.100q of %.100q, and in it is %.100q of %.100q", f[0].Value, f[1].Value, j.ID, j.Owner)
	case j.Queue != name:
		return nil, fmt.Errorf("the job is one of %.200q", j.Queue)
	}
	return j, nil
}

// contents is what was in an entry that is no job, for whoever looks at it later.
func (e waiting) contents() string {
	for _, f := range e.fields {
		if f.Field == fieldJob {
			return f.Value
		}
	}
	var b strings.Builder
	for _, f := range e.fields {
		b.WriteString(f.Field + "=" + f.Value + "\n")
	}
	return b.String()
}

// parseDead reads a dead entry. What is no job gets one's form: the entry's id, and what was in it as the body.
func parseDead(name transports.QueueName, e client.XRangeSlice) *transports.DeadJob {
	d := &transports.DeadJob{}
	id, raw, poison := e.ID, "", false
	for _, f := range e.FieldValues {
		switch f.Field {
		case fieldID:
			id = f.Value
		case fieldJob:
			raw = f.Value
		case fieldReason:
			d.Reason = f.Value
		case fieldAttempts:
			d.Attempts, _ = strconv.Atoi(f.Value)
		case fieldDied:
			d.Died = parseMilli(f.Value)
		case fieldPoison:
			poison = true
		}
	}
	if j, err := transports.ParseJob([]byte(raw)); err == nil && !poison {
		d.Job = j
	} else {
		d.Job = &transports.Job{ID: id, Queue: name, Body: []byte(raw)}
	}
	return d
}

func parseMilli(s string) time.Time {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// parseStatus reads a status.
func parseStatus(id string, fields map[string]string) (*transports.JobStatus, error) {
	name, err := decodeName(fields[statusQueue])
	if err != nil {
		return nil, err
	}
	s := &transports.JobStatus{
		ID: id, Queue: name, Owner: fields[statusOwner], State: transports.JobState(fields[statusState]),
		Reason: fields[statusReason], Changed: parseMilli(fields[statusChanged]),
	}
	switch s.State {
	case transports.JobQueued, transports.JobRunning, transports.JobDead:
	case transports.JobDone:
		if s.Result, err = parseResult(fields); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("it has the state %.100q, which nobody knows", s.State)
	}
	if s.Attempt, err = strconv.Atoi(fields[statusAttempt]); err != nil || s.Attempt < 0 {
		return nil, fmt.Errorf("it has the attempt %.100q, expected a number", fields[statusAttempt])
	}
	return s, nil
}

// resultFields are a result as a status has it, names and values. A body that is too large is left out.
func resultFields(r *transports.JobResult) []string {
	if r == nil {
		r = &transports.JobResult{}
	}
	body, cut := r.Body, r.Cut
	if len(body) > transports.MaxJobResult {
		body, cut = nil, true
	}
	return []string{
		resultStatus, strconv.Itoa(r.Status), resultType, r.ContentType, resultBody, client.BinaryString(body), resultCut, strconv.FormatBool(cut),
	}
}

// parseResult reads what resultFields has written.
func parseResult(fields map[string]string) (*transports.JobResult, error) {
	r := &transports.JobResult{ContentType: fields[resultType]}
	var err1, err2 error
	r.Status, err1 = strconv.Atoi(fields[resultStatus])
	r.Cut, err2 = strconv.ParseBool(fields[resultCut])
	body := fields[resultBody]
	if len(body) > transports.MaxJobResult {
		err2 = fmt.Errorf("a body of %d bytes, the limit is %d", len(body), transports.MaxJobResult)
	}
	if body != "" {
		r.Body = []byte(body)
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("its result: %w", err)
	}
	return r, nil
}
