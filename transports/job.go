package transports

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/router/spec"
)

// Job is a call that waits in a queue: REQUEST as a gateway would have sent it, and what the gateway promises of it.
type Job struct {
	ID       string // of the request
	Queue    QueueName
	Attempts int           // until it is dead
	Lease    time.Duration // see [Source]
	Key      string        // the caller's idempotency key, else the ID: the same with every attempt
	Owner    string        // who may ask for its status: a caller's subject; empty is whoever knows the ID
	Accepted time.Time     // in UTC, in milliseconds
	Request  []byte        // REQUEST's metadata
	Body     []byte        // at most [spec.MaxJobBody] bytes

	raw     []byte
	macs    [][]byte
	content []byte // what the MACs are of
}

// jobHead is the JSON in a job's encoding.
type jobHead struct {
	ID       string `json:"id"`
	Service  string `json:"service"`
	Endpoint string `json:"endpoint"`
	Attempts int    `json:"attempts"`
	LeaseMS  int64  `json:"leaseMs"`
	Key      string `json:"key"`
	Owner    string `json:"owner,omitempty"`
	Accepted int64  `json:"accepted"` // milliseconds since 1970
}

// The encoding of a job: a byte for its version, a byte for how many MACs there are, these, and the content: two bytes for
// the length of the head, the head, four for REQUEST's metadata, that, and the body.
const (
	jobVersion = 1
	jobMAC     = 16
	jobPrefix  = 2
	jobLabel   = "stella job\n"
)

// maxJob bounds a job's encoding, in bytes.
const maxJob = jobPrefix + maxJobMACs*jobMAC + 2 + maxJobHead + 4 + spec.MaxMetadata + spec.MaxJobBody

const (
	maxJobMACs = 255
	maxJobHead = 1<<16 - 1
)

// Encode returns the job's bytes, signed with every token that its service may have now; the first 255 of them. Without
// tokens it is not signed.
func (j *Job) Encode(tokens ...string) ([]byte, error) {
	head, err := json.Marshal(jobHead{
		ID: j.ID, Service: j.Queue.Service, Endpoint: j.Queue.Endpoint, Attempts: j.Attempts, LeaseMS: j.Lease.Milliseconds(),
		Key: j.Key, Owner: j.Owner, Accepted: j.Accepted.UnixMilli(),
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("transports: job: %w", err)
	case len(head) > maxJobHead:
		return nil, fmt.Errorf("transports: job: its head takes %d bytes, the limit is %d", len(head), maxJobHead)
	case len(j.Request) > spec.MaxMetadata:
		return nil, fmt.Errorf("transports: job: its metadata takes %d bytes, the limit is %d", len(j.Request), spec.MaxMetadata)
	case len(j.Body) > spec.MaxJobBody:
		return nil, fmt.Errorf("transports: job: its body takes %d bytes, the limit is %d", len(j.Body), spec.MaxJobBody)
	}
	tokens = tokens[:min(len(tokens), maxJobMACs)]
	start := jobPrefix + len(tokens)*jobMAC
	b := make([]byte, start, start+2+len(head)+4+len(j.Request)+len(j.Body))
	b[0], b[1] = jobVersion, byte(len(tokens))
	b = binary.BigEndian.AppendUint16(b, uint16(len(head)))
	b = append(b, head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(j.Request)))
	b = append(b, j.Request...)
	b = append(b, j.Body...)
	for i, token := range tokens {
		copy(b[jobPrefix+i*jobMAC:], signJob(token, b[start:]))
	}
	return b, nil
}

func signJob(token string, content []byte) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(jobLabel))
	mac.Write(content)
	return mac.Sum(nil)[:jobMAC]
}

var errJob = errors.New("transports: this is no job")

// ParseJob reads what Encode has returned. It keeps b.
func ParseJob(b []byte) (*Job, error) {
	if len(b) < jobPrefix || len(b) > maxJob {
		return nil, fmt.Errorf("%w: %d bytes, expected %d to %d", errJob, len(b), jobPrefix, maxJob)
	}
	if b[0] != jobVersion {
		return nil, fmt.Errorf("%w of a version that is known here: %d, expected %d", errJob, b[0], jobVersion)
	}
	count := int(b[1])
	j := &Job{raw: b}
	rest := b[jobPrefix:]
	for range count {
		if len(rest) < jobMAC {
			return nil, fmt.Errorf("%w: it ends within its MACs", errJob)
		}
		j.macs = append(j.macs, rest[:jobMAC])
		rest = rest[jobMAC:]
	}
	j.content = rest
	head, rest, ok := cutPrefixed(rest, 2) //nolint:mnd // the width of its length
	if !ok {
		return nil, fmt.Errorf("%w: it ends within its head", errJob)
	}
	var h jobHead
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", errJob, err)
	}
	j.Request, j.Body, ok = cutPrefixed(rest, 4) //nolint:mnd // the same
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: it ends within its metadata", errJob)
	case len(j.Request) > spec.MaxMetadata || len(j.Body) > spec.MaxJobBody:
		return nil, fmt.Errorf("%w: metadata of %d bytes, and a body of %d", errJob, len(j.Request), len(j.Body))
	case h.ID == "" || h.Service == "" || h.Endpoint == "" || h.Attempts < 1 || h.LeaseMS < 1 || h.LeaseMS > spec.MaxLeaseMS:
		return nil, fmt.Errorf("%w: its head is not whole", errJob)
	}
	j.ID, j.Queue = h.ID, QueueName{h.Service, h.Endpoint}
	j.Attempts, j.Lease = h.Attempts, time.Duration(h.LeaseMS)*time.Millisecond
	j.Key, j.Owner, j.Accepted = h.Key, h.Owner, time.UnixMilli(h.Accepted).UTC()
	return j, nil
}

// cutPrefixed cuts what a length of so many bytes precedes.
func cutPrefixed(b []byte, width int) (part, rest []byte, ok bool) {
	if len(b) < width {
		return nil, nil, false
	}
	var n uint64
	for _, c := range b[:width] {
		n = n<<8 | uint64(c)
	}
	b = b[width:]
	if n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// Raw is what the job was parsed from, its MACs included, or nil.
func (j *Job) Raw() []byte { return j.raw }

// SignedWith reports whether a job that was parsed is signed with the token.
func (j *Job) SignedWith(token string) bool {
	want := signJob(token, j.content)
	for _, m := range j.macs {
		if hmac.Equal(want, m) {
			return true
		}
	}
	return false
}
