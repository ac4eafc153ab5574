package transports

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
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

// The encoding of a job: a byte for its version, a byte for how many MACs there are, these, and the content. That is the
// fields in the order of [Job], each text with its length before it, numbers as varints, and at last the body.
const (
	jobVersion = 1
	jobMAC     = 16
	jobPrefix  = 2
	jobLabel   = "stella job\n"
)

const (
	maxJobMACs = 255
	maxJobHead = 64 << 10 // bytes of all fields but the last two
	// maxJob bounds a job's encoding, in bytes.
	maxJob = jobPrefix + maxJobMACs*jobMAC + maxJobHead + spec.MaxMetadata + spec.MaxJobBody
)

// Encode returns the job's bytes, signed with every token that its service may have now; the first 255 of them. Without
// tokens it is not signed.
func (j *Job) Encode(tokens ...string) ([]byte, error) {
	tokens = tokens[:min(len(tokens), maxJobMACs)]
	start := jobPrefix + len(tokens)*jobMAC
	b := make([]byte, start, start+len(j.ID)+len(j.Queue.Service)+len(j.Queue.Endpoint)+len(j.Key)+len(j.Owner)+len(j.Request)+len(j.Body)+64)
	b[0], b[1] = jobVersion, byte(len(tokens))
	for _, text := range []string{j.ID, j.Queue.Service, j.Queue.Endpoint, j.Key, j.Owner} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendUvarint(b, uint64(max(j.Attempts, 0)))
	b = binary.AppendUvarint(b, uint64(max(j.Lease.Milliseconds(), 0)))
	b = binary.AppendUvarint(b, uint64(max(j.Accepted.UnixMilli(), 0)))
	switch {
	case len(b)-start > maxJobHead:
		return nil, fmt.Errorf("transports: job: its key and names take %d bytes, the limit is %d", len(b)-start, maxJobHead)
	case len(j.Request) > spec.MaxMetadata:
		return nil, fmt.Errorf("transports: job: its metadata takes %d bytes, the limit is %d", len(j.Request), spec.MaxMetadata)
	case len(j.Body) > spec.MaxJobBody:
		return nil, fmt.Errorf("transports: job: its body takes %d bytes, the limit is %d", len(j.Body), spec.MaxJobBody)
	}
	b = binary.AppendUvarint(b, uint64(len(j.Request)))
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
	c := cursor{rest: rest}
	j.ID, j.Queue.Service, j.Queue.Endpoint, j.Key, j.Owner = c.text(), c.text(), c.text(), c.text(), c.text()
	attempts, lease, accepted := c.number(spec.MaxAttempts), c.number(spec.MaxLeaseMS), c.number(maxAccepted)
	j.Attempts, j.Lease, j.Accepted = int(attempts), time.Duration(lease)*time.Millisecond, time.UnixMilli(int64(accepted)).UTC()
	j.Request = c.bytes(spec.MaxMetadata)
	j.Body = c.rest
	switch {
	case c.broken:
		return nil, fmt.Errorf("%w: it ends within its fields, or one is larger than it can be", errJob)
	case len(j.Body) > spec.MaxJobBody:
		return nil, fmt.Errorf("%w: a body of %d bytes", errJob, len(j.Body))
	case j.ID == "" || j.Queue.Service == "" || j.Queue.Endpoint == "" || attempts < 1 || lease < 1:
		return nil, fmt.Errorf("%w: its fields are not whole", errJob)
	}
	return j, nil
}

const maxAccepted = 1 << 48 // milliseconds: some thousand years

// cursor reads fields. After the first that is broken all are empty.
type cursor struct {
	rest   []byte
	broken bool
}

func (c *cursor) number(limit uint64) uint64 {
	n, size := binary.Uvarint(c.rest)
	if size <= 0 || n > limit || c.broken {
		c.broken, c.rest = true, nil
		return 0
	}
	c.rest = c.rest[size:]
	return n
}

func (c *cursor) bytes(limit uint64) []byte {
	n := c.number(limit)
	if n > uint64(len(c.rest)) {
		c.broken, c.rest = true, nil
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) text() string { return string(c.bytes(maxJobHead)) }

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
