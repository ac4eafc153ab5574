// Command stella-gateway is the gateway: HTTP for clients on one side, sessions with services on the other.
//
//	stella-gateway run       serve until SIGTERM or SIGINT, then drain; a second signal ends at once; SIGHUP reloads, SIGUSR2 restarts
//	stella-gateway check     say what is wrong with a configuration file
//	stella-gateway diff      compare two configuration files
//	stella-gateway config    show the configuration as it comes out, its JSON Schema, its reference
//	stella-gateway ctl       ask a gateway that runs: services, endpoints, requests in flight, configuration, health
//	stella-gateway token     print a token for a gateway in development mode
//	stella-gateway certs dev make an authority and certificates for development
//	stella-gateway dlq       look at jobs that have failed for good, and have them tried again
//	stella-gateway version   print what this binary is
//
// What run needs may stand in a file, in variables STELLA_NAME and in flags; flags win, then variables. Exit codes: 0 after an orderly end, 1
// when something failed, 2 when it was asked for something wrong.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/gateway"
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
	Run runCmd `cmd:"" help:"Serve until SIGTERM or SIGINT, then drain. A second signal ends at once. SIGHUP reloads, SIGUSR2 hands over to a new process."`

	Check checkCmd `cmd:"" help:"Check a configuration file, and change nothing."`

	Diff diffCmd `cmd:"" help:"Say what one configuration file has otherwise than another."`

	Config configCmd `cmd:"" help:"The configuration: as it comes out, and what there is."`

	Ctl ctlCmd `cmd:"" help:"Ask a gateway that runs, and change what is going on in it."`

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
	told := make(chan os.Signal, 2)
	signal.Notify(told, signals()...)
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr, told}))
}

// exited carries kong's wish to exit, after help, out of its parser.
type exited int

func run(args []string, s streams) (code int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			code = int(e)
		default:
			panic(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("stella-gateway"), kong.Description("HTTP ingress for services that dial in."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { panic(exited(code)) }), kong.UsageOnError(),
		kong.Vars(flagHelp()), kong.Vars{"adminAddress": gateway.DefaultAdmin})
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

// usageError is that a command was asked for something that it cannot be asked for.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func fail(s streams, err error) int {
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code)
	}
	s.sayf("%v", err)
	if _, ok := errors.AsType[usageError](err); ok || errors.Is(err, gateway.ErrConfig) {
		return exitWrong
	}
	return exitFailed
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
