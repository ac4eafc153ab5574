package transports

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxPort is the highest port there is.
const maxPort = 1<<16 - 1

// Address returns the host and port that a URL names, with port where it names none. It is an error if the URL says
// anything else, but for the query parameters in allowed, each at most once.
func Address(u *url.URL, port string, allowed ...string) (string, error) {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: u.RawQuery}
	if u.Hostname() == "" || u.ForceQuery || u.String() != bare.String() || len(allowed) == 0 && u.RawQuery != "" {
		return "", fmt.Errorf("%s: %s: expected %s://host:port and nothing else", u.Scheme, u.Redacted(), u.Scheme)
	}
	if err := checkQuery(u, allowed); err != nil {
		return "", err
	}
	if p := u.Port(); p != "" {
		port = p
	}
	if n, err := strconv.Atoi(port); err != nil || n > maxPort {
		return "", fmt.Errorf("%s: %s: expected a port of at most %d, got %s", u.Scheme, u.Redacted(), maxPort, port)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// checkQuery holds a URL's parameters to those that are allowed.
func checkQuery(u *url.URL, allowed []string) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", u.Scheme, u.Redacted(), err)
	}
	for key, values := range query {
		switch {
		case !slices.Contains(allowed, key):
			return fmt.Errorf("%s: %s: unknown parameter %q, expected some of %s", u.Scheme, u.Redacted(), key, strings.Join(allowed, ", "))
		case len(values) > 1 || values[0] == "":
			return fmt.Errorf("%s: %s: expected one value of %s", u.Scheme, u.Redacted(), key)
		}
	}
	return nil
}

// Loopback says whether an address, host:port, is this machine's alone; the error names the URL that it is of.
func Loopback(u *url.URL, address string) (*net.TCPAddr, error) {
	bound, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", u.Scheme, u.Redacted(), err)
	}
	if !bound.IP.IsLoopback() {
		return bound, fmt.Errorf("%s: %s: not a loopback address such as 127.0.0.1: nobody there would have to prove who it is", u.Scheme, u.Redacted())
	}
	return bound, nil
}

// OnlyLoopback is an error if the address that a URL names can be reached by other machines: see [Transport.Guard].
func OnlyLoopback(u *url.URL, port string, allowed ...string) error {
	addr, err := Address(u, port, allowed...)
	if err == nil {
		_, err = Loopback(u, addr)
	}
	return err
}

// Redacted is a URL for logs and errors: without the password, also where it is no URL that could be read.
func Redacted(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return raw
	}
	user, _, secret := strings.Cut(rest[:at], ":")
	if !secret {
		return raw
	}
	return scheme + "://" + user + ":xxxxx" + rest[at:]
}
