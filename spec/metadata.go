package spec

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// RequestID is the gateway's own id of a request: a UUID version 7.
type RequestID [16]byte

func (id RequestID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseRequestID reads what String returns.
func ParseRequestID(s string) (id RequestID, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || copy(id[:], b) != len(b) || id.String() != s {
		return RequestID{}, fmt.Errorf("spec: %.40q is no request id, such as 01975bd9-9a00-7abc-8def-0123456789ab", s)
	}
	return id, nil
}

// Trace is the W3C trace context of a call. A zero TraceID is no trace.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte
	State   string // tracestate, as it came
}

// Identity is who calls, as the gateway has verified it. It never comes from a header.
type Identity struct {
	Subject string
	Tenant  string
	Claims  []Claim
}

// Request is the metadata of a REQUEST frame.
type Request struct {
	Generation    uint32   // of the manifest that Endpoint counts in
	Endpoint      uint32   // index into the manifest's endpoints
	Method        string   // empty where it is the endpoint's own
	Params        []string // values of the path's parameters, decoded, in order
	Path          string   // canonical path; empty where the parameters tell it
	Query         string   // raw, without the question mark
	Authority     string   // Host or :authority
	TLS           bool     // the client came by https
	Peer          string   // the client's address and port
	ID            RequestID
	ContentLength int64 // of the body in bytes; -1 if unknown
	Trace         Trace
	Identity      *Identity // nil: anonymous
	Upgrade       string    // the protocol that the client asks to change to, in lower case; empty: none
	Header        []Field
}

// maxContentLength is the longest body that may be announced, in bytes.
const maxContentLength = 1 << 62

// Bits of the first byte of REQUEST metadata.
const (
	reqTLS = 1 << iota
	reqTrace
	reqIdentity
	reqLength
	reqUpgrade
	reqKnown = reqTLS | reqTrace | reqIdentity | reqLength | reqUpgrade
)

// MaxUpgrade is how long the name of a protocol may be that a client asks to change to, in bytes.
const MaxUpgrade = 64

// validUpgrade reports whether s names a protocol as REQUEST does: a token of RFC 9110, section 5.6.2, in lower case.
func validUpgrade(s string) bool {
	return len(s) <= MaxUpgrade && validName(s) && strings.ToLower(s) == s
}

// AppendTo appends the metadata to dst. It does not allocate where dst has room. It checks nothing: a receiver
// refuses more than [MaxFields] parameters, claims or header fields, and the frame has room for [MaxMetadata] bytes.
func (r *Request) AppendTo(dst []byte) []byte {
	dst = r.AppendHead(dst, len(r.Header))
	for _, f := range r.Header {
		dst = AppendField(dst, f.Name, f.Value)
	}
	return dst
}

// AppendHead appends all but the header fields: exactly fields calls of [AppendField] must follow. It is for
// callers whose headers are not in a slice.
func (r *Request) AppendHead(dst []byte, fields int) []byte {
	var bits byte
	if r.TLS {
		bits |= reqTLS
	}
	if r.Trace.TraceID != [16]byte{} {
		bits |= reqTrace
	}
	if r.Identity != nil {
		bits |= reqIdentity
	}
	if r.ContentLength >= 0 {
		bits |= reqLength
	}
	if r.Upgrade != "" {
		bits |= reqUpgrade
	}
	dst = append(dst, bits)
	dst = binary.AppendUvarint(dst, uint64(r.Generation))
	dst = binary.AppendUvarint(dst, uint64(r.Endpoint))
	dst = appendString(dst, r.Method)
	dst = binary.AppendUvarint(dst, uint64(len(r.Params)))
	for _, p := range r.Params {
		dst = appendString(dst, p)
	}
	dst = appendString(dst, r.Path)
	dst = appendString(dst, r.Query)
	dst = appendString(dst, r.Authority)
	dst = appendString(dst, r.Peer)
	dst = append(dst, r.ID[:]...)
	if bits&reqLength != 0 {
		dst = binary.AppendUvarint(dst, uint64(r.ContentLength))
	}
	if bits&reqTrace != 0 {
		dst = append(dst, r.Trace.TraceID[:]...)
		dst = append(dst, r.Trace.SpanID[:]...)
		dst = append(dst, r.Trace.Flags)
		dst = appendString(dst, r.Trace.State)
	}
	if bits&reqIdentity != 0 {
		dst = appendString(dst, r.Identity.Subject)
		dst = appendString(dst, r.Identity.Tenant)
		dst = binary.AppendUvarint(dst, uint64(len(r.Identity.Claims)))
		for _, c := range r.Identity.Claims {
			dst = appendString(dst, c.Type)
			dst = appendString(dst, c.Value)
		}
	}
	if bits&reqUpgrade != 0 {
		dst = appendString(dst, r.Upgrade)
	}
	return binary.AppendUvarint(dst, uint64(fields))
}

// Decode reads REQUEST metadata into r, whose slices it reuses. The strings share one copy of b. After an error,
// which wraps [ErrMetadata], what r holds means nothing.
func (r *Request) Decode(b []byte) error {
	c := cursor{s: string(b)}
	bits := c.byte()
	if bits&^byte(reqKnown) != 0 {
		c.failf("unknown bits 0x%02x", bits)
	}
	r.TLS = bits&reqTLS != 0
	r.Generation = c.uint32()
	r.Endpoint = c.uint32()
	if r.Method = c.string(); r.Method != "" && !ValidMethod(r.Method) {
		c.failf("method %.20q", r.Method)
	}
	n := c.count("path parameters", 1)
	r.Params = slices.Grow(r.Params[:0], n)
	for range n {
		r.Params = append(r.Params, c.string())
	}
	if r.Path = c.string(); r.Path != "" && r.Path[0] != '/' {
		c.failf("path %.40q does not begin with a slash", r.Path)
	}
	r.Query = c.string()
	r.Authority = c.string()
	r.Peer = c.string()
	copy(r.ID[:], c.take(16))
	r.ContentLength = -1
	if bits&reqLength != 0 {
		n := c.uvarint()
		if n > maxContentLength {
			c.failf("content length %d, the limit is %d", n, uint64(maxContentLength))
		}
		r.ContentLength = int64(n)
	}
	r.Trace = Trace{}
	if bits&reqTrace != 0 {
		if copy(r.Trace.TraceID[:], c.take(16)); r.Trace.TraceID == [16]byte{} {
			c.failf("trace without an id")
		}
		copy(r.Trace.SpanID[:], c.take(8))
		r.Trace.Flags = c.byte()
		r.Trace.State = c.string()
	}
	r.Identity = nil
	if bits&reqIdentity != 0 {
		id := &Identity{Subject: c.string(), Tenant: c.string()}
		n := c.count("claims", 2)
		id.Claims = slices.Grow(id.Claims, n)
		for range n {
			id.Claims = append(id.Claims, Claim{Type: c.string(), Value: c.string()})
		}
		r.Identity = id
	}
	r.Upgrade = ""
	if bits&reqUpgrade != 0 {
		if r.Upgrade = c.string(); c.err == nil && !validUpgrade(r.Upgrade) {
			c.failf("upgrade to %.80q, expected a token in lower case of up to %d bytes", r.Upgrade, MaxUpgrade)
		}
	}
	r.Header = c.fields(r.Header[:0])
	return c.end()
}

func (c *cursor) uint32() uint32 {
	n := c.uvarint()
	if n > 1<<32-1 {
		c.failf("number %d over 32 bits", n)
	}
	return uint32(n)
}

// Response is the metadata of a RESPONSE frame.
type Response struct {
	Status        int   // 101, which accepts an upgrade, or 200 to 599
	ContentLength int64 // of the body in bytes; -1 if unknown
	Header        []Field
}

// AppendTo appends the metadata to dst. It does not allocate where dst has room.
func (r *Response) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.Status))
	dst = binary.AppendUvarint(dst, uint64(max(r.ContentLength, -1)+1))
	dst = binary.AppendUvarint(dst, uint64(len(r.Header)))
	for _, f := range r.Header {
		dst = AppendField(dst, f.Name, f.Value)
	}
	return dst
}

// Decode reads RESPONSE metadata into r, whose slices it reuses. The strings share one copy of b. A service is not
// trusted: the status is checked, and so is the grammar of every field. After an error, which wraps [ErrMetadata],
// what r holds means nothing.
func (r *Response) Decode(b []byte) error {
	c := cursor{s: string(b)}
	status, length := c.uvarint(), c.uvarint()
	switch {
	case c.err != nil:
	case status == 101 && length != 0:
		c.failf("status 101 with a content length")
	case status != 101 && (status < 200 || status > 599):
		c.failf("status %d, expected 101, or 200 to 599", status)
	}
	if length > maxContentLength+1 {
		c.failf("content length %d, the limit is %d", length-1, uint64(maxContentLength))
	}
	r.Status, r.ContentLength = int(status), int64(length)-1
	r.Header = c.fields(r.Header[:0])
	return c.end()
}

// Trailers is the metadata of a TRAILERS frame: the fields that follow a body.
type Trailers struct{ Fields []Field }

// AppendTo appends the metadata to dst. It checks nothing: a receiver refuses more than [MaxFields] fields, and the frame
// has room for [MaxMetadata] bytes.
func (t *Trailers) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t.Fields)))
	for _, f := range t.Fields {
		dst = AppendField(dst, f.Name, f.Value)
	}
	return dst
}

// Decode reads TRAILERS metadata into t, whose slice it reuses. The strings share one copy of b. After an error, which wraps
// [ErrMetadata], what t holds means nothing.
func (t *Trailers) Decode(b []byte) error {
	c := cursor{s: string(b)}
	t.Fields = c.fields(t.Fields[:0])
	return c.end()
}
