package quic

import (
	"bufio"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/transports"
)

// preamble sends the preamble of byte streams on the control stream and reads the peer's, until the deadline.
func preamble(s *quic.Stream, r *bufio.Reader, deadline time.Time) error {
	if err := s.SetDeadline(deadline); err != nil {
		return fmt.Errorf("quic: preamble: %w", err)
	}
	if _, err := s.Write(transports.Preamble()); err != nil {
		return fmt.Errorf("quic: writing the preamble: %w", err)
	}
	if err := transports.ReadPreamble(r); err != nil {
		return err
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("quic: preamble: %w", err)
	}
	return nil
}
