package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
)

// The exit codes. They are the same for every command.
const (
	exitOK    = 0
	exitBug   = 1
	exitInput = 2
	exitStale = 20
	exitInt   = 128 + int(syscall.SIGINT) // as shells have it
)

type commands struct {
	Generate struct {
		Patterns []string `arg:"" help:"Packages, as the go command takes them (default ./...)." optional:""`
	} `cmd:"" help:"Write generated code and manifests beside the handlers."`
	Check struct {
		Patterns []string `arg:"" help:"Packages, as the go command takes them (default ./...)." optional:""`
	} `cmd:"" help:"Tell which generated files are not current; write nothing."`
	Version struct{} `cmd:"" help:"Print the version."`
}

// leave is what kong's way of ending the process becomes here.
type leave int

// run is the whole program but for the process's end.
func run(args []string, stdout, stderr io.Writer) (code int) {
	out := &output{stdout: stdout, stderr: stderr}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case leave:
			code = int(r)
		default:
			out.errorf("stellagen: this is a bug: %v\n%s", r, debug.Stack())
			code = exitBug
		}
	}()
	var cmd commands
	parser, err := kong.New(&cmd,
		kong.Name("stellagen"),
		kong.Description("Generates the code and the manifest of services from their annotated handlers."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(leave(code)) }),
	)
	if err != nil {
		out.errorf("stellagen: this is a bug: %v\n", err)
		return exitBug
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		out.errorf("stellagen: %v\nstellagen --help lists commands and flags\n", err)
		return exitInput
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch name, _, _ := strings.Cut(parsed.Command(), " "); name {
	case "generate":
		return generate(ctx, out, cmd.Generate.Patterns)
	case "check":
		return check(ctx, out, cmd.Check.Patterns)
	default:
		out.printf("%s\n", version())
		return exitOK
	}
}

func generate(ctx context.Context, out *output, patterns []string) int {
	var disk generator.Disk
	dir, code := runWith(ctx, out, patterns, &disk)
	if code != exitOK {
		return code
	}
	for _, name := range disk.Written {
		out.printf("wrote %s\n", relative(dir, name))
	}
	for _, name := range disk.Removed {
		out.printf("removed %s\n", relative(dir, name))
	}
	return exitOK
}

func check(ctx context.Context, out *output, patterns []string) int {
	var target generator.Check
	dir, code := runWith(ctx, out, patterns, &target)
	if code != exitOK || len(target.Stale) == 0 {
		return code
	}
	for _, s := range target.Stale {
		out.printf("%s: %s\n", relative(dir, s.Name), s.State)
	}
	out.errorf("generated files are not current; run: %s\n", strings.Join(append([]string{"go tool stellagen generate"}, patterns...), " "))
	return exitStale
}

// runWith reads the packages, hands the files to the target and prints the findings.
func runWith(ctx context.Context, out *output, patterns []string, target generator.Target) (dir string, code int) {
	dir, err := os.Getwd()
	if err != nil {
		out.errorf("stellagen: %v\n", err)
		return "", exitBug
	}
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Patterns: patterns}, target)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			out.errorf("stellagen: interrupted; nothing was written\n")
			return dir, exitInt
		}
		if isDisk(err) {
			out.errorf("stellagen: %v\nthis is about files and their permissions, not about the source\n", err)
			return dir, exitInput
		}
		out.errorf("stellagen: %v\n", err)
		return dir, exitBug
	}
	if findings.Nothing {
		out.errorf("no package with //stella: directives matches %s\n", strings.Join(patterns, " "))
	}
	if len(findings.List) == 0 {
		return dir, exitOK
	}
	printer := diagnostic.Printer{Base: dir, Source: findings.Source}
	if err := printer.Print(out.stderr, findings.List); err != nil {
		return dir, exitBug
	}
	return dir, exitInput
}

// isDisk reports whether a file could not be read or written: that is for the user to mend.
func isDisk(err error) bool {
	_, isPath := errors.AsType[*fs.PathError](err)
	_, isLink := errors.AsType[*os.LinkError](err)
	return isPath || isLink
}

func relative(dir, name string) string {
	if rel, err := filepath.Rel(dir, name); err == nil {
		return filepath.ToSlash(rel)
	}
	return name
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "stellagen (unknown version)"
	}
	return "stellagen " + info.Main.Version
}

// output is where the program prints to. A reader that has gone away changes nothing about the work.
type output struct{ stdout, stderr io.Writer }

func (o *output) printf(format string, args ...any) { _, _ = fmt.Fprintf(o.stdout, format, args...) }
func (o *output) errorf(format string, args ...any) { _, _ = fmt.Fprintf(o.stderr, format, args...) }
