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
)

// Flags are a frame's flag bits.
type Flags uint8

// The flags. Every other bit is an error.
const (
	FlagEnd        Flags = 0x01 // the sender's half of the stream ends with this frame
	FlagInlineBody Flags = 0x02 // the payload goes on after the metadata
	FlagIdempotent Flags = 0x04 // REQUEST: safe to repeat
	FlagRetry      Flags = 0x08 // REQUEST: not the first attempt
)

// rule says what a frame of one type may hold.
type rule struct {
	name    string
	flags   Flags
	meta    bool // has metadata
	session bool // may travel on stream 0
	stream  bool // may travel on another stream
	body    bool // may have payload after the metadata without INLINE_BODY
}

var rules = [...]rule{
	TypeHello:              {"HELLO", FlagInlineBody, true, true, false, false},
	TypeHeartbeat:          {"HEARTBEAT", 0, true, true, false, false},
	TypeRequest:            {"REQUEST", FlagEnd | FlagInlineBody | FlagIdempotent | FlagRetry, true, false, true, false},
	TypeResponse:           {"RESPONSE", FlagEnd | FlagInlineBody, true, false, true, false},
	TypeRequestStreamData:  {"REQUEST_STREAM_DATA", FlagEnd, false, false, true, true},
	TypeResponseStreamData: {"RESPONSE_STREAM_DATA", FlagEnd, false, false, true, true},
	TypeCancel:             {"CANCEL", 0, true, true, true, false},
	TypeResync:             {"RESYNC", 0, true, true, false, false},
	TypeEndpoints:          {"ENDPOINTS", FlagEnd, false, true, false, true},
	TypeWelcome:            {"WELCOME", 0, true, true, false, false},
	TypeCredit:             {"CREDIT", 0, false, true, true, false},
	TypePing:               {"PING", 0, false, true, false, false},
	TypePong:               {"PONG", 0, false, true, false, false},
	TypeGoAway:             {"GOAWAY", 0, true, true, false, false},
	TypeTrailers:           {"TRAILERS", FlagEnd, true, false, true, false},
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
	Type    FrameType //
	Flags   Flags     //
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
// that announces more is refused before anything is allocated for it. The error is [ErrShort] or a *[FrameError].
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
	switch {
	case h.Flags&^r.flags != 0:
		return fmt.Sprintf("flags 0x%02x, allowed are 0x%02x", uint8(h.Flags), uint8(r.flags))
	case h.Stream == 0 && !r.session:
		return "not allowed on the session"
	case h.Stream != 0 && !r.stream:
		return "allowed on the session only"
	case h.MetaLen != 0 && !r.meta:
		return "has no metadata"
	case uint32(h.MetaLen) != h.Length && !r.body && h.Flags&FlagInlineBody == 0:
		return "body without INLINE_BODY"
	}
	return ""
}

// DecodeFrame reads the frame at the start of b. It returns the whole payload, aliasing b, and the number of bytes
// the frame takes; n is 0 as long as b holds only a part of it.
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
// room, and refuses metadata over [MaxMetadata].
func AppendFrame(dst []byte, h Header, meta, body []byte) ([]byte, error) {
	if len(meta) > MaxMetadata {
		return dst, fmt.Errorf("spec: %s metadata of %d bytes, the limit is %d", h.Type, len(meta), MaxMetadata)
	}
	h.MetaLen = uint16(len(meta))
	h.Length = uint32(len(meta) + len(body))
	var head [HeaderSize]byte
	h.Put(head[:])
	dst = append(dst, head[:]...)
	dst = append(dst, meta...)
	return append(dst, body...), nil
}
