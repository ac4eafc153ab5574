package tcp

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"

	"github.com/stella-ops/router/transports"
)

// SchemeUnix is the URL scheme of sockets: unix:///run/stella.sock, for listeners also with the permissions that the
// socket gets, ?mode=0660.
const SchemeUnix = "unix"

const (
	defaultMode = 0o600 // this user's processes only
	maxPath     = 107   // bytes that an address of a socket takes (linux/un.h, UNIX_PATH_MAX, with the NUL)
)

func init() {
	transports.Register(transports.Transport{Scheme: SchemeUnix, Check: checkUnix, Dialer: unixDialer{}, Listen: listenUnix})
}

func checkUnix(u *url.URL) error {
	_, _, err := socket(u)
	return err
}

// socket checks the URL and returns the socket's path and permissions.
func socket(u *url.URL) (path string, mode os.FileMode, err error) {
	bare := url.URL{Scheme: u.Scheme, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if u.Host != "" || len(u.Path) < 2 || u.ForceQuery || u.String() != bare.String() {
		return "", 0, fmt.Errorf("unix: %s: expected unix:///path and nothing else", u.Redacted())
	}
	if len(u.Path) > maxPath {
		return "", 0, fmt.Errorf("unix: %s: the path has %d bytes, a socket's has at most %d", u.Redacted(), len(u.Path), maxPath)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", 0, fmt.Errorf("unix: %s: %w", u.Redacted(), err)
	}
	mode = defaultMode
	for key, values := range query {
		bits, err := strconv.ParseUint(values[0], 8, 32)
		if key != "mode" || len(values) > 1 || err != nil || bits > 0o777 {
			return "", 0, fmt.Errorf("unix: %s: expected no parameters but mode, a socket's permissions such as 0660", u.Redacted())
		}
		mode = os.FileMode(bits)
	}
	return u.Path, mode, nil
}

type unixDialer struct{}

func (unixDialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	path, _, err := socket(u)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("unix: %w", err)
	}
	return transports.OpenStream(conn, SchemeUnix)
}

func listenUnix(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	path, mode, err := socket(u)
	if err != nil {
		return nil, err
	}
	ln, err := cfg.ListenSocket("unix", path, func() (net.Listener, error) {
		return transports.ListenUnix(ctx, path, mode)
	})
	if err != nil {
		return nil, fmt.Errorf("unix: listen %s: %w", u, err)
	}
	bare := url.URL{Scheme: SchemeUnix, Path: path}
	return transports.ListenStream(ln, transports.StreamListener{ListenConfig: cfg, Scheme: SchemeUnix, Addr: bare.String()}), nil
}
