package spec

import (
	"fmt"
	"time"
)

// Sizes in bytes, counts, and times of the wire. Source: PROTOCOL.md, section "Limits".
const (
	// HeaderSize is the length of every frame header.
	HeaderSize = 16
	// MaxFrameHello bounds a frame's payload until WELCOME has named a limit.
	MaxFrameHello = 256 << 10
	// MaxFrameDefault bounds a frame's payload after WELCOME.
	MaxFrameDefault = 128 << 10
	// MaxFrameHard is the largest limit a peer may negotiate.
	MaxFrameHard = 1 << 20
	// MaxMetadata bounds a frame's metadata; the header's field has 16 bits.
	MaxMetadata = 65535
	// MaxFields bounds the number of header fields, path parameters and claims, each, in one REQUEST, RESPONSE or TRAILERS.
	MaxFields = 128
	// MaxInlineBody is the largest body that travels inside REQUEST or RESPONSE, without credit.
	MaxInlineBody = 16 << 10
	// MaxChunk is the largest body part of one stream data frame.
	MaxChunk = 64 << 10
	// MaxReason bounds the text that goes with CANCEL and GOAWAY, in bytes of UTF-8.
	MaxReason = 1 << 10
	// StreamWindow is the credit, in bytes, that each half of a stream starts with, unless HELLO or WELCOME says otherwise.
	// With less, more request bodies wait for their readers before their end has been read, and behind what waits a
	// gateway cannot see that the client has left.
	StreamWindow = 256 << 10
	// MaxSessionWindow bounds the credit, in bytes, that a session may have at any time.
	MaxSessionWindow = 1 << 48
	// MaxStreamWindow bounds the credit, in bytes, that one half of a stream may have at any time.
	MaxStreamWindow = 1<<31 - 1
	// MaxFeatures bounds the features of a HELLO, and the gateways and features of a WELCOME.
	MaxFeatures = 64
	// MaxStreamID is the last stream id; the top bit of the field stays zero.
	MaxStreamID = 1<<31 - 1
	// RenewStreamID is the stream id from which on a service renews its session: half of the ids are left for the
	// calls that come until the new session serves.
	RenewStreamID = 1 << 30
)

// Times of a session. Source: PROTOCOL.md, section "Limits".
const (
	HelloTimeout      = 2 * time.Second  // from an open link to HELLO, and from HELLO to WELCOME
	HeartbeatInterval = 5 * time.Second  // jittered by a tenth
	DeadAfter         = 3                // silent intervals until the peer counts as dead
	WriteStall        = 10 * time.Second // without progress, a write ends the link
	CancelHold        = 5 * time.Second  // a cancelled stream's slot waits this long to be confirmed
	ManifestTimeout   = 10 * time.Second // from RESYNC, or the first ENDPOINTS, to the last
)

// Limits bounds one endpoint's calls. A zero field means the default, which [Limits.WithDefaults] fills in.
type Limits struct {
	// MaxBodyBytes is the largest request body, inclusive.
	MaxBodyBytes int64 `json:"maxBodyBytes"`
	// TimeoutMS bounds a unary call whole, and a stream's time to response headers, in milliseconds.
	TimeoutMS int64 `json:"timeoutMs"`
	// IdleMS bounds the silence of a stream after its response headers, in milliseconds.
	IdleMS int64 `json:"idleMs"`
}

// DefaultLimits are the limits of an endpoint that names none.
var DefaultLimits = Limits{MaxBodyBytes: 1 << 20, TimeoutMS: 30_000, IdleMS: 60_000}

// Upper bounds that a manifest may ask for.
const (
	maxBodyBytes = int64(1) << 40    // 1 TiB
	maxTimeoutMS = int64(86_400_000) // a day
)

// WithDefaults returns l with every zero field replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.MaxBodyBytes == 0 {
		l.MaxBodyBytes = DefaultLimits.MaxBodyBytes
	}
	if l.TimeoutMS == 0 {
		l.TimeoutMS = DefaultLimits.TimeoutMS
	}
	if l.IdleMS == 0 {
		l.IdleMS = DefaultLimits.IdleMS
	}
	return l
}

// Check says which field is out of bounds. Zero is not.
func (l Limits) Check() error {
	switch {
	case l.MaxBodyBytes < 0 || l.MaxBodyBytes > maxBodyBytes:
		return fmt.Errorf("maxBodyBytes %d, expected 1 to %d", l.MaxBodyBytes, maxBodyBytes)
	case l.TimeoutMS < 0 || l.TimeoutMS > maxTimeoutMS:
		return fmt.Errorf("timeoutMs %d, expected 1 to %d", l.TimeoutMS, maxTimeoutMS)
	case l.IdleMS < 0 || l.IdleMS > maxTimeoutMS:
		return fmt.Errorf("idleMs %d, expected 1 to %d", l.IdleMS, maxTimeoutMS)
	}
	return nil
}

// Timeout is TimeoutMS as a duration.
func (l Limits) Timeout() time.Duration { return time.Duration(l.TimeoutMS) * time.Millisecond }

// Idle is IdleMS as a duration.
func (l Limits) Idle() time.Duration { return time.Duration(l.IdleMS) * time.Millisecond }
