package rabbitmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/router/transports"
)

// The kinds of messages that queues have, their AMQP types.
const (
	kindJob    = "job"    // in a queue: what [transports.Job.Encode] has returned
	kindDead   = "dead"   // among the dead: the same
	kindPoison = "poison" // among the dead: what was no job
	kindStatus = "status" // in the log: a status
	kindName   = "name"   // in the log: that there is a queue
	kindMark   = "mark"   // in the log: a reader's own
)

// A status is encoded as a byte for its version, and the fields in the order of [transports.JobStatus], each text with its
// length before it, numbers as varints, the state as a byte. A result follows where there is one. A name is encoded the same
// way, as the version and its two texts.
const recordVersion = 1

const (
	maxReason = 4 << 10
	// maxText bounds a text in a record, in bytes: those of jobs are smaller.
	maxText = 64 << 10
	// maxRecord bounds a record, in bytes.
	maxRecord = 4*maxText + maxReason + transports.MaxJobResult + 128
	// maxNumber bounds a number in a record: a time in ms, of some thousand years.
	maxNumber = 1 << 48
	// maxAttempt bounds an attempt in a record: a job that was given back often has had as many deliveries.
	maxAttempt = 1 << 20
)

// states are those of jobs, as they are encoded.
var states = []transports.JobState{transports.JobQueued, transports.JobRunning, transports.JobDone, transports.JobDead}

func appendTexts(b []byte, texts ...string) []byte {
	for _, t := range texts {
		t = t[:min(len(t), maxText)]
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	return b
}

func encodeName(n transports.QueueName) []byte {
	return appendTexts([]byte{recordVersion}, n.Service, n.Endpoint)
}

func encodeStatus(s *transports.JobStatus) []byte {
	b := appendTexts([]byte{recordVersion}, s.ID, s.Queue.Service, s.Queue.Endpoint, s.Owner)
	state := byte(0)
	for i, known := range states {
		if known == s.State {
			state = byte(i)
		}
	}
	b = append(b, state)
	b = binary.AppendUvarint(b, uint64(max(s.Attempt, 0)))
	b = appendTexts(b, s.Reason[:min(len(s.Reason), maxReason)])
	b = binary.AppendUvarint(b, uint64(max(s.Changed.UnixMilli(), 0)))
	if r := s.Result; r != nil {
		body, cut := r.Body, r.Cut
		if len(body) > transports.MaxJobResult {
			body, cut = nil, true
		}
		b = binary.AppendUvarint(b, uint64(max(r.Status, 0)))
		b = appendTexts(b, r.ContentType)
		if cut {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = append(b, body...)
	}
	return b
}

var errRecord = errors.New("this is no record of the log")

// fields reads a record's fields. After the first that is broken all are empty.
type fields struct {
	rest   []byte
	broken bool
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		f.broken = true
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b
}

func (f *fields) number(limit uint64) uint64 {
	n, size := binary.Uvarint(f.rest)
	if size <= 0 || n > limit || f.broken {
		f.broken, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

func (f *fields) text() string {
	n := f.number(maxText)
	if n > uint64(len(f.rest)) {
		f.broken, f.rest = true, nil
		return ""
	}
	s := string(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}

// parseName reads what encodeName has returned.
func parseName(b []byte) (transports.QueueName, error) {
	f := fields{rest: b}
	version := f.byte()
	n := transports.QueueName{Service: f.text(), Endpoint: f.text()}
	if version != recordVersion || f.broken || len(f.rest) > 0 || n.Service == "" || n.Endpoint == "" {
		return transports.QueueName{}, fmt.Errorf("%w: a name of %d bytes", errRecord, len(b))
	}
	return n, nil
}

// parseStatus reads what encodeStatus has returned.
func parseStatus(b []byte) (*transports.JobStatus, error) {
	if len(b) > maxRecord {
		return nil, fmt.Errorf("%w: a status of %d bytes, the limit is %d", errRecord, len(b), maxRecord)
	}
	f := fields{rest: b}
	if v := f.byte(); v != recordVersion {
		return nil, fmt.Errorf("%w: a status of version %d, expected %d", errRecord, v, recordVersion)
	}
	s := &transports.JobStatus{ID: f.text(), Queue: transports.QueueName{Service: f.text(), Endpoint: f.text()}, Owner: f.text()}
	state := f.byte()
	s.Attempt = int(f.number(maxAttempt))
	s.Reason = f.text()
	s.Changed = time.UnixMilli(int64(f.number(maxNumber))).UTC()
	if f.broken || int(state) >= len(states) || s.ID == "" || s.Queue.Service == "" || s.Queue.Endpoint == "" || len(s.Reason) > maxReason {
		return nil, fmt.Errorf("%w: a status of %d bytes whose fields are not whole", errRecord, len(b))
	}
	if s.State = states[state]; s.State == transports.JobDone {
		const most = 999
		s.Result = &transports.JobResult{Status: int(f.number(most)), ContentType: f.text()}
		cut := f.byte()
		s.Result.Cut = cut == 1
		if len(f.rest) > 0 {
			s.Result.Body = append([]byte(nil), f.rest...)
		}
		if f.broken || cut > 1 || len(f.rest) > transports.MaxJobResult || s.Result.Cut && len(f.rest) > 0 {
			return nil, fmt.Errorf("%w: a status of %d bytes whose result is not whole", errRecord, len(b))
		}
		return s, nil
	}
	if len(f.rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind a status", errRecord, len(f.rest))
	}
	return s, nil
}
