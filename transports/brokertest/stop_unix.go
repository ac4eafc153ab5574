//go:build unix

package brokertest

import (
	"syscall"
)

// Stop freezes the server: its connections stay open, and nothing is answered.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Cont lets a frozen server go on.
func (s *Server) Cont() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mustOwn()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("brokertest: %v: %v", sig, err)
	}
}
