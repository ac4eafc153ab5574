package e2e

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// linked are the transports that a service gets by importing them, beside those of every service.
var linked = []string{"", "transports/quic", "transports/rabbitmq", "transports/valkey"} //nolint:gochecknoglobals // a constant

// BenchmarkServiceSize builds the smallest service that there is with one transport more each, and reports its size and the
// modules that it links.
func BenchmarkServiceSize(b *testing.B) {
	for _, transport := range linked {
		b.Run(cmp.Or(strings.TrimPrefix(transport, "transports/"), "tcp, tls, udp"), func(b *testing.B) {
			for b.Loop() {
				file := buildService(b, transport)
				info, err := os.Stat(file)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(info.Size()), "bytes")
				modules := modulesOf(b, file)
				b.ReportMetric(float64(len(modules)), "modules")
				b.Logf("%s: %d bytes; modules: %s", transport, info.Size(), strings.Join(modules, ", "))
			}
		})
	}
}

// buildService builds a service as `make build` would, and returns the binary.
func buildService(tb testing.TB, transport string) string {
	tb.Helper()
	dir := tb.TempDir()
	text := "package main\n\nimport (\n\t\"context\"\n\n\tstella \"" + module + "/runtime\"\n"
	if transport != "" {
		text += fmt.Sprintf("\t_ %q\n", module+"/"+transport)
	}
	text += ")\n\nfunc main() { _ = stella.New(stella.Manifest{}).Run(context.Background()) }\n"
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "service")
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	return binary
}

// modulesOf are the modules that a binary links.
func modulesOf(tb testing.TB, file string) []string {
	tb.Helper()
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, m := range info.Deps {
		names = append(names, m.Path)
	}
	slices.Sort(names)
	return names
}
