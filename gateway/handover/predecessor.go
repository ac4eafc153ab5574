package handover

import (
	"context"
	"net"
)

// Predecessor is the process whose place this one takes. Its methods are called in their order, by one goroutine.
type Predecessor struct {
	conn net.Conn
	gone chan struct{}
}

// NewPredecessor speaks with the process at the other end of conn.
func NewPredecessor(conn net.Conn) *Predecessor { return &Predecessor{conn: conn} }

// Begin says that this process can take its place, and waits for the instances that it has sessions with. It takes none any
// more then.
func (p *Predecessor) Begin(ctx context.Context) ([]Instance, error) {
	if err := tell(ctx, p.conn, message{Kind: kindBegun}); err != nil {
		return nil, err
	}
	m, err := expect(ctx, p.conn, kindInstances)
	return m.Instances, err
}

// Gone is closed when the other process has ended, or has given the handover up. It is called once, after Begin. Close ends the
// goroutine that looks.
func (p *Predecessor) Gone() <-chan struct{} {
	p.gone = make(chan struct{})
	go func() {
		defer close(p.gone)
		_, _ = p.conn.Read(make([]byte, 1)) // it says no more: this is its end
	}()
	return p.gone
}

// Ready says that this process serves.
func (p *Predecessor) Ready(ctx context.Context) error {
	return tell(ctx, p.conn, message{Kind: kindReady})
}

// Close ends the conversation.
func (p *Predecessor) Close() error {
	err := p.conn.Close()
	if p.gone != nil {
		<-p.gone
	}
	return err
}
