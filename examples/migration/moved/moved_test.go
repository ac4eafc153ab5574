// Package moved moves a copy of the shop as it was, by the commands of this module's README, and asks it what shoptest asks at every
// other step: what migrate writes serves as it is, and nobody has to finish it by hand.
package moved

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience bounds a test, which compiles a gateway.
const patience = 4 * time.Minute

const (
	was = "github.com/stella-ops/router/examples/migration/before"
	is  = "example.com/shop"
)

// service is what somebody writes by hand: the middleware that --drop lets handlers do without runs around all endpoints.
const service = `package shop

import (
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
)

// Service is the shop behind a gateway.
func (s *Shop) Service(more ...stella.Part) *stella.Service {
	return stella.New(Manifest, append(more,
		Endpoints(Handlers{Shop: s, RouterBridge: &RouterBridge{Router: s.Router()}}),
		stella.WithInterceptor(httpbridge.Middleware(server)),
	)...)
}
`

// throughGateway is the test of a shop that has moved.
const throughGateway = `package shop_test

import (
	"testing"

	"example.com/shop"
	"github.com/stella-ops/router/examples/migration/shoptest"
	stella "github.com/stella-ops/router/runtime"
)

func TestThroughGateway(t *testing.T) {
	shoptest.Run(t, shoptest.ThroughGateway(t, func(gateways stella.Part) *stella.Service {
		return SERVICE
	}))
}
`

const bridged = `stella.New(shop.Manifest, shop.Endpoints(shop.Handlers{
			RouterBridge: &shop.RouterBridge{Router: shop.New(shoptest.Shelf(), shoptest.Key).Router()},
		}), gateways)`

func TestBridge(t *testing.T) {
	m := move(t)
	m.documented("--bridge")
	m.holds("stella_bridge.go", "GET /books/added stream=response\n", "POST /books stream=both\n", "DELETE /books/{isbn} stream=response\n",
		"PUT /books/{isbn}/cover stream=both body=8MiB\n")
	m.write("gateway_test.go", strings.Replace(throughGateway, "SERVICE", bridged, 1))
	m.passes()
}

func TestWrite(t *testing.T) {
	m := move(t)
	m.documented("--write")
	m.holds("shop.go", "GET /books stream=response\n", "GET /books/added stream=response\n", "GET /books/{isbn} stream=response\n")
	m.holds("stella_bridge.go", "POST /books stream=both\n", "DELETE /books/{isbn} stream=response\n", "PUT /books/{isbn}/cover stream=both body=8MiB\n")
	m.write("service.go", service)
	m.write("gateway_test.go", strings.Replace(throughGateway, "SERVICE", "shop.New(shoptest.Shelf(), shoptest.Key).Service(gateways)", 1))
	m.passes()
}

// module is a copy of the shop as it was, a module of its own.
type module struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // of the test that it is of
	dir  string
	path string // of commands
}

func move(t *testing.T) *module {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(filepath.Dir(here))
	m := &module{t: t, ctx: ctx, dir: t.TempDir(), path: t.TempDir()}
	err = filepath.WalkDir(filepath.Join(here, "before"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.Join(here, "before"), name)
		if err == nil {
			m.write(rel, strings.ReplaceAll(string(text), was, is))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mod, sum := read(t, filepath.Join(here, "go.mod")), read(t, filepath.Join(here, "go.sum"))
	const example = "github.com/stella-ops/router/examples/migration"
	mod = strings.NewReplacer("module "+example+"\n", "module "+is+"\n\nrequire "+example+" v0.0.0-00010101000000-000000000000\n",
		"=> ../..", "=> "+root+"\n\nreplace "+example+" => "+here).Replace(mod)
	m.write("go.mod", mod)
	m.write("go.sum", sum)
	bin := filepath.Join(m.path, "stellagen")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./generator/cmd/stellagen")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building stellagen: %v\n%s", err, out)
	}
	return m
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m *module) write(name, text string) {
	m.t.Helper()
	full := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// blocks are the commands of a document.
var blocks = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// documented runs the commands of the README that move a shop by a flag.
func (m *module) documented(flag string) {
	m.t.Helper()
	for _, b := range blocks.FindAllStringSubmatch(read(m.t, "../README.md"), -1) {
		if strings.HasPrefix(b[1], "stellagen migrate "+flag+" ") {
			m.run("sh", "-ec", b[1])
			return
		}
	}
	m.t.Fatalf("the README has no commands that begin with stellagen migrate %s", flag)
}

func (m *module) run(name string, args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.ctx, name, args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "PATH="+m.path+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"GOFLAGS=-mod=mod -trimpath", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// holds expects directives in a file.
func (m *module) holds(name string, endpoints ...string) {
	m.t.Helper()
	text := read(m.t, filepath.Join(m.dir, name))
	for _, e := range endpoints {
		if !strings.Contains(text, "//stella:endpoint "+e) {
			m.t.Errorf("%s has no endpoint %s\n%s", name, e, text)
		}
	}
}

// passes runs the shop's own test, by plain HTTP as it was, and the same through a gateway.
func (m *module) passes() {
	m.t.Helper()
	m.run("sh", "-ec", "stellagen check ./...")
	out := m.run("go", "test", "-count=1", "-v", "./...")
	for _, test := range []string{"TestShop", "TestThroughGateway"} {
		if !strings.Contains(out, "--- PASS: "+test+" ") {
			m.t.Errorf("%s did not pass:\n%s", test, out)
		}
	}
}
