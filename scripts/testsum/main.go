// Command testsum runs one or more `go test` commands, one after the other, shows what a person wants to see of
// them, and ends with one line that counts: "N passed, N failed". A ginkgo suite counts by its specs, every other
// test function by its subtests.
//
//	testsum -- go test -race ./spec/... -- go test ./e2e
//
// It adds -json to each command. It shows a suite's totals and a package's closing line, and everything that a
// failing package printed. Its exit code is 1 when anything failed, or when nothing ran.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// grace is how long the tests may go on after an interrupt, to clean up.
const grace = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	commands := split(args)
	if len(commands) == 0 {
		fmt.Fprintln(os.Stderr, "testsum: expected -- go test ARGUMENTS, as often as needed")
		return 2
	}
	var total summary
	ok := true
	for _, command := range commands {
		sum, err := execute(ctx, command)
		if err != nil {
			fmt.Fprintf(os.Stderr, "testsum: %v\n", err)
			ok = false
		}
		total.passed += sum.passed
		total.failed += sum.failed
		if ctx.Err() != nil {
			break
		}
	}
	if !ok && total.failed == 0 {
		total.failed++ // what did not even compile has failed
	}
	fmt.Printf("%d passed, %d failed\n", total.passed, total.failed)
	if total.failed > 0 || total.passed == 0 {
		return 1
	}
	return 0
}

// split cuts args at every "--" that begins a command. One that go test's own arguments contain is part of them: a
// command ends where the next word after "--" is "go" or "env".
func split(args []string) [][]string {
	var commands [][]string
	for i, arg := range args {
		begins := arg == "--" && i+1 < len(args) && (args[i+1] == "go" || args[i+1] == "env")
		switch {
		case begins:
			commands = append(commands, nil)
		case len(commands) > 0:
			last := len(commands) - 1
			commands[last] = append(commands[last], arg)
		}
	}
	return commands
}

// execute runs one go test command with -json and shows its events as they come.
func execute(ctx context.Context, command []string) (summary, error) {
	at := slices.Index(command, "test")
	if at < 0 {
		return summary{}, fmt.Errorf("%q is no go test command", command)
	}
	command = slices.Insert(slices.Clone(command), at+1, "-json")
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // running what it is told is its purpose
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = grace
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return summary{}, fmt.Errorf("reading from go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return summary{}, fmt.Errorf("starting go test: %w", err)
	}
	sum, err := read(out, os.Stdout)
	if waitErr := cmd.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("go test: %w", waitErr))
	}
	return sum, err
}
