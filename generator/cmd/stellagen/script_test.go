package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"stellagen": main,
		"stellagen-panics": func() {
			out := &output{stdout: os.Stdout, stderr: os.Stderr}
			os.Exit(int(out.guard(func() exitCode { panic("of the test's own") })))
		},
	})
}

// TestScripts runs the program as users do. Each script starts with an empty build cache, and a go command that cannot
// run a compiler: a run that passes has compiled nothing.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GOCACHE", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("GOFLAGS", "-toolexec="+filepath.Join(env.WorkDir, "no-compiler"))
			env.Setenv("GOPROXY", "off")
			env.Setenv("GOWORK", "off")
			env.Setenv("GORACE", "atexit_sleep_ms=10") // with the race detector each command would sleep for a second
			env.Setenv("GOTOOLCHAIN", "local")
			env.Setenv("SOON", time.Now().AddDate(0, 0, 30).Format(time.DateOnly)) // for waivers
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":   wantCode,
			"oldest": makeOld,
			"isold":  isOld,

			"longline": longLine,
			"shorter":  isShorter,
		},
	})
}

// wantCode is: code N command args...
func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s did not run: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

// longAgo is a time that no file written by a test has.
const longAgo = 1_000_000_000

// makeOld is: oldest file...
func makeOld(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		old := info.ModTime().Add(-longAgo)
		ts.Check(os.Chtimes(ts.MkAbs(name), old, old))
	}
}

// isOld is: [!] isold file...
func isOld(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		dir, err := os.Stat(ts.MkAbs("go.mod"))
		ts.Check(err)
		if info.ModTime().Before(dir.ModTime()) == neg {
			ts.Fatalf("%s: written at %v", name, info.ModTime())
		}
	}
}

// longDirective is how many bytes a line of longline has: 10 MB.
const longDirective = 10_000_000

// longLine is: longline file [words]. The file has a directive of one very long line: one argument, or many.
func longLine(ts *testscript.TestScript, _ bool, args []string) {
	argument := "timeout=" + strings.Repeat("9", longDirective)
	if len(args) > 1 {
		argument = strings.Repeat(" b", longDirective/len(" b"))
	}
	text := "package shop\n\n//stella:endpoint GET /long " + argument + "\nfunc Long() {}\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// isShorter is: shorter stdout|stderr bytes.
func isShorter(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := len(ts.ReadFile(args[0])); got > most {
		ts.Fatalf("%s has %d bytes, want at most %d", args[0], got, most)
	}
}
