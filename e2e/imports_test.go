package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stella-ops/router"

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string   `json:"importPath"`
	Standard   bool     `json:"standard"`
	Imports    []string `json:"imports"`
	Deps       []string `json:"deps"`
}

// TestImportRules holds the packages to who may import whom. It sees what is linked, not only what a file
// imports.
func TestImportRules(t *testing.T) {
	packages := list(t)
	rules := []struct {
		name   string
		of     string                 // the packages that the rule binds: this one and all below it
		not    []string               // what none of them may link, itself or through others
		only   func(dep listed) bool  // nil, or all that they may link
		except func(path string) bool // nil, or packages below that the rule leaves out
	}{
		{
			name: "spec links only the standard library and semver",
			of:   "spec", except: func(path string) bool { return below(path, module+"/spec/openapi") },
			only: func(dep listed) bool {
				return dep.Standard || below(dep.ImportPath, module+"/spec") || below(dep.ImportPath, "github.com/Masterminds/semver/v3")
			},
		},
		{
			name: "transports build on spec alone",
			of:   "transports", not: parts("runtime", "gateway", "generator", "examples", "e2e"),
		},
		{
			name: "the runtime never links the gateway or the generator",
			of:   "runtime", not: parts("gateway", "generator", "examples", "e2e"),
		},
		{
			name: "the gateway never links the runtime or the generator",
			of:   "gateway", not: parts("runtime", "generator", "examples", "e2e"),
		},
		{
			name: "the generator emits code for the runtime, and does not link it",
			of:   "generator", not: parts("runtime", "gateway", "transports", "examples", "e2e"),
		},
		{
			name: "the YAML loader knows nothing of those whose files it reads, and links its parser alone",
			of:   "internal/strictyaml",
			only: func(dep listed) bool {
				return dep.Standard || below(dep.ImportPath, module+"/internal/strictyaml") || below(dep.ImportPath, "go.yaml.in/yaml/v4")
			},
		},
		{
			name: "no service links a YAML parser, unless its author has chosen overlays",
			of:   "runtime", not: append(parts("internal"), "go.yaml.in"), except: func(path string) bool { return below(path, module+"/runtime/overlay") },
		},
		{
			name: "no service links a library for WebSocket that its author has not chosen",
			of:   "runtime", not: []string{"github.com/coder/websocket"},
		},
		{
			name: "the gateway speaks no WebSocket",
			of:   "gateway", not: []string{"github.com/coder/websocket"},
		},
		{
			name: "the fault proxy moves bytes, and knows nothing of frames",
			of:   "transports/faultproxy",
			only: func(dep listed) bool { return dep.Standard || below(dep.ImportPath, module+"/transports/faultproxy") },
		},
		{
			name: "no service links the fault proxy",
			of:   "runtime", not: parts("transports/faultproxy"),
		},
		{
			name: "no gateway links the fault proxy",
			of:   "gateway", not: parts("transports/faultproxy"),
		},
		{
			name: "the quic transport links no broker",
			of:   "transports/quic", not: without(heavy, "github.com/quic-go"),
		},
		{
			name: "the rabbitmq transport links no QUIC and no other broker",
			of:   "transports/rabbitmq", not: without(heavy, "github.com/rabbitmq"),
		},
		{
			name: "the valkey transport links no QUIC and no other broker",
			of:   "transports/valkey", not: without(heavy, "github.com/valkey-io"),
		},
		{
			name: "transports without a client library link none, tls",
			of:   "transports/tls", not: heavy,
		},
		{
			name: "transports without a client library link none, udp",
			of:   "transports/udp", not: heavy,
		},
		{
			name: "a service over tcp, tls and udp links no broker, no QUIC and, unless it imports runtime/otel, no telemetry",
			of:   "runtime", not: heavy, except: func(path string) bool { return below(path, module+"/runtime/otel") },
		},
		{
			name: "the tcp transport links no broker, no QUIC and no telemetry",
			of:   "transports/tcp", not: heavy,
		},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			bound := 0
			for path, p := range packages {
				if !below(path, module+"/"+r.of) || r.except != nil && r.except(path) {
					continue
				}
				bound++
				for _, dep := range p.Deps {
					forbidden := slices.ContainsFunc(r.not, func(prefix string) bool { return below(dep, prefix) })
					if forbidden || r.only != nil && !r.only(packages[dep]) {
						t.Errorf("%s links %s, by way of %s", path, dep, strings.Join(way(packages, path, dep), " -> "))
					}
				}
			}
			if bound == 0 {
				t.Errorf("there is no package %s/%s: the rule proves nothing", module, r.of)
			}
		})
	}
}

// heavy is what users of the runtime must not inherit.
var heavy = []string{
	"github.com/rabbitmq", "github.com/quic-go", "github.com/valkey-io", "github.com/redis", "go.opentelemetry.io",
	"github.com/prometheus", "google.golang.org/grpc",
}

// without is a list with one entry less.
func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
}

func parts(names ...string) []string {
	for i := range names {
		names[i] = module + "/" + names[i]
	}
	return names
}

// below reports whether path is the package prefix or one below it.
func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// list asks go list for all packages of the module and everything that they link, without their tests.
func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages[p.ImportPath] = p
	}
}

// way is how from comes to link to, for the error message: the shortest chain of imports.
func way(packages map[string]listed, from, to string) []string {
	previous := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range packages[queue[0]].Imports {
			if _, seen := previous[next]; seen {
				continue
			}
			previous[next] = queue[0]
			if next == to {
				var chain []string
				for p := to; p != ""; p = previous[p] {
					chain = append(chain, p)
				}
				slices.Reverse(chain)
				return chain
			}
			queue = append(queue, next)
		}
	}
	return []string{from, to}
}
