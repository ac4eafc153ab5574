package spec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// FrameType says what a frame is. PROTOCOL.md, section "Frames", is their table.
type FrameType uint8

// The frame types.
const (
	TypeHello              FrameType = 1
	TypeHeartbeat          FrameType = 2
	TypeRequest            FrameType = 3
	TypeResponse           FrameType = 4
	TypeRequestStreamData  FrameType = 5
	TypeResponseStreamData FrameType = 6
	TypeCancel             FrameType = 7
	TypeResync             FrameType = 8
	TypeEndpoints          FrameType = 9
	TypeWelcome            FrameType = 10
	TypeCredit             FrameType = 11
	TypePing               FrameType = 12
	TypePong               FrameType = 13
	TypeGoAway             FrameType = 14
	TypeTrailers           FrameType = 15
	TypeChallenge          FrameType = 16
	TypeProof              FrameType = 17
	TypeMAC                FrameType = 18
)

// Flags are a frame's flag bits.
type Flags uint8

// The flags. Every other bit is an error.
const (
	FlagEnd        Flags = 0x01 // the sender's half of the stream ends with this frame
	FlagInlineBody Flags = 0x02 // the payload goes on after the metadata
	FlagIdempotent Flags = 0x04 // REQUEST: safe to repeat
	FlagRetry      Flags = 0x08 // REQUEST: not the first attempt
	FlagBlocked    Flags = 0x10 // stream data: its sender had more to send than credit
)

// rule says what a frame of one type may hold. PROTOCOL.md shows these as a table.
type rule struct {
	name    string
	flags   Flags
	must    Flags  // of these, the ones that every frame has
	session bool   // may travel on stream 0
	stream  bool   // may travel on another stream
	meta    uint32 // most bytes of metadata
	body    uint32 // most bytes of payload after the metadata
	inline  bool   // the body needs INLINE_BODY
	aux     auxUse
}

// auxUse is what a type keeps in aux.
type auxUse uint8

const (
	auxZero     auxUse = iota // nothing
	auxDeadline               // remaining milliseconds; 0 is none
	auxSequence               // number of the chunk in its half of the stream, from 0
	auxCredit                 // bytes, at least one
	auxCode                   // a Code
	auxOpaque                 // a number that PONG gives back
)

var rules = [...]rule{
	TypeHello:     {name: "HELLO", flags: FlagInlineBody, session: true, meta: MaxMetadata, body: MaxFrameHello, inline: true},
	TypeHeartbeat: {name: "HEARTBEAT", session: true, meta: MaxMetadata},
	TypeRequest: {
		name: "REQUEST", flags: FlagEnd | FlagInlineBody | FlagIdempotent | FlagRetry, stream: true,
		meta: MaxMetadata, body: MaxInlineBody, inline: true, aux: auxDeadline,
	},
	TypeResponse:           {name: "RESPONSE", flags: FlagEnd | FlagInlineBody, stream: true, meta: MaxMetadata, body: MaxInlineBody, inline: true},
	TypeRequestStreamData:  {name: "REQUEST_STREAM_DATA", flags: FlagEnd | FlagBlocked, stream: true, body: MaxChunk, aux: auxSequence},
	TypeResponseStreamData: {name: "RESPONSE_STREAM_DATA", flags: FlagEnd | FlagBlocked, stream: true, body: MaxChunk, aux: auxSequence},
	TypeCancel:             {name: "CANCEL", session: true, stream: true, meta: MaxReason, aux: auxCode},
	TypeResync:             {name: "RESYNC", session: true, meta: MaxMetadata},
	TypeEndpoints:          {name: "ENDPOINTS", flags: FlagEnd, session: true, body: MaxChunk, aux: auxSequence},
	TypeWelcome:            {name: "WELCOME", session: true, meta: MaxMetadata},
	TypeCredit:             {name: "CREDIT", session: true, stream: true, aux: auxCredit},
	TypePing:               {name: "PING", session: true, aux: auxOpaque},
	TypePong:               {name: "PONG", session: true, aux: auxOpaque},
	TypeGoAway:             {name: "GOAWAY", session: true, meta: MaxReason, aux: auxCode},
	TypeTrailers:           {name: "TRAILERS", flags: FlagEnd, must: FlagEnd, stream: true, meta: MaxMetadata, aux: auxSequence},
	TypeChallenge:          {name: "CHALLENGE", session: true, meta: MaxMetadata},
	TypeProof:              {name: "PROOF", session: true, meta: MaxMetadata},
	TypeMAC:                {name: "MAC", session: true, meta: MACSize},
}

// Known reports whether t is a type of this protocol version.
func (t FrameType) Known() bool { return int(t) < len(rules) && rules[t].name != "" }

// Ignorable reports whether a receiver that does not know t skips the frame instead of ending the session.
func (t FrameType) Ignorable() bool { return t >= 0x40 && t <= 0x7f }

func (t FrameType) String() string {
	if t.Known() {
		return rules[t].name
	}
	return "type 0x" + strconv.FormatUint(uint64(t), 16)
}

// Header is the head of every frame.
type Header struct {
	Length  uint32    // payload bytes: metadata and body
	Type    FrameType // what the frame is
	Flags   Flags     // those that its type allows
	MetaLen uint16    // bytes of the payload that are metadata
	Stream  uint32    // 0 is the session; even ids are opened by the gateway
	Aux     uint32    // by type: deadline in ms, credit in bytes, chunk sequence, code, or an opaque number
}

// Put writes h into the first [HeaderSize] bytes of b, which must be that long.
func (h Header) Put(b []byte) {
	_ = b[HeaderSize-1]
	binary.BigEndian.PutUint32(b, h.Length)
	b[4], b[5] = byte(h.Type), byte(h.Flags)
	binary.BigEndian.PutUint16(b[6:], h.MetaLen)
	binary.BigEndian.PutUint32(b[8:], h.Stream)
	binary.BigEndian.PutUint32(b[12:], h.Aux)
}

// Expires says after how many milliseconds a link that keeps frames for its peer may throw this one away: a call's whole
// request, once its deadline has passed. 0 is never. A MAC says nothing of its own: it goes with what it covers.
func (h Header) Expires() (ms uint32, says bool) {
	switch {
	case h.Type == TypeMAC:
		return 0, false
	case h.Type == TypeRequest && h.Flags&FlagEnd != 0:
		return h.Aux, true
	}
	return 0, true
}

// ErrShort means that the bytes so far are no whole header.
var ErrShort = errors.New("spec: fewer bytes than a frame header")

// FrameError says why a header breaks the protocol. It ends the session.
type FrameError struct {
	Header Header
	Reason string
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("spec: %s frame on stream %d: %s", e.Header.Type, e.Header.Stream, e.Reason)
}

// GetHeader reads the header at the start of b without checking it: for headers that [ParseHeader] has passed.
func GetHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	return Header{
		Length:  binary.BigEndian.Uint32(b),
		Type:    FrameType(b[4]),
		Flags:   Flags(b[5]),
		MetaLen: binary.BigEndian.Uint16(b[6:]),
		Stream:  binary.BigEndian.Uint32(b[8:]),
		Aux:     binary.BigEndian.Uint32(b[12:]),
	}
}

// ParseHeader reads and checks the header at the start of b. maxPayload is the limit in force, in bytes; a frame
// that announces more, or more than its type may have, is refused before anything is allocated for it. The error is
// [ErrShort] or a *[FrameError].
func ParseHeader(b []byte, maxPayload uint32) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	h := GetHeader(b)
	if reason := h.fault(maxPayload); reason != "" {
		return h, &FrameError{h, reason}
	}
	return h, nil
}

// fault is why h breaks the protocol, or the empty string. All of a type's limits are checked here, so that whoever
// has a header that passed may allocate for its payload.
func (h *Header) fault(maxPayload uint32) string {
	switch {
	case h.Length > maxPayload:
		return fmt.Sprintf("payload of %d bytes, the limit is %d", h.Length, maxPayload)
	case h.Stream > MaxStreamID:
		return "stream id with its top bit set"
	case uint32(h.MetaLen) > h.Length:
		return "metadata longer than the payload"
	case h.Type.Ignorable():
		return ""
	case !h.Type.Known():
		return "unknown type"
	}
	r := &rules[h.Type]
	meta, body := uint32(h.MetaLen), h.Length-uint32(h.MetaLen)
	switch {
	case h.Flags&^r.flags != 0:
		return fmt.Sprintf("flags 0x%02x, allowed are 0x%02x", uint8(h.Flags), uint8(r.flags))
	case h.Flags&r.must != r.must:
		return fmt.Sprintf("flags 0x%02x, expected 0x%02x", uint8(h.Flags), uint8(r.must))
	case h.Stream == 0 && !r.session:
		return "not allowed on the session"
	case h.Stream != 0 && !r.stream:
		return "allowed on the session only"
	case meta > r.meta:
		return fmt.Sprintf("metadata of %d bytes, the limit is %d", meta, r.meta)
	case body > 0 && r.inline && h.Flags&FlagInlineBody == 0:
		return "body without INLINE_BODY"
	case body > r.body:
		return fmt.Sprintf("body of %d bytes, the limit is %d", body, r.body)
	case h.Aux != 0 && r.aux == auxZero:
		return fmt.Sprintf("aux %d, expected 0", h.Aux)
	case r.aux == auxCredit && (h.Aux == 0 || h.Aux > MaxStreamWindow):
		return fmt.Sprintf("credit of %d bytes, expected at least 1, and the limit is %d", h.Aux, MaxStreamWindow)
	}
	return ""
}

// DecodeFrame reads the frame at the start of b. It returns the whole payload, aliasing b, and the number of bytes
// the frame takes; n is 0 as long as b holds only a part of it. A fault shows as soon as the header is whole.
func DecodeFrame(b []byte, maxPayload uint32) (h Header, payload []byte, n int, err error) {
	h, err = ParseHeader(b, maxPayload)
	if errors.Is(err, ErrShort) {
		return h, nil, 0, nil
	}
	if err != nil {
		return h, nil, 0, err
	}
	n = HeaderSize + int(h.Length)
	if len(b) < n {
		return h, nil, 0, nil
	}
	return h, b[HeaderSize:n:n], n, nil
}

// AppendFrame appends a whole frame to dst; Length and MetaLen are computed. It does not allocate where dst has
// room. It refuses, with dst as it was, metadata over [MaxMetadata] and a payload over [MaxFrameHard], which the
// header cannot express or no peer takes; everything else is for the receiver's [ParseHeader] to judge.
func AppendFrame(dst []byte, h Header, meta, body []byte) ([]byte, error) {
	if len(meta) > MaxMetadata {
		return dst, fmt.Errorf("spec: %s metadata of %d bytes, the limit is %d", h.Type, len(meta), MaxMetadata)
	}
	if len(meta)+len(body) > MaxFrameHard {
		return dst, fmt.Errorf("spec: %s payload of %d bytes, the limit is %d", h.Type, len(meta)+len(body), MaxFrameHard)
	}
	h.MetaLen = uint16(len(meta))
	h.Length = uint32(len(meta) + len(body))
	var head [HeaderSize]byte
	h.Put(head[:])
	dst = append(dst, head[:]...)
	dst = append(dst, meta...)
	return append(dst, body...), nil
}
