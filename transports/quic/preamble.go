package quic

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// The preamble of byte streams: the magic, the lowest and the highest protocol version, two bytes each. Source: PROTOCOL.md,
// section "The link".
const (
	magic        = "\x00STELA\r\n"
	preambleSize = len(magic) + 4
)

// preamble sends the preamble on the control stream and reads the peer's, until the deadline.
func preamble(s *quic.Stream, r *bufio.Reader, deadline time.Time) error {
	if err := s.SetDeadline(deadline); err != nil {
		return fmt.Errorf("quic: preamble: %w", err)
	}
	out := binary.BigEndian.AppendUint16([]byte(magic), spec.ProtocolVersion)
	out = binary.BigEndian.AppendUint16(out, spec.ProtocolVersion)
	if _, err := s.Write(out); err != nil {
		return fmt.Errorf("quic: writing the preamble: %w", err)
	}
	var in [preambleSize]byte
	for i := range in { // as the bytes come: the first wrong one is enough
		b, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("%w: %d of %d bytes came: %w", transports.ErrPreamble, i, preambleSize, err)
		}
		if in[i] = b; i < len(magic) && b != magic[i] {
			return fmt.Errorf("%w: got %q", transports.ErrPreamble, in[:i+1])
		}
	}
	low, high := binary.BigEndian.Uint16(in[len(magic):]), binary.BigEndian.Uint16(in[len(magic)+2:])
	if low > spec.ProtocolVersion || high < spec.ProtocolVersion {
		return fmt.Errorf(
			"%w: peer speaks versions %d to %d, this side speaks %d", transports.ErrPreamble, low, high, spec.ProtocolVersion)
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("quic: preamble: %w", err)
	}
	return nil
}
