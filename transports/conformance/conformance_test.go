package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stella-ops/router/transports/conformance"
	_ "github.com/stella-ops/router/transports/inmemory"
	_ "github.com/stella-ops/router/transports/quic"
	_ "github.com/stella-ops/router/transports/tcp"
	_ "github.com/stella-ops/router/transports/tls"
	"github.com/stella-ops/router/transports/trust"
	_ "github.com/stella-ops/router/transports/udp"
)

var update = flag.Bool("update", false, "write the table of docs/reference/transports.md anew")

const page = "../../docs/reference/transports.md"

var names atomic.Int64

type transport struct {
	name string
	conformance.Transport

	begin func(*testing.T) // starts what all cases share, if it is not nil
}

// complete tells that all transports of this repository are known here: those over brokers need more than Go.
var complete = false //nolint:gochecknoglobals // set by a file that a build may leave out

// known are the transports of this repository, in the order of the table.
var known = []transport{ //nolint:gochecknoglobals // the same
	{name: "inmemory", Transport: conformance.Transport{Listen: func(*testing.T) string { return "inmemory://conformance-" + strconv.FormatInt(names.Add(1), 10) }}},
	{name: "unix", Transport: conformance.Transport{Listen: socket}},
	{name: "tcp", Transport: conformance.Transport{Listen: func(*testing.T) string { return "tcp://127.0.0.1:0" }, Proxy: "tcp"}},
	{name: "tls", Transport: conformance.Transport{Listen: func(*testing.T) string { return "tls://127.0.0.1:0" }, Proxy: "tcp"}},
	{name: "quic", Transport: conformance.Transport{Listen: func(*testing.T) string { return "quic://127.0.0.1:0" }, Proxy: "udp"}},
	{name: "udp", Transport: conformance.Transport{Listen: func(*testing.T) string { return "udp://127.0.0.1:0" }, Proxy: "udp"}},
}

func socket(t *testing.T) string {
	t.Helper()
	return "unix://" + filepath.Join(t.TempDir(), "s")
}

// TestConformance runs the suite on every transport, and holds the table of the documentation to what it has shown.
func TestConformance(t *testing.T) {
	t.Setenv(trust.EnvDevelopment, t.TempDir())
	results := make([][]conformance.Result, len(known))
	for i, transport := range known {
		t.Run(transport.name, func(t *testing.T) {
			if transport.begin != nil {
				transport.begin(t)
			}
			results[i] = conformance.Run(t, transport.Transport)
		})
	}
	if t.Failed() || !complete {
		return
	}
	rows := results[0]
	for _, r := range results {
		if len(r) == 0 || len(r) != len(rows) {
			return // only a part of the suite was run
		}
	}
	check(t, table(results))
}

// table is the results, in Markdown. What a transport cannot do is told below it.
func table(results [][]conformance.Result) string {
	var b, notes strings.Builder
	b.WriteString("| case |")
	for _, k := range known {
		b.WriteString(" " + k.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(known)) + "\n")
	numbers := map[string]int{}
	for row := range results[0] {
		b.WriteString("| " + results[0][row].Case + " |")
		for _, r := range results {
			instead := r[row].Instead
			if instead == "" {
				b.WriteString(" yes |")
				continue
			}
			if numbers[instead] == 0 {
				numbers[instead] = len(numbers) + 1
				fmt.Fprintf(&notes, "\n%d. %s\n", numbers[instead], instead)
			}
			fmt.Fprintf(&b, " (%d) |", numbers[instead])
		}
		b.WriteString("\n")
	}
	return b.String() + notes.String()
}

// check compares the table with the page's, or writes it there.
func check(t *testing.T, table string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- begin: support (go test ./transports/conformance -update) -->\n", "<!-- end: support -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	want := before + begin + "\n" + table + "\n" + end + after
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not say what the suite has shown: run go test ./transports/conformance -update", page)
	}
}
