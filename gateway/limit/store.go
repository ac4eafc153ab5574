package limit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/gateway/telemetry"
)

// Budget is how long a decision may take that needs a server. Then the rule's failure mode decides.
const Budget = 50 * time.Millisecond

const (
	reconnectEvery = 500 * time.Millisecond // while there has been no connection yet
	pingEvery      = time.Second            // an idle connection: a dead one is found between requests rather than by one
	maxPort        = 1<<16 - 1
	maxDatabase    = 1<<16 - 1
	digest         = 16 // bytes of a key's name
)

const storeForm = "valkey://[user:password@]host:port[/database][?prefix=name]"

// script is GCRA on the server's clock, so that those of gateways do not matter. KEYS: the key, whose value is when it has its
// whole burst again. ARGV: the time between requests, and the burst. It returns whether the request passes, how many more
// would, and in how long all and one would. Times are in microseconds; those that are stored count from 2026, which leaves a
// double eight bits for fractions. Half a microsecond is what those cost.
var script = client.NewLuaScript(`
local t = redis.call('TIME')
local now = (tonumber(t[1]) - 1767225600) * 1000000 + tonumber(t[2])
local interval, room = tonumber(ARGV[1]), tonumber(ARGV[1]) * tonumber(ARGV[2])
local debt = (tonumber(redis.call('GET', KEYS[1]) or now) or now) - now
if debt < 0 then debt = 0 end
if debt > room then debt = room end
local late = debt + interval - room
if late > 0.5 then
	return {0, math.floor((room - debt) / interval), math.ceil(debt), math.ceil(late)}
end
debt = debt + interval
redis.call('SET', KEYS[1], string.format('%.4f', now + debt), 'PX', math.ceil(debt / 1000) + 1)
return {1, math.max(math.floor((room - debt) / interval + 0.001), 0), math.ceil(debt), 0}`)

// store counts in Valkey.
type store struct {
	options client.ClientOption
	prefix  string

	environment string

	log      *slog.Logger
	client   atomic.Pointer[client.Client] // nil until there has been a connection, which the client then renews itself
	breaker  breaker
	failures atomic.Uint64
	buckets  [len(checkBounds) + 1]atomic.Uint64
	spent    atomic.Int64 // nanoseconds, over all checks
}

// checkBounds are the upper bounds of the histogram of checks.
var checkBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, Budget,
}

func newStore(raw, environment string, log *slog.Logger) (*store, error) {
	s, err := parseStore(raw)
	if err != nil {
		return nil, err
	}
	s.log, s.environment, s.prefix = log, environment, s.prefix+":limit:"+environment+":"
	return s, nil
}

func parseStore(raw string) (*store, error) {
	u, err := url.Parse(raw)
	if err != nil { // the error repeats the text, which may hold a password
		return nil, errors.New("limit: store: expected " + storeForm)
	}
	fault := func(format string, args ...any) (*store, error) {
		return nil, fmt.Errorf("limit: store %s: "+format, append([]any{u.Redacted()}, args...)...)
	}
	secure := u.Scheme == "valkeys" || u.Scheme == "rediss"
	if !secure && u.Scheme != "valkey" && u.Scheme != "redis" {
		return fault("expected %s, valkeys with TLS; redis and rediss mean the same", storeForm)
	}
	if port, err := strconv.Atoi(u.Port()); err != nil || port < 1 || port > maxPort || u.Hostname() == "" || u.Fragment != "" {
		return fault("expected %s", storeForm)
	}
	s := &store{prefix: "stella"}
	s.options = client.ClientOption{
		InitAddress: []string{u.Host}, ClientName: "stella-limit", ClientSetInfo: client.DisableClientSetInfo,
		Dialer:              net.Dialer{Timeout: Budget, KeepAlive: pingEvery},
		ConnWriteTimeout:    pingEvery,
		ForceSingleClient:   true,
		AlwaysPipelining:    true, // whoever waits stops waiting when its context ends, and the connection stays
		PipelineMultiplex:   -1,   // one connection: decisions are small
		DisableCache:        true,
		DisableRetry:        true, // a request that may have been counted is not counted again
		ReadBufferEachConn:  connBuffer,
		WriteBufferEachConn: connBuffer,
	}
	if u.User != nil {
		s.options.Username = u.User.Username()
		s.options.Password, _ = u.User.Password()
		if s.options.Password == "" {
			return fault("a user without a password; expected %s", storeForm)
		}
	}
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		if s.options.SelectDB, err = strconv.Atoi(path); err != nil || s.options.SelectDB < 0 || s.options.SelectDB > maxDatabase {
			return fault("expected the number of a database as the path, got %q", path)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	for name, values := range query {
		if name != "prefix" || len(values) != 1 || !plain(values[0]) {
			return fault("expected one parameter at most, prefix, of 1 to %d letters, digits, '-', '_' and '.'", maxName)
		}
		s.prefix = values[0]
	}
	if err != nil {
		return fault("its parameters: expected %s", storeForm)
	}
	if secure {
		s.options.TLSConfig = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

const connBuffer = 32 << 10 // bytes

func (s *store) dial(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c, err := client.NewClient(s.options)
	if err != nil {
		return err //nolint:wrapcheck // is logged with what it is about
	}
	s.client.Store(&c)
	return nil
}

// run goes on trying until there has been a connection, and ends that when ctx ends.
func (s *store) run(ctx context.Context) {
	again := time.NewTicker(reconnectEvery)
	defer again.Stop()
	for s.client.Load() == nil {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			if s.dial(ctx) == nil {
				s.log.Info("the server of the rate limits is reached")
			}
		}
	}
	<-ctx.Done()
	(*s.client.Load()).Close()
}

// key is the name of a rule's count on the server: who is counted cannot be read from it. Its hash is the tag by which a
// cluster spreads keys, and a script needs one.
func (s *store) key(r *rule, who *subject) string {
	h := sha256.New()
	h.Write([]byte(r.Name + "\x00" + r.by() + "\x00"))
	h.Write(who.name())
	var sum [sha256.Size]byte
	b := make([]byte, 0, len(s.prefix)+2*digest+2) //nolint:mnd // the braces
	b = append(append(b, s.prefix...), '{')
	b = hex.AppendEncode(b, h.Sum(sum[:0])[:digest])
	return string(append(b, '}'))
}

var (
	errUnreached = errors.New("there has been no connection yet")
	errAnswer    = errors.New("the script answers something else than four whole numbers")
	errOpen      = errors.New("the breaker is open")
)

// take asks the server for one request.
func (s *store) take(ctx context.Context, r *rule, who *subject) (verdict, error) {
	c := s.client.Load()
	if c == nil {
		return verdict{}, errUnreached
	}
	answer, err := script.Exec(ctx, *c, []string{s.key(r, who)}, r.args).AsIntSlice()
	if err != nil {
		return verdict{}, err //nolint:wrapcheck // is logged with what it is about
	}
	if len(answer) != 4 { //nolint:mnd // see the script
		return verdict{}, errAnswer
	}
	const micro = int64(time.Microsecond)
	return verdict{allowed: answer[0] == 1, remaining: answer[1], reset: answer[2] * micro, wait: answer[3] * micro}, nil
}

// check is take within the budget, unless the breaker is open.
func (s *store) check(ctx context.Context, r *rule, who *subject, now int64) (verdict, error) {
	if !s.breaker.allow(now) {
		return verdict{}, errOpen
	}
	begun := time.Now()
	bounded, cancel := context.WithTimeout(ctx, Budget)
	v, err := s.take(bounded, r, who)
	cancel()
	took := time.Since(begun)
	s.observe(took)
	switch {
	case err == nil:
		s.breaker.succeeded()
	case ctx.Err() != nil: // the client has left: that says nothing of the server
	default:
		s.failures.Add(1)
		if s.breaker.failed(now + int64(took)) {
			s.log.Warn("the server of the rate limits does not answer: their failure modes decide", "error", err)
		}
	}
	return v, err
}

func (s *store) observe(took time.Duration) {
	i := 0
	for i < len(checkBounds) && took > checkBounds[i] {
		i++
	}
	s.buckets[i].Add(1)
	s.spent.Add(int64(took))
}

// times is how long checks took.
func (s *store) times() *telemetry.Times {
	t := &telemetry.Times{Sum: time.Duration(s.spent.Load()), Buckets: map[float64]uint64{}}
	for i := range s.buckets {
		t.Count += s.buckets[i].Load()
		if i < len(checkBounds) {
			t.Buckets[checkBounds[i].Seconds()] = t.Count
		}
	}
	return t
}

// shared decides by a rule of the environment.
func (l *Limiter) shared(ctx context.Context, r *rule, who *subject, now int64) Decision {
	if l.store != nil {
		v, err := l.store.check(ctx, r, who, now)
		if err == nil {
			r.count(fromValkey, v.allowed)
			return r.decision(v, fromValkey)
		}
	}
	var d Decision
	switch r.Failure {
	case FailureLocal:
		d = r.decision(l.memory.take(who.hash(l.seed, r.salt), r.local, now), fromFallback)
	case FailureOpen:
		d = Decision{Allowed: true, Rule: r.Name, Limit: r.burst(), Remaining: -1, Source: SourceFallback}
	case FailureClosed:
		d = Decision{Unavailable: true, Rule: r.Name, Limit: r.burst(), Remaining: -1, RetryAfter: restsFor, Source: SourceFallback}
	}
	r.count(fromFallback, d.Allowed)
	return d
}
