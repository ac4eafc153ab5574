//go:build unix

package brokertest

import (
	"os"
	"syscall"
)

// Stop freezes the server: its connections stay open, and nothing is answered.
func (s *Server) Stop() {
	s.t.Helper()
	s.mustOwn()
	send(s.t, s.cmd.Process, syscall.SIGSTOP)
}

// Cont lets a frozen server go on.
func (s *Server) Cont() {
	s.t.Helper()
	s.mustOwn()
	send(s.t, s.cmd.Process, syscall.SIGCONT)
}

// Stop freezes the server: its connections stay open, and nothing is answered.
func (s *RabbitMQServer) Stop() {
	s.t.Helper()
	s.mustOwn()
	send(s.t, s.cmds[len(s.cmds)-1].Process, syscall.SIGSTOP)
}

// Cont lets a frozen server go on.
func (s *RabbitMQServer) Cont() {
	s.t.Helper()
	s.mustOwn()
	send(s.t, s.cmds[len(s.cmds)-1].Process, syscall.SIGCONT)
}

func send(t TB, p *os.Process, sig syscall.Signal) {
	t.Helper()
	if err := p.Signal(sig); err != nil {
		t.Fatalf("brokertest: %v: %v", sig, err)
	}
}
