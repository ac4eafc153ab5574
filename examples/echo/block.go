package echo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// BlockRequest is the input of [Block].
type BlockRequest struct {
	// Notify is the UDP address, IP:PORT of this machine, that is told what happens to the call.
	Notify string `json:"notify" required:"true"`
}

// Block sends the datagram "entered" to an address, waits until its context ends, and sends "done": a test measures
// by it how soon a service learns that its caller has left. The address must be a loopback one, so that nobody can
// have datagrams sent to others.
//
//stella:endpoint POST /block
//stella:ignore STL1101 nothing is kept
//stella:public "sends datagrams to this machine only"
func Block(ctx context.Context, in *BlockRequest) error {
	addr, err := netip.ParseAddrPort(in.Notify)
	if err != nil || !addr.Addr().Unmap().IsLoopback() || addr.Port() == 0 {
		return &stella.Error{
			Status: http.StatusBadRequest, Code: "invalid_input", Message: "Name a loopback address and port to notify.",
			Faults: []spec.Fault{{
				In: spec.InBody, Pointer: "/notify",
				Detail: fmt.Sprintf("expected a loopback address and port such as 127.0.0.1:9000, got %.40q", in.Notify),
			}},
		}
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return fmt.Errorf("echo: block: %w", err)
	}
	if _, err := conn.Write([]byte("entered")); err != nil {
		return fmt.Errorf("echo: block: %w", errors.Join(err, conn.Close()))
	}
	<-ctx.Done()
	_, err = conn.Write([]byte("done"))
	return errors.Join(context.Cause(ctx), err, conn.Close())
}
