// Command stella-gateway is the gateway: HTTP for clients on one side, sessions with services on the other.
//
//	stella-gateway run       serve until SIGTERM or SIGINT, then drain; a second signal ends at once
//	stella-gateway token     print a token for a gateway in development mode
//	stella-gateway certs dev make an authority and certificates for development
//	stella-gateway dlq       look at jobs that have failed for good, and have them tried again
//	stella-gateway version   print what this binary is
//
// Every flag of run can be given as a variable STELLA_NAME, too; the flag wins. Exit codes: 0 after an orderly end, 1
// when something failed, 2 when it was asked for something wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"

	_ "github.com/stella-ops/router/transports/quic"
	_ "github.com/stella-ops/router/transports/rabbitmq"
	_ "github.com/stella-ops/router/transports/tcp"
	_ "github.com/stella-ops/router/transports/tls"
	_ "github.com/stella-ops/router/transports/udp"
	_ "github.com/stella-ops/router/transports/valkey"
)

// The exit codes.
const (
	exitFailed = 1
	exitWrong  = 2
)

type cli struct {
	Run runCmd `cmd:"" help:"Serve until SIGTERM or SIGINT, then drain. A second signal ends at once."`

	Token tokenCmd `cmd:"" help:"Print a token for a gateway in development mode."`

	Certs certsCmd `cmd:"" help:"Certificates for gateways and services."`

	DLQ dlqCmd `cmd:"" help:"Look at jobs that have failed for good, and have them tried again." name:"dlq"`

	Version versionCmd `cmd:"" help:"Print what this binary is."`
}

// streams are where commands write to, and the signals that end them.
type streams struct {
	out, err io.Writer
	signals  <-chan os.Signal
}

// printf writes what was asked for.
func (s streams) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.out, format, args...); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// sayf writes why something failed.
func (s streams) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, "stella-gateway: "+format+"\n", args...) // there is nowhere else to say it
}

// gcPercent is the garbage collector's, unless GOGC says otherwise. A gateway holds little for long and makes much garbage.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr, signals}))
}

// exited carries kong's wish to exit, after help, out of its parser.
type exited int

func run(args []string, s streams) (code int) {
	defer func() {
		if e, ok := recover().(exited); ok {
			code = int(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("stella-gateway"), kong.Description("HTTP ingress for services that dial in."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { panic(exited(code)) }), kong.UsageOnError(),
		kong.Vars{"http": gateway.DefaultHTTP, "listen": gateway.DefaultListen, "admin": gateway.DefaultAdmin,
			"grace":      gateway.DefaultGrace.String(),
			"acceptRate": strconv.Itoa(gateway.DefaultAcceptRate), "memory": "256MiB",
			"retain": routing.DefaultRetain.String()})
	if err != nil {
		return fail(s, err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		s.sayf("%v; stella-gateway --help lists commands and flags", err)
		return exitWrong
	}
	if err := ctx.Run(s, &c); err != nil {
		return fail(s, err)
	}
	return 0
}

func fail(s streams, err error) int {
	s.sayf("%v", err)
	if errors.Is(err, gateway.ErrConfig) {
		return exitWrong
	}
	return exitFailed
}

type runCmd struct {
	HTTP string `default:"${http}" env:"STELLA_HTTP" help:"Address for clients (${default})." name:"http" placeholder:"ADDR"`

	Listen []string `default:"${listen}" env:"STELLA_LISTEN" help:"Where services dial in; beyond loopback only with tokens (${default})." placeholder:"URL[,URL]"`

	TokenFile string `env:"STELLA_TOKEN_FILE" help:"Lines of SERVICE TOKEN, * being every service: what services have to know." placeholder:"FILE"`

	Token []string `env:"STELLA_TOKEN" help:"Tokens that are good for every service. Better give the variable: processes are listed." placeholder:"TOKEN[,TOKEN]"`

	Owner []string `env:"STELLA_OWNERS" help:"Which service owns a path and all below it, whoever comes first." placeholder:"PATH=SERVICE"`

	Peer []string `env:"STELLA_PEERS" help:"Other gateways, which services are told of and dial as well." placeholder:"URL[,URL]"`

	AcceptRate int `default:"${acceptRate}" env:"STELLA_ACCEPT_RATE" help:"How many sessions a second are taken on (${default})." placeholder:"N"`

	Queue string `env:"STELLA_QUEUE" help:"Broker for the requests to endpoints with delivery=queue: valkey:// or rabbitmq://." placeholder:"URL"`

	Memory string `default:"${memory}" env:"STELLA_MEMORY" help:"How much of bodies is held at most, over all sessions (${default})." placeholder:"SIZE"`

	DrainDelay time.Duration `env:"STELLA_DRAIN_DELAY" help:"How long requests are still taken at the end, after /readyz has turned 503 (0s)." placeholder:"DURATION"`

	Admin string `default:"${admin}" env:"STELLA_ADMIN" help:"Address for operators; loopback only (${default})." placeholder:"ADDR"`

	Region string `env:"STELLA_REGION" help:"Where this gateway stands: instances of the same region are preferred." placeholder:"NAME"`

	Node string `env:"STELLA_NODE" help:"This gateway's name (the host's)." placeholder:"NAME"`

	Grace time.Duration `default:"${grace}" env:"STELLA_GRACE" help:"How long open requests may take at the end (${default})." placeholder:"DURATION"`

	Retain time.Duration `default:"${retain}" env:"STELLA_RETAIN" help:"How long endpoints without instances stay known (${default})." placeholder:"DURATION"`

	LogLevel slog.Level `default:"INFO" env:"STELLA_LOG_LEVEL" help:"DEBUG writes an access log, too (${default})." placeholder:"LEVEL"`

	Dev bool `env:"STELLA_DEV" help:"Development mode, loopback only: accept tokens that a local key signs."`

	DevTokenFile string `env:"STELLA_DEV_TOKEN_FILE" help:"Where to keep a token that may call everything." placeholder:"FILE"`

	DevKey string `env:"STELLA_DEV_KEY" help:"The key for tokens, made when it is missing (the token's file with .key)." placeholder:"FILE"`
}

func (c *runCmd) config(log io.Writer) (gateway.Config, error) {
	cfg := gateway.Config{
		HTTP: c.HTTP, Listen: c.Listen, Admin: c.Admin, Region: c.Region, Node: c.Node, Grace: c.Grace, Retain: c.Retain,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: c.LogLevel})),
	}
	cfg.Tokens = gateway.Tokens{File: c.TokenFile, Any: c.Token}
	cfg.Peers, cfg.AcceptRate, cfg.DrainDelay, cfg.Queue = c.Peer, c.AcceptRate, c.DrainDelay, c.Queue
	for _, text := range c.Owner {
		path, service, err := routing.ParseOwner(text)
		if err != nil {
			return cfg, fmt.Errorf("%w: --owner: %w", gateway.ErrConfig, err)
		}
		if cfg.Owners == nil {
			cfg.Owners = routing.Owners{}
		}
		if other, twice := cfg.Owners[path]; twice && other != service {
			return cfg, fmt.Errorf("%w: --owner: %s belongs to %s and to %s", gateway.ErrConfig, path, other, service)
		}
		cfg.Owners[path] = service
	}
	var err error
	if cfg.Memory, err = spec.ParseSize(c.Memory); err != nil {
		return cfg, fmt.Errorf("%w: --memory: %w", gateway.ErrConfig, err)
	}
	switch {
	case c.AcceptRate <= 0:
		return cfg, fmt.Errorf("%w: --accept-rate %d, expected more than nothing", gateway.ErrConfig, c.AcceptRate)
	case c.DrainDelay < 0:
		return cfg, fmt.Errorf("%w: --drain-delay %v, expected none or more", gateway.ErrConfig, c.DrainDelay)
	case c.Grace <= 0:
		return cfg, fmt.Errorf("%w: --grace %v, expected more than nothing", gateway.ErrConfig, c.Grace)
	case c.Retain <= 0:
		return cfg, fmt.Errorf("%w: --retain %v, expected more than nothing", gateway.ErrConfig, c.Retain)
	case c.Dev && c.DevTokenFile == "":
		return cfg, fmt.Errorf("%w: --dev needs --dev-token-file", gateway.ErrConfig)
	case !c.Dev && (c.DevTokenFile != "" || c.DevKey != ""):
		return cfg, fmt.Errorf("%w: --dev-token-file and --dev-key need --dev", gateway.ErrConfig)
	case c.Dev:
		cfg.Dev = &gateway.Dev{TokenFile: c.DevTokenFile, KeyFile: c.DevKey}
	}
	return cfg, nil
}

// Run serves.
func (c *runCmd) Run(s streams) error {
	cfg, err := c.config(s.err)
	if err != nil {
		return err
	}
	g, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx) }()
	if err := s.printf("stella-gateway serves http://%s, services dial %s, operators http://%s\n",
		g.HTTPAddr(), strings.Join(g.ListenAddrs(), ","), g.AdminAddr()); err != nil {
		cfg.Logger.Warn("nobody reads the standard output", "error", err)
	}
	forced := false
	for {
		select {
		case err := <-served:
			if err == nil && forced {
				return errForced
			}
			return err
		case <-s.signals:
			if ctx.Err() != nil {
				forced = true
				if err := g.Close(); err != nil {
					cfg.Logger.Warn("closing", "error", err)
				}
			}
			cancel()
		}
	}
}

var errForced = errors.New("ended by a second signal, before open requests had ended")

type tokenCmd struct {
	DevKey string `env:"STELLA_DEV_KEY" help:"The gateway's --dev-key." placeholder:"FILE" required:""`

	Claim []string `help:"A claim that the token holds; may be given many times." placeholder:"TYPE=VALUE" required:"" sep:"none"`

	TTL time.Duration `default:"15m" help:"How long it is good for (${default})." name:"ttl" placeholder:"DURATION"`
}

// Run prints a token.
func (c *tokenCmd) Run(s streams) error {
	if c.TTL <= 0 {
		return fmt.Errorf("%w: --ttl %v, expected more than nothing", gateway.ErrConfig, c.TTL)
	}
	claims := make([]spec.Claim, 0, len(c.Claim))
	for _, text := range c.Claim {
		kind, value, ok := strings.Cut(text, "=")
		if !ok || kind == "" || value == "" {
			return fmt.Errorf("%w: --claim %q, expected TYPE=VALUE", gateway.ErrConfig, text)
		}
		claims = append(claims, spec.Claim{Type: kind, Value: value})
	}
	key, err := auth.LoadDevKey(c.DevKey)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	token, err := key.Token(claims, time.Now(), c.TTL)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	return s.printf("%s\n", token)
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s streams) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	return s.printf("stella-gateway %s, protocol %d, %s %s/%s\n", version, spec.ProtocolVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
