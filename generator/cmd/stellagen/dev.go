package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/watch"
)

type devCommand struct {
	Main string `help:"Package of the service's program; needed where a module has several." placeholder:"PACKAGE"`

	Gateway string `help:"The stella-gateway to run: a file, or none if one runs already (beside stellagen, or in PATH)." placeholder:"FILE"`

	HTTP string `default:"127.0.0.1:8080" help:"Address for clients." placeholder:"ADDR"`

	Listen string `default:"tcp://127.0.0.1:5100" help:"Where the service dials the gateway." placeholder:"URL"`

	Admin string `default:"127.0.0.1:5190" help:"The gateway's address for operators." placeholder:"ADDR"`
}

// noGateway is the value of --gateway for one that runs already.
const noGateway = "none"

// dev is the loop of stellagen dev: a change, generated code, a program, a process.
type dev struct {
	*devCommand

	out     *output
	dir     string // of the module
	temp    string
	cache   *generator.Cache
	main    string // package
	gateway *child
	service *child
}

func (c *devCommand) Run(ctx context.Context, out *output) (err error) {
	dir, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "stellagen-dev-")
	if err != nil {
		return fmt.Errorf("making a folder for the program: %w", err)
	}
	d := &dev{devCommand: c, out: out, dir: dir, temp: temp, cache: generator.NewCache()}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if d.main, err = d.program(ctx); err != nil {
		return err
	}
	w, err := watch.New(dir, func(name string) bool { return generator.IsOutput(filepath.Base(name)) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	defer func() { d.service.stop(); d.gateway.stop() }() // the service first: it drains
	if err := d.startGateway(); err != nil {
		return err
	}
	return d.loop(ctx, w)
}

// moduleRoot is the folder of the module at hand.
func moduleRoot(ctx context.Context) (string, error) {
	file, err := goCommand(ctx, "", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	if file = strings.TrimSpace(file); file == "" || file == os.DevNull {
		return "", fmt.Errorf("%w: there is no go.mod here or above: run stellagen init, or go to a module", errInput)
	}
	return filepath.Dir(file), nil
}

// program is the package that is built.
func (d *dev) program(ctx context.Context) (string, error) {
	if d.Main != "" {
		return d.Main, nil
	}
	text, err := goCommand(ctx, d.dir, "list", "-find", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, allPackages)
	if err != nil {
		return "", err
	}
	switch found := strings.Fields(text); len(found) {
	case 0:
		return "", fmt.Errorf("%w: no program in %s: expected a package main that runs the service", errInput, d.dir)
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("%w: several programs: say which with --main: %s", errInput, strings.Join(found, ", "))
	}
}

func (d *dev) startGateway() error {
	if d.Gateway == noGateway {
		return nil
	}
	program := d.Gateway
	if program == "" {
		if self, err := os.Executable(); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(self), "stella-gateway")); err == nil {
				program = filepath.Join(filepath.Dir(self), "stella-gateway")
			}
		}
	}
	if program == "" {
		found, err := exec.LookPath("stella-gateway")
		if err != nil {
			return fmt.Errorf("%w: no stella-gateway beside stellagen or in PATH: "+
				"go install %s/gateway/cmd/stella-gateway@latest, or name one with --gateway, or say --gateway none if one runs already", errInput, routerModule)
		}
		program = found
	}
	var err error
	d.gateway, err = start("gateway", d.out.stderr, nil, program, "run", "--http", d.HTTP, "--listen", d.Listen, "--admin", d.Admin,
		"--dev", "--dev-token-file", d.tokenFile(), "--grace", "2s")
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	return nil
}

func (d *dev) tokenFile() string { return filepath.Join(d.temp, "token") }

// loop generates, builds and runs, at once and after every change, until ctx ends.
func (d *dev) loop(ctx context.Context, w *watch.Watcher) error {
	batches, failed := make(chan watch.Batch), make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	defer func() { stop(); <-done }()
	go func() {
		defer close(done)
		for {
			b, err := w.Next(watching)
			if err != nil {
				failed <- err
				return
			}
			select {
			case batches <- b:
			case <-watching.Done():
			}
		}
	}()
	if d.round(ctx, nil) {
		d.hints()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case b := <-batches:
			if b.Structure {
				d.cache.Forget()
			}
			for _, name := range b.Files {
				d.cache.Changed(name)
			}
			d.round(ctx, b.Files)
		case <-d.gateway.ended():
			return fmt.Errorf("%w: %s", errInput, d.gateway.how())
		case <-d.service.ended():
			d.out.errorf("%s; a change starts it again\n", d.service.how())
			d.service = nil
		}
	}
}

// round does what a change asks for, and reports whether the service has been started.
func (d *dev) round(ctx context.Context, changed []string) bool {
	if len(changed) > 0 { // the edited packages first: their authors wait
		if !d.generate(ctx, d.folders(changed)) {
			return false
		}
	}
	if !d.generate(ctx, []string{allPackages}) {
		return false
	}
	program := filepath.Join(d.temp, "service")
	begun := time.Now()
	if _, err := goCommand(ctx, d.dir, "build", "-o", program+".new", d.main); err != nil {
		if ctx.Err() == nil {
			d.out.errorf("%v\n", err)
		}
		return false
	}
	d.service.stop()
	if err := os.Rename(program+".new", program); err != nil {
		d.out.errorf("%v\n", err)
		return false
	}
	var err error
	d.service, err = start("service", d.out.stderr, []string{"STELLA_GATEWAYS=" + d.Listen, "STELLA_GRACE=2s"}, program)
	if err != nil {
		d.out.errorf("%v\n", err)
		return false
	}
	d.out.errorf("built in %d ms, and started\n", time.Since(begun).Milliseconds())
	return true
}

// folders are the patterns of the files' packages.
func (d *dev) folders(files []string) []string {
	var patterns []string
	for _, name := range files {
		folder := filepath.Dir(name)
		if entries, err := filepath.Glob(filepath.Join(folder, "*.go")); err != nil || len(entries) == 0 {
			continue
		}
		patterns = append(patterns, "./"+relative(d.dir, folder))
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

// generate reports whether the code of the packages is current now.
func (d *dev) generate(ctx context.Context, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	begun := time.Now()
	var disk generator.Disk
	findings, err := generator.Run(ctx, generator.Config{Dir: d.dir, Patterns: patterns, Cache: d.cache}, &disk)
	if err != nil {
		d.out.errorf("%v\n", err)
		return false
	}
	if len(findings.List) > 0 {
		report := &diagnostic.Report{Findings: findings.List, Base: d.dir, Source: findings.Source, Tail: nothingWritten}
		if err := d.out.write(report); err != nil {
			d.out.errorf("%v\n", err)
		}
		return false
	}
	if changes := slices.Concat(disk.Written, disk.Removed); len(changes) > 0 {
		for i := range changes {
			changes[i] = relative(d.dir, changes[i])
		}
		d.out.errorf("generated in %d ms: %s\n", time.Since(begun).Milliseconds(), strings.Join(changes, ", "))
	}
	return true
}

// hints says what to try.
func (d *dev) hints() {
	d.out.errorf("the gateway takes requests at http://%s, and tells operators at http://%s/v1/endpoints\n", d.HTTP, cmp.Or(d.Admin, "?"))
	if d.gateway != nil {
		d.out.errorf("a token for everything: curl -H \"Authorization: Bearer $(cat %s)\"\n", d.tokenFile())
	}
	d.out.errorf("Ctrl-C ends both\n")
}
