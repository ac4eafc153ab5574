package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"strconv"

	"github.com/stella-ops/router/gateway/admin"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/handover"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry/otlp"
	"github.com/stella-ops/router/internal/fault"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// The addresses of a gateway that is told none.
const (
	DefaultHTTP   = "127.0.0.1:8080"
	DefaultListen = "tcp://127.0.0.1:5100"
	DefaultAdmin  = "127.0.0.1:5190"
	DefaultGrace  = 25 * time.Second
	DefaultMemory = 256 << 20 // bytes
)

// Config is what a [Gateway] needs. Zero fields mean the defaults.
type Config struct {
	HTTP      string     // host:port for clients, without TLS; [DefaultHTTP] if there are no Listeners
	Listeners []Listener // further addresses for clients

	Listen      []string // transport URLs for services; beyond loopback only with Tokens; [DefaultListen]
	Admin       string   // host:port for operators, beyond loopback only with AdminTokens, or unix:///path; [DefaultAdmin]
	AdminTokens string   // file with lines of NAME ROLE TOKEN: what operators have to show; empty: nothing
	AdminHosts  []string // names by which the address for operators is asked, beside addresses and localhost

	Region string // where this gateway stands; the only source of that (invariant 3)
	// Neighbours are the regions whose instances are picked after the gateway's own region's and before all others', the
	// nearest first.
	Neighbours []string
	Node       string // its name, to services; the host's name

	Tokens     Tokens                             // what services have to prove that they know, to register under their name
	Owners     routing.Owners                     // which service owns which paths, whoever comes first
	Routing    routing.Policy                     // how requests find version and instance, for what a service's own policy leaves open
	Services   map[string]routing.Policy          // services' own policies
	Balancers  map[string]func() routing.Balancer // the embedding program's, by the name that policies have for them
	Peers      []string                           // transport URLs of other gateways, which services are told of
	Queue      string                             // transport URL of the broker for endpoints with delivery=queue; empty: they are not served
	AcceptRate int                                // sessions a second that are taken on; [DefaultAcceptRate]
	Memory     int64                              // bytes of bodies that all sessions together hold at most; [DefaultMemory]
	// SessionMemory is how many bytes of bodies one session holds at most; 64 MiB unless it is said.
	SessionMemory int64

	// DrainDelay is how long a gateway that drains still takes requests, on connections that it then closes, after
	// /readyz has turned 503: time for whoever sends them to notice.
	DrainDelay time.Duration

	Grace     time.Duration // for open requests, when the gateway ends; [DefaultGrace]
	Heartbeat time.Duration // how often services send HEARTBEAT; [spec.HeartbeatInterval]
	// DegradedAfter and UnhealthyAfter are how many intervals may pass without one: see [routing.Config].
	DegradedAfter, UnhealthyAfter int

	Retain time.Duration // how long endpoints without instances stay known; [routing.DefaultRetain]
	Stall  time.Duration // how long a body may make no progress; [edge.DefaultStall]

	// Requests is how long a request's head may be and take, and how long a client's connection may be idle.
	Requests edge.Requests

	// OpenAPI is the title of the document of all services, which is served at /openapi.json; empty: it is not served.
	OpenAPI string

	Issuers []auth.Issuer // whose tokens are taken

	Traces    Traces               // where spans go; zero: the gateway makes none
	Access    []routing.AccessRule // who may call endpoints, whatever their services say
	Authority Authority            // who says so from outside

	Limits limit.Config // of rates, concurrency and connections; zero: nothing is limited
	Policy edge.Policy  // can change while the gateway runs: see Apply

	// Configuration is what operators see of the configuration, and Reload has it read anew. Both may be nil.
	Configuration func() any
	Reload        func() error

	// Sockets are those that the process was given: their addresses are not bound anew. Nil: there are none.
	Sockets *handover.Sockets
	// Predecessor is the process whose place this one takes: requests are accepted once there is a session with every
	// instance that it has one with, or after [TakeOver]. Nil: there is none.
	Predecessor *handover.Predecessor
	// Serving is told that requests are accepted. It must not block for long. May be nil.
	Serving func()
	// Restart has this process hand over to another one ([Gateway.Handover]), for an operator. Nil: it cannot.
	Restart func() error

	Dev    *Dev         // development tokens; nil: no authentication, so endpoints with claims answer 401
	Logger *slog.Logger // [slog.Default]
}

// Traces is where the gateway sends a span of each request that is traced, by OTLP over HTTP: of those whose traceparent says so,
// and of one in so many of those without one.
type Traces struct {
	Endpoint string            // URL of the collector; empty: there are no spans, and clients' trace contexts are passed on as they are
	OneIn    int               // 0: none
	Headers  map[string]string // sent to it
}

// Dev makes the gateway accept tokens that a local key signs, and write one that may call everything. It is allowed
// only where the address for clients is loopback, too.
type Dev struct {
	TokenFile string // where to keep a token that holds every claim that endpoints ask for
	KeyFile   string // the key, made when it is missing; empty: TokenFile + ".key"
}

// unixScheme begins the address of a socket in the file system.
const unixScheme = "unix://"

// ErrConfig is what errors about a configuration wrap: the gateway was asked for something wrong.
var ErrConfig = errors.New("gateway: configuration")

// withDefaults fills in the defaults and checks the rest.
func withDefaults(c Config) (Config, error) {
	if c.HTTP == "" && len(c.Listeners) == 0 {
		c.HTTP = DefaultHTTP
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{DefaultListen}
	}
	if c.Admin == "" {
		c.Admin = DefaultAdmin
	}
	if c.Node == "" {
		c.Node, _ = os.Hostname() // a name for people; it may be empty
	}
	if c.AcceptRate == 0 {
		c.AcceptRate = DefaultAcceptRate
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = spec.HeartbeatInterval
	}
	if c.Retain == 0 {
		c.Retain = routing.DefaultRetain
	}
	if c.Stall == 0 {
		c.Stall = edge.DefaultStall
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Sockets == nil {
		c.Sockets = new(handover.Sockets)
	}
	return c, c.check()
}

// routing is the part of the configuration that says where requests go.
func (c *Config) routing() *routing.Config {
	return &routing.Config{
		Region: c.Region, Neighbours: c.Neighbours, Heartbeat: c.Heartbeat, Retain: c.Retain, Owners: c.Owners, Default: c.Routing,
		Services: c.Services, Balancers: c.Balancers, Access: c.Access, AwaitAuthority: c.awaits(),
		DegradedAfter: c.DegradedAfter, UnhealthyAfter: c.UnhealthyAfter,
		Logger: c.Logger,
	}
}

func (c *Config) traces() otlp.Config {
	out := otlp.Config{Node: c.Node, Region: c.Region, Logger: c.Logger}
	out.Endpoint, out.Headers = c.Traces.Endpoint, c.Traces.Headers
	return out
}

// invalid says that a setting, or what is below it, is wrong: each fault that err joins by itself.
func invalid(setting string, err error) error {
	if err == nil {
		return nil
	}
	var errs []error
	for _, leaf := range fault.Leaves(fault.At(setting, err)) {
		if !errors.Is(leaf.Err, ErrConfig) {
			leaf.Err = fmt.Errorf("%w: %w", ErrConfig, leaf.Err)
		}
		errs = append(errs, fault.At(leaf.Setting, leaf.Err))
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// check says everything that is wrong with the configuration without a look at its files.
func (c *Config) check() error {
	var errs []error
	add := func(setting string, err error) { errs = append(errs, invalid(setting, err)) }
	if c.Grace < 0 || c.Heartbeat < 10*time.Millisecond || c.Retain < 0 || c.Stall < 0 || c.DrainDelay < 0 {
		add("", errors.New("a duration is negative, or the heartbeat is under 10ms"))
	}
	add("limits.requests", c.Requests.Check())
	if c.Traces.OneIn < 0 {
		add("telemetry.traces.oneIn", fmt.Errorf("one request in %d is to be traced, expected 0 or more", c.Traces.OneIn))
	}
	if c.AcceptRate < 1 || c.Memory < 1 {
		add("transports", fmt.Errorf("accept rate %d and memory %d, expected at least 1 each", c.AcceptRate, c.Memory))
	}
	add("", c.routing().Check())
	welcome := spec.Welcome{
		Node: c.Node, Region: c.Region, HeartbeatMS: c.Heartbeat.Milliseconds(), MaxFrame: spec.MaxFrameHard, StreamWindow: spec.MaxStreamWindow,
		SessionWindow: spec.MaxStreamWindow, Nonce: "0000000000000000", Secret: "00000000000000000000000000000000", Gateways: c.Peers,
	}
	add("node", welcome.Check()) // every service would refuse it
	add("", c.checkClients())
	add("", c.checkAddresses())
	for i, raw := range c.Listen {
		add("transports.listen["+strconv.Itoa(i)+"]", c.checkListen(raw))
	}
	if c.Queue != "" {
		add("transports.queue", checkQueue(c.Queue))
	}
	for i, raw := range c.Peers {
		add("transports.peers["+strconv.Itoa(i)+"]", checkPeer(raw))
	}
	return errors.Join(errs...)
}

// checkListen checks a URL where services dial in.
func (c *Config) checkListen(raw string) error {
	u, t, err := transports.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w: listen: %w", ErrConfig, err)
	}
	if c.Tokens.asked() || t.Guard == nil {
		return nil
	}
	if err := t.Guard(u); err != nil {
		hint := "give services tokens (--token-file, STELLA_TOKEN)"
		if t.Encrypted {
			hint += ", or have them show certificates (clients=FILE)"
		}
		return fmt.Errorf("%w: listen: %w: %s", ErrConfig, err, hint)
	}
	return nil
}

// checkQueue checks the URL of the broker for jobs.
func checkQueue(raw string) error {
	u, t, err := transports.Parse(raw)
	if err == nil && t.Queue == nil {
		err = fmt.Errorf("%s has no queues: expected the URL of a broker, such as valkey://HOST:PORT", u.Redacted())
	}
	if err != nil {
		return fmt.Errorf("%w: queue: %w", ErrConfig, err)
	}
	return nil
}

// checkPeer checks the URL of a gateway that services are told of.
func checkPeer(raw string) error {
	u, _, err := transports.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w: peer: %w", ErrConfig, err)
	}
	if u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%w: peer: %s: expected neither parameters nor a login: services have their own", ErrConfig, u.Redacted())
	}
	return nil
}

// checkClients checks the addresses of clients and operators.
func (c *Config) checkClients() error {
	listeners := c.listeners()
	var errs []error
	for i := range listeners {
		errs = append(errs, fault.At(c.listener(i), listeners[i].check()))
	}
	if _, isUnix := strings.CutPrefix(c.Admin, unixScheme); !isUnix && c.AdminTokens == "" {
		errs = append(errs, fault.At("admin.address", loopback("admin", c.Admin, "it has no authentication without admin.tokenFile")))
	}
	if c.Dev != nil {
		if c.Dev.TokenFile == "" {
			errs = append(errs, fault.At("dev.tokenFile", fmt.Errorf("%w: development mode needs a file for the token", ErrConfig)))
		}
		for i := range listeners {
			errs = append(errs, fault.At(c.listener(i), loopback("http", listeners[i].Address, "development tokens are for this machine only")))
		}
	}
	return errors.Join(errs...)
}

// checkCertificates refuses certificates that nobody is asked for.
func (c *Config) checkCertificates() error {
	if c.Policy.Certificates == nil || slices.ContainsFunc(c.listeners(), func(l Listener) bool { return l.TLS != nil && l.TLS.ClientCAs != "" }) {
		return nil
	}
	return fmt.Errorf("%w: no client is asked for a certificate: expected a listener with tls.clientCAs", ErrConfig)
}

// checkLegacy refuses upstreams that are the gateway itself: what goes there would come back for ever.
func (c *Config) checkLegacy() error {
	var errs []error
	for i := range c.Policy.Legacy.Upstreams {
		u, err := url.Parse(c.Policy.Legacy.Upstreams[i].URL)
		if err != nil { // which the policy's check says
			continue
		}
		for _, l := range c.listeners() {
			if leadsTo(u, l.Address) {
				errs = append(errs, fault.At("legacy.upstreams["+strconv.Itoa(i)+"].url", fmt.Errorf(
					"%w: %s is this gateway's own address for clients: expected that of another server", ErrConfig, u.Host)))
			}
		}
	}
	return errors.Join(errs...)
}

// leadsTo reports whether a URL leads to an address for clients of this machine, as far as that can be seen: names are not looked up. What
// leads there all the same is found out when a request comes back.
func leadsTo(u *url.URL, address string) bool {
	host, port, err := net.SplitHostPort(address)
	asked := u.Port()
	if asked == "" {
		asked = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if err != nil || port == "0" || asked != port {
		return false
	}
	const local = "localhost"
	name := u.Hostname()
	to, _ := netip.ParseAddr(name) // neither, for a name
	at, _ := netip.ParseAddr(host)
	to, at = to.Unmap(), at.Unmap()
	switch named := strings.EqualFold(name, local); {
	case strings.EqualFold(name, host), to.IsValid() && to == at:
		return true
	case host == "" || at.IsUnspecified(): // all addresses
		return named || to.IsLoopback() || to.IsUnspecified()
	case at.IsLoopback(), strings.EqualFold(host, local):
		return named || to.IsUnspecified() || to.IsLoopback() && !at.IsValid()
	}
	return false
}

// listener is the setting of one of the addresses for clients, of which http is the first.
func (c *Config) listener(i int) string {
	if c.HTTP != "" {
		if i == 0 {
			return "http"
		}
		i--
	}
	return "listeners[" + strconv.Itoa(i) + "]"
}

// exposed are the listeners that other machines reach, and where they can read along.
func (c *Config) exposed() []string {
	var urls []string
	for _, raw := range c.Listen {
		u, t, err := transports.Parse(raw)
		if err == nil && !t.Encrypted && t.Guard != nil && t.Guard(u) != nil {
			urls = append(urls, raw)
		}
	}
	return urls
}

func resolve(what, address string) (*net.TCPAddr, error) {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %s address %q is not host:port: %w", ErrConfig, what, address, err)
	}
	return a, nil
}

// loopback refuses addresses that other machines reach.
func loopback(what, address, because string) error {
	a, err := resolve(what, address)
	if err != nil {
		return err
	}
	if !a.IP.IsLoopback() {
		return fmt.Errorf("%w: %s address %q is not a loopback address such as 127.0.0.1: %s", ErrConfig, what, address, because)
	}
	return nil
}

// Check says what is wrong with a configuration, as [New] would, without taking an address or starting anything.
func Check(cfg Config) error {
	cfg, err := withDefaults(cfg)
	errs := []error{err}
	add := func(setting string, err error) { errs = append(errs, invalid(setting, err)) }
	_, err = newTokens(cfg.Tokens, cfg.Logger)
	add("transports.tokenFile", err)
	silent := slog.New(slog.DiscardHandler)
	_, err = auth.NewVerifier(auth.Config{Issuers: cfg.Issuers, Logger: silent})
	add("issuers", err)
	if cfg.AdminTokens != "" {
		_, err := admin.NewTokens(cfg.AdminTokens, cfg.Logger)
		add("admin.tokenFile", err)
	}
	if cfg.Traces.Endpoint != "" {
		traces := cfg.traces()
		add("telemetry.traces", traces.Check())
	}
	if cfg.Authority.Source != "" {
		authority := cfg.Authority.auth()
		authority.Logger = silent
		_, err := auth.NewAuthority(authority)
		add("authority", err)
	}
	add("", cfg.Policy.Check())
	add("certificates.enabled", cfg.checkCertificates())
	add("legacy", cfg.checkLegacy())
	add("limits", cfg.Limits.Check())
	for i, l := range cfg.listeners() {
		if l.TLS != nil && l.TLS.Cert != "" && l.TLS.Key != "" {
			_, err := l.TLS.config(func(error) {})
			add(cfg.listener(i)+".tls", err)
		}
	}
	return errors.Join(errs...)
}
