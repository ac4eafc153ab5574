package udp

import (
	"encoding/binary"

	"github.com/stella-ops/router/spec"
)

// Every datagram begins with a byte that says "Stella over UDP, envelope 1", a byte for its kind, and the nonce of its
// link. Numbers are big-endian. The rest is by kind:
//
//	INIT      lowest and highest protocol version, 2 bytes each; zeros up to 1200 bytes
//	COOKIE    cookie, 16 bytes
//	OPEN      lowest and highest version, cookie
//	ACCEPT    lowest and highest version
//	REFUSE    lowest and highest version
//	DATA      sequence number 4, next number expected 4, bitmap 8, behind 1, and a whole frame
//	FRAGMENT  as DATA up to behind, index 2, size of the frame 4, and a part of it
//	ACK       next number to be sent 4, next expected 4, bitmap 32
//	CLOSE     next number to be sent 4, next expected 4, bitmap 8
//	RESET     nothing
//
// Bit i of a bitmap, from the lowest of the first 8 bytes, is the number that follows the one expected by i+1. behind is
// how far before this datagram the last one of an earlier session frame is; 0 is more than 255, or none. Of a frame in
// fragments, that of the first one counts.
const magic = 0xd1

// datagram is the largest datagram, in bytes: with the headers of IP and UDP it fits the 1280 bytes that every link of
// IPv6 carries (RFC 8200, section 5).
const datagram = 1200

// kind says what a datagram is.
type kind uint8

// The kinds.
const (
	kindInit     kind = 1 // asks for a cookie
	kindCookie   kind = 2
	kindOpen     kind = 3 // shows the cookie
	kindAccept   kind = 4
	kindRefuse   kind = 5 // the versions do not meet
	kindData     kind = 6
	kindFragment kind = 7
	kindAck      kind = 8
	kindClose    kind = 9
	kindReset    kind = 10 // the receiver knows no such link
)

// Sizes in bytes.
const (
	headSize     = 2 + 8
	versionsSize = 2 + 2
	cookieSize   = 16
	dataHead     = headSize + 4 + 4 + 8 + 1
	fragmentHead = dataHead + 2 + 4
	ackWords     = window / 64
	ackSize      = headSize + 4 + 4 + ackWords*8
	closeSize    = headSize + 4 + 4 + 8

	// maxPayload is the largest payload of a frame that travels in one datagram.
	maxPayload = datagram - dataHead - spec.HeaderSize
	// chunk is what every fragment carries of its frame, but for the last.
	chunk = datagram - fragmentHead
)

// Where the fields of a numbered datagram are.
const (
	seqAt    = headSize
	ackAt    = seqAt + 4
	bitsAt   = ackAt + 4
	behindAt = bitsAt + 8
	indexAt  = behindAt + 1
	totalAt  = indexAt + 2
)

// envelope is a datagram, decoded. Which fields are set is by kind.
type envelope struct {
	kind  kind
	nonce uint64

	low, high uint16
	cookie    [cookieSize]byte

	seq, ack uint32
	bits     [ackWords]uint64
	behind   uint8
	index    uint16
	total    uint32 // bytes of the whole frame, with its header
	payload  []byte // aliases the datagram
}

// fragments is how many fragments a frame of total bytes makes.
func fragments(total uint32) uint32 { return (total + chunk - 1) / chunk }

// decode reads a datagram. It is false for whatever no peer of this protocol sends. A frame that is too short for its
// header is found out later.
func decode(b []byte) (e envelope, ok bool) {
	if len(b) < headSize || len(b) > datagram || b[0] != magic {
		return e, false
	}
	e.kind, e.nonce = kind(b[1]), binary.BigEndian.Uint64(b[2:])
	rest := b[headSize:]
	switch e.kind {
	case kindInit:
		if len(b) != datagram {
			return e, false
		}
		e.versions(rest)
	case kindCookie:
		ok := len(rest) == cookieSize
		copy(e.cookie[:], rest)
		return e, ok
	case kindOpen:
		if len(rest) != versionsSize+cookieSize {
			return e, false
		}
		e.versions(rest)
		copy(e.cookie[:], rest[versionsSize:])
	case kindAccept, kindRefuse:
		if len(rest) != versionsSize {
			return e, false
		}
		e.versions(rest)
	case kindReset:
		return e, len(rest) == 0
	default:
		return e, e.numbered(b)
	}
	return e, e.low <= e.high
}

func (e *envelope) versions(b []byte) {
	e.low, e.high = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// numbered reads the kinds that have a sequence number.
func (e *envelope) numbered(b []byte) bool {
	words := 1
	switch e.kind {
	case kindData:
		if len(b) < dataHead+spec.HeaderSize {
			return false
		}
		e.behind, e.payload = b[behindAt], b[dataHead:]
	case kindFragment:
		if len(b) <= fragmentHead {
			return false
		}
		e.behind, e.index, e.payload = b[behindAt], binary.BigEndian.Uint16(b[indexAt:]), b[fragmentHead:]
		if e.total = binary.BigEndian.Uint32(b[totalAt:]); !e.fits() {
			return false
		}
	case kindAck:
		if words = ackWords; len(b) != ackSize {
			return false
		}
	case kindClose:
		if len(b) != closeSize {
			return false
		}
	default:
		return false
	}
	e.seq, e.ack = binary.BigEndian.Uint32(b[seqAt:]), binary.BigEndian.Uint32(b[ackAt:])
	for i := range words {
		e.bits[i] = binary.BigEndian.Uint64(b[bitsAt+8*i:])
	}
	return true
}

// fits reports whether the fragment is one that its frame really has.
func (e *envelope) fits() bool {
	if e.total <= datagram-dataHead || e.total > spec.HeaderSize+spec.MaxFrameHard {
		return false
	}
	at := uint32(e.index) * chunk
	return at < e.total && uint32(len(e.payload)) == min(chunk, e.total-at)
}

// appendHead begins a datagram.
func appendHead(b []byte, k kind, nonce uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, magic, byte(k)), nonce)
}

// appendVersions adds the range of protocol versions that this side speaks.
func appendVersions(b []byte, low, high uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, low), high)
}
