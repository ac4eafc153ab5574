//go:build !unix

package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// errHere: on this system processes do not pass sockets on this way.
var errHere = fmt.Errorf("handover: sockets are not passed on: %w", errors.ErrUnsupported)

func duplicate(net.Listener) (*os.File, error) { return nil, errHere }

func adopt(int, string) (socket, error) { return socket{}, errHere }

func connection(int) (net.Conn, error) { return nil, errHere }

func pair() (net.Conn, *os.File, error) { return nil, nil, errHere }
