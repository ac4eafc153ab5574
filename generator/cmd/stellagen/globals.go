package main

import (
	"io"
	"os"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
)

// globals are the flags that every command has.
type globals struct {
	Dir string `help:"Work in this folder." name:"directory" placeholder:"DIR" short:"C"`

	Format []string `help:"How findings are written: ${formats}. Repeatable (default text, to standard error)." placeholder:"NAME[:FILE]" sep:"none"`

	FailOn string `default:"error" enum:"error,warning,info,never" help:"The least grave finding that is a failure: error, warning, info or never."`

	MaxFindings int `help:"Write at most this many findings, and how many more there are (0: all)." placeholder:"N"`

	Color string `default:"auto" enum:"auto,always,never" help:"Colour text: auto (on terminals), always or never."`

	ASCII bool `help:"Frame source lines without box drawing, whatever the locale." name:"ascii"`
}

// failOn is the least severity that fails, unless none does.
func (g globals) failOn() (least diagnostic.Severity, ok bool) {
	for _, s := range []diagnostic.Severity{diagnostic.Error, diagnostic.Warning, diagnostic.Info} {
		if g.FailOn == s.String() {
			return s, true
		}
	}
	return 0, false
}

// style is how text looks on a stream: each is judged by itself.
func (g globals) style(w io.Writer) diagnostic.Style {
	terminal := isTerminal(w)
	style := diagnostic.Style{Color: wantsColor(g.Color, terminal, os.Getenv)}
	switch {
	case !terminal:
	case g.ASCII || !isUTF8(os.Getenv):
		style.Frame = diagnostic.ASCII
	default:
		style.Frame = diagnostic.Unicode
	}
	return style
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// wantsColor follows, in this order, the flag, NO_COLOR, CLICOLOR_FORCE and FORCE_COLOR, TERM=dumb, and the stream.
func wantsColor(flag string, terminal bool, env func(string) string) bool {
	forced := func(name string) bool { v := env(name); return v != "" && v != "0" }
	switch {
	case flag != "auto":
		return flag == "always"
	case env("NO_COLOR") != "":
		return false
	case forced("CLICOLOR_FORCE") || forced("FORCE_COLOR"):
		return true
	case env("TERM") == "dumb":
		return false
	}
	return terminal
}

// isUTF8 judges by the locale, of whose variables the first that is set counts.
func isUTF8(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}
