package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// unixDialTimeout bounds how long a socket is asked whether somebody listens on it.
const unixDialTimeout = 5 * time.Second

// ListenUnix listens on a path of the file system, whose socket gets the permissions. A socket that a process has left there on
// which nobody listens any more, after a crash, is replaced; one on which somebody listens is not, and no other file is.
func ListenUnix(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	ln, err := bindUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

func bindUnix(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := private(func() (net.Listener, error) { return lc.Listen(ctx, "unix", path) })
	if !errors.Is(err, syscall.EADDRINUSE) {
		return ln, err
	}
	info, statErr := os.Lstat(path)
	if statErr != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%w: it is no socket, and stays", err)
	}
	d := net.Dialer{Timeout: unixDialTimeout}
	conn, dialErr := d.DialContext(ctx, "unix", path)
	if dialErr == nil {
		return nil, errors.Join(fmt.Errorf("%w: another process listens there", err), conn.Close())
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("a socket that nobody listens on: %w", err)
	}
	return private(func() (net.Listener, error) { return lc.Listen(ctx, "unix", path) })
}
