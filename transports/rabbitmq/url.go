package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/transports/trust"
)

// The URL schemes. The ones that end in s have TLS; those of the protocol mean the same.
const (
	Scheme        = "rabbitmq"
	SchemeTLS     = "rabbitmqs"
	SchemeAMQP    = "amqp"
	SchemeAMQPTLS = "amqps"
)

// The ports that are taken where a URL names none.
const (
	DefaultPort    = "5672"
	DefaultPortTLS = "5671"
)

// DefaultPrefix begins every name on the server where a URL names no prefix.
const DefaultPrefix = "stella"

const (
	maxPort   = 1<<16 - 1
	maxPrefix = 64 // characters
)

const (
	form        = "expected rabbitmq://[user:password@]host[:port][/vhost][?prefix=name]"
	prefixParam = "prefix"
	// paramGateway is the gateway that is meant, of several.
	paramGateway = "gateway"
	// defaultUser is the server's own, and its password: good on loopback addresses only, unless the server is told otherwise.
	defaultUser  = "guest"
	defaultVhost = "/"
)

// target is what a URL says. Users of the same target in a process share connections.
type target struct {
	addr, user, password string
	vhost                string
	prefix               string
	tls                  bool
	trust                string // the URL's parameters of package trust
}

// check says whether the URL is one of this transport.
func check(u *url.URL) error {
	_, _, err := parseGateway(u)
	return err
}

// guard is an error where others than this machine's users reach the server, and so the gateway.
func guard(u *url.URL) error {
	t, err := parse(u)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := loopback(ctx, t.addr); err != nil {
		return fmt.Errorf("rabbitmq: %s: %w", u.Redacted(), err)
	}
	return nil
}

// loopback refuses servers that others can reach.
func loopback(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return err
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return errors.New("the server is not on a loopback address: nobody there would have to prove who it is")
		}
	}
	return nil
}

func parse(u *url.URL) (target, error) {
	t, gateway, err := parseGateway(u)
	if err == nil && gateway != "" {
		return target{}, fmt.Errorf("rabbitmq: %s: the parameter gateway is for services, which dial one of several", u.Redacted())
	}
	return t, err
}

// parseGateway reads a URL that may say which gateway is meant.
func parseGateway(u *url.URL) (t target, gateway string, err error) {
	t = target{
		user: defaultUser, password: defaultUser, vhost: defaultVhost, prefix: DefaultPrefix,
		tls: u.Scheme == SchemeTLS || u.Scheme == SchemeAMQPTLS,
	}
	fail := func(format string, args ...any) (target, string, error) {
		return target{}, "", fmt.Errorf("rabbitmq: %s: %s", u.Redacted(), fmt.Sprintf(format, args...))
	}
	if u.Hostname() == "" || u.Fragment != "" || u.ForceQuery {
		return fail(form)
	}
	port := DefaultPort
	if t.tls {
		port = DefaultPortTLS
	}
	port = cmp.Or(u.Port(), port)
	if n, err := strconv.Atoi(port); err != nil || n > maxPort || n == 0 {
		return fail("expected a port from 1 to %d, got %s", maxPort, port)
	}
	t.addr = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
		if t.user == "" || t.password == "" {
			return fail("expected a user and a password, or neither; %s", form)
		}
	}
	if path := strings.TrimPrefix(u.EscapedPath(), "/"); path != "" {
		name, err := url.PathUnescape(path)
		if err != nil || strings.Contains(path, "/") {
			return fail("expected the name of a virtual host as the path, with %%2F for every / in it, got %q", u.EscapedPath())
		}
		t.vhost = name
	}
	return t.parameters(u)
}

// parameters reads a URL's parameters.
func (t target) parameters(u *url.URL) (_ target, gateway string, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, "", fmt.Errorf("rabbitmq: %s: %w", u.Redacted(), err)
	}
	known := []string{prefixParam, paramGateway}
	if t.tls {
		known = append(known, slices.DeleteFunc(slices.Clone(trust.Parameters), func(s string) bool { return s == "clients" })...)
	}
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			return target{}, "", fmt.Errorf("rabbitmq: %s: unknown parameter %q, expected some of %s", u.Redacted(), name, strings.Join(known, ", "))
		case len(values) > 1 || values[0] == "" && name != prefixParam:
			return target{}, "", fmt.Errorf("rabbitmq: %s: expected one value of %s", u.Redacted(), name)
		}
	}
	if query.Has(prefixParam) {
		if t.prefix = query.Get(prefixParam); !plain(t.prefix) {
			return target{}, "", fmt.Errorf("rabbitmq: %s: expected a prefix of 1 to %d letters, digits, '-', '_' and '.', which does not begin with amq., got %q",
				u.Redacted(), maxPrefix, t.prefix)
		}
		query.Del(prefixParam)
	}
	trusted := *u
	if query.Has(paramGateway) {
		if gateway = query.Get(paramGateway); !isID(gateway) {
			return target{}, "", fmt.Errorf("rabbitmq: %s: expected a gateway of 16 hexadecimal digits, got %.40q", u.Redacted(), gateway)
		}
		query.Del(paramGateway)
		all := u.Query()
		all.Del(paramGateway)
		trusted.RawQuery = all.Encode()
	}
	t.trust = query.Encode()
	return t, gateway, trust.Check(&trusted)
}

// plain reports whether s may begin names: nothing in it has a meaning in the patterns of permissions but the dot, and the
// server keeps no such names for itself.
func plain(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-_.", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= maxPrefix && !strings.HasPrefix(s, "amq.")
}

// gateways is the exchange for what services write.
func (t target) gateways() string { return t.prefix + ".gateways" }

// services is the exchange for what gateways write.
func (t target) services() string { return t.prefix + ".services" }

// toGateway and toService are a session's queues.
func (t target) toGateway(nonce string) string { return t.prefix + ".g." + nonce }
func (t target) toService(nonce string) string { return t.prefix + ".s." + nonce }

// inbox is the queue of a gateway that listens, by what that offers.
func (t target) inbox(id string) string { return t.prefix + ".g.inbox." + id }

// everyGateway is the key by which all inboxes are bound.
const everyGateway = "gateways"

// nobody is a key by which no queue is bound.
const nobody = "nobody"

// url is the URL of the target, without its user and password, and without what concerns this end's certificates.
func (t target) url() string {
	u := url.URL{Scheme: Scheme, Host: t.addr}
	if t.tls {
		u.Scheme = SchemeTLS
	}
	if t.vhost != defaultVhost {
		u.Path, u.RawPath = "/"+t.vhost, "/"+url.PathEscape(t.vhost)
	}
	if t.prefix != DefaultPrefix {
		u.RawQuery = prefixParam + "=" + t.prefix
	}
	return u.String()
}

// trusted is a URL for package trust.
func (t target) trusted() *url.URL {
	return &url.URL{Scheme: SchemeTLS, Host: t.addr, RawQuery: t.trust}
}
