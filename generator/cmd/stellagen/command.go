package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/generator/artifact"
)

// commands are the commands, each in a file of its name. A command's Run gets what it needs by its type: the context,
// and the output. It returns an exitError if it has said everything, or an error that is still to be said; one that wraps
// errInput is about what the user gave.
type commands struct {
	globals

	Init     initCommand     `cmd:"" help:"Begin a module with a service that runs."`
	New      newCommand      `cmd:"" help:"Add an endpoint that runs to a service."`
	Generate generateCommand `cmd:"" help:"Write generated code and manifests beside the handlers."`
	Check    checkCommand    `cmd:"" help:"Tell which generated files are not current; write nothing."`
	Lint     lintCommand     `cmd:"" help:"Tell what is questionable about services; write nothing."`
	Export   exportCommand   `cmd:"" help:"Make documents, clients and alerts of a service's manifest."`
	Dev      devCommand      `cmd:"" help:"Run a gateway and the service, and generate and build again at every change."`
	Breaking breakingCommand `cmd:"" help:"Tell what callers break on, against a commit, a file or a gateway; write nothing."`
	Diff     diffCommand     `cmd:"" help:"Show how two contracts differ, field by field."`
	List     listCommand     `cmd:"" help:"List the endpoints."`
	Explain  explainCommand  `cmd:"" help:"Explain a rule, a directive, a key, or an endpoint's effective values."`
	Rules    rulesCommand    `cmd:"" help:"List what can be found."`
	Manifest manifestCommand `cmd:"" help:"Print manifests or their digests."`
	Fmt      fmtCommand      `cmd:"" help:"Write directives in their canonical form."`
	Migrate  migrateCommand  `cmd:"" help:"List the routes of net/http, chi, gin and echo, and make them endpoints."`
	Doctor   doctorCommand   `cmd:"" help:"Tell what of this place keeps stellagen or the service from working."`

	Completion completionCommand `cmd:"" help:"Print a script that completes commands, flags and names in a shell."`

	Version versionCommand `cmd:"" help:"Print the version."`
}

// allPackages is the pattern of all packages below the working directory.
const allPackages = "./..."

// packages are what most commands read.
type packages struct {
	Patterns []string `arg:"" help:"Packages, as the go command takes them (default ./...)." optional:""`
}

// patterns are those of the command line, or all packages.
func (p packages) patterns() []string {
	if len(p.Patterns) == 0 {
		return []string{allPackages}
	}
	return p.Patterns
}

// leave is what kong's way of ending the process becomes here.
type leave int

// run is the whole program but for the process's end.
func run(args []string, stdout, stderr io.Writer) exitCode {
	out := &output{stdout: stdout, stderr: stderr}
	return out.guard(func() exitCode { return out.run(args) })
}

func (o *output) run(args []string) exitCode {
	var cmd commands
	parser, err := newParser(&cmd, o)
	if err != nil {
		return o.reportBug(err, nil)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		o.errorf("stellagen: %v\nstellagen --help lists commands and flags\n", err)
		return exitInput
	}
	if err := o.configure(cmd.globals); err != nil {
		return o.exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.Bind(parser)
	parsed.BindTo(ctx, (*context.Context)(nil))
	return o.exit(parsed.Run(o))
}

// newParser reads command lines into cmd.
func newParser(cmd *commands, o *output) (*kong.Kong, error) {
	return kong.New(cmd, //nolint:wrapcheck // it is a bug, and told as one
		kong.Name("stellagen"),
		kong.Description("Generates the code and the manifest of services from their annotated handlers."),
		kong.Writers(o.stdout, o.stderr),
		kong.Vars{"formats": strings.Join(formatNames(), ", "), "artifacts": strings.Join(artifactNames(), ", "), "url": artifact.DefaultURL},
		kong.Exit(func(code int) { panic(leave(code)) }),
	)
}
