package valkey

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	client "github.com/valkey-io/valkey-go"
)

// The URL schemes. The ones that end in s have TLS; those of Redis mean the same.
const (
	Scheme         = "valkey"
	SchemeTLS      = "valkeys"
	SchemeRedis    = "redis"
	SchemeRedisTLS = "rediss"
)

// paramGateway is the parameter of a URL that stands for one gateway of several. Only the transport makes such.
const paramGateway = "gateway"

// The names at the server where a URL says nothing else.
const (
	DefaultPrefix = "stella"  // begins every key
	DefaultGroup  = "workers" // the consumer group of every queue; each worker is a consumer
	DefaultDead   = "dead"    // stands in the keys of dead jobs where the others have queue
)

const (
	maxPort = 1<<16 - 1
	maxDB   = 1<<16 - 1 // servers have 16, unless configured otherwise
	maxName = 64        // characters
)

const form = "expected valkey://[user:password@]host:port[/database][?prefix=name&group=name&dead=name]"

// target is what a URL says. Processes that have the same target share a connection.
type target struct {
	addr, user, password string
	tls                  bool
	db                   int
	prefix               string
	group, dead          string // of queues
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
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if err := loopback(ctx, t.addr); err != nil {
		return fmt.Errorf("valkey: %s: %w", u.Redacted(), err)
	}
	return nil
}

func parse(u *url.URL) (target, error) {
	t, gateway, err := parseGateway(u)
	if err == nil && gateway != "" {
		return target{}, fmt.Errorf("valkey: %s: the parameter gateway is for services, which dial one of several", u.Redacted())
	}
	return t, err
}

// parseGateway reads a URL that may say which gateway is meant.
func parseGateway(u *url.URL) (t target, gateway string, err error) {
	t = target{prefix: DefaultPrefix, group: DefaultGroup, dead: DefaultDead, tls: u.Scheme == SchemeTLS || u.Scheme == SchemeRedisTLS}
	fail := func(format string, args ...any) (target, string, error) {
		return target{}, "", fmt.Errorf("valkey: %s: %s", u.Redacted(), fmt.Sprintf(format, args...))
	}
	if u.Hostname() == "" || u.Port() == "" || u.Fragment != "" || u.ForceQuery {
		return fail(form)
	}
	if n, err := strconv.Atoi(u.Port()); err != nil || n > maxPort || n == 0 {
		return fail("expected a port from 1 to %d, got %s", maxPort, u.Port())
	}
	t.addr = net.JoinHostPort(u.Hostname(), u.Port())
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
		if t.password == "" {
			return fail("a user without a password; %s", form)
		}
	}
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		n, err := strconv.Atoi(path)
		if err != nil || n < 0 || n > maxDB {
			return fail("expected the number of a database as the path, got %q", path)
		}
		t.db = n
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("%v", err)
	}
	names := map[string]*string{"prefix": &t.prefix, "group": &t.group, "dead": &t.dead}
	for name, values := range query {
		switch {
		case len(values) == 1 && names[name] != nil:
			if *names[name] = values[0]; !plain(values[0]) {
				return fail("expected a %s of 1 to %d letters, digits, '-', '_' and '.', got %q", name, maxName, values[0])
			}
		case len(values) == 1 && name == paramGateway:
			if gateway = values[0]; !isID(gateway) {
				return fail("expected a gateway of 16 hexadecimal digits, got %.40q", gateway)
			}
		default:
			return fail("prefix, group and dead are the parameters there are, each once; got %s", u.RawQuery)
		}
	}
	if slices.Contains([]string{"queue", "job", "gateway", "wake"}, t.dead) {
		return fail("dead jobs cannot be kept as %q: other keys are", t.dead)
	}
	return t, gateway, nil
}

// plain reports whether s may begin keys: nothing in it ends the hash tag or would have to be quoted.
func plain(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-_.", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// key is one of the transport's keys. All of them have the prefix as their hash tag, so that they live in one slot: one
// reader blocks on all, and scripts use several.
func (t target) key(parts ...string) string {
	return "{" + t.prefix + "}:" + strings.Join(parts, ":")
}

func (t target) scheme() string {
	if t.tls {
		return SchemeTLS
	}
	return Scheme
}

// url is the URL of the target, without its password.
func (t target) url() string {
	u := url.URL{Scheme: t.scheme(), Host: t.addr}
	if t.db != 0 {
		u.Path = "/" + strconv.Itoa(t.db)
	}
	query := url.Values{}
	for name, v := range map[string][2]string{"prefix": {t.prefix, DefaultPrefix}, "group": {t.group, DefaultGroup}, "dead": {t.dead, DefaultDead}} {
		if v[0] != v[1] {
			query.Set(name, v[0])
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// options are those of the client library.
func (t target) options() client.ClientOption {
	o := client.ClientOption{
		InitAddress: []string{t.addr}, Username: t.user, Password: t.password, SelectDB: t.db, ClientName: "stella",
		ClientSetInfo:       client.DisableClientSetInfo,
		Dialer:              net.Dialer{Timeout: commandTimeout, KeepAlive: pingInterval},
		ConnWriteTimeout:    commandTimeout,
		ReadBufferEachConn:  connBuffer,
		WriteBufferEachConn: connBuffer,
		BlockingPoolSize:    maxReaders,
		PipelineMultiplex:   -1,
		ForceSingleClient:   true,
		DisableCache:        true,
		DisableRetry:        true, // this package knows what it may repeat
	}
	if t.tls {
		host, _, _ := net.SplitHostPort(t.addr)
		o.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	return o
}

var errVanished = errors.New("the session's keys have vanished from the server: flushed, expired, or deleted by the peer")
