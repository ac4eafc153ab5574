package generator_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"golang.org/x/tools/go/packages"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/lint"
)

// The module that benchmarks read: ten services of five packages each, with twenty handlers in each package.
const (
	benchServices = 10
	benchPackages = 5
	benchHandlers = 20
)

// BenchmarkCheck measures "stellagen check ./..." as a build pipeline runs it: the whole process, on a module whose
// generated files are right. That the build cache is empty must not matter.
func BenchmarkCheck(b *testing.B) {
	dir, bin := benchModule(b), filepath.Join(b.TempDir(), "stellagen")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", bin, "./cmd/stellagen").CombinedOutput(); err != nil {
		b.Fatalf("building stellagen: %v\n%s", err, out)
	}
	var memory int64 // of the largest process, in KiB
	check := func(b *testing.B, env []string) {
		b.Helper()
		cmd := exec.CommandContext(b.Context(), bin, "check", "./...")
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			b.Fatalf("stellagen check: %v\n%s", err, out)
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			memory = max(memory, usage.Maxrss)
		}
	}
	b.Run("cache=warm", func(b *testing.B) {
		check(b, environment())
		for b.Loop() {
			check(b, environment())
		}
		reportMilliseconds(b)
		b.ReportMetric(float64(memory)/1024, "MiB-rss")
	})
	b.Run("cache=empty", func(b *testing.B) {
		caches := b.TempDir()
		for i := 0; b.Loop(); i++ {
			check(b, append(environment(), "GOCACHE="+filepath.Join(caches, strconv.Itoa(i))))
		}
		reportMilliseconds(b)
	})
}

// BenchmarkBeside measures what others do with the module that BenchmarkCheck reads: the loader that most generators use,
// with types, and the compiler. Neither finds anything changed. What a check takes but for reading
// is rendering, which is jennifer's but for a little.
func BenchmarkBeside(b *testing.B) {
	dir := benchModule(b)
	if err := requireThisModule(dir); err != nil {
		b.Fatal(err)
	}
	b.Run("packages.Load", func(b *testing.B) {
		load := func() {
			pkgs, err := packages.Load(&packages.Config{Dir: dir, Env: compiling(), Mode: packages.LoadSyntax}, "./...")
			if err != nil || packages.PrintErrors(pkgs) > 0 {
				b.Fatal(err)
			}
		}
		load() // compiles the module
		for b.Loop() {
			load()
		}
		reportMilliseconds(b)
	})
	for name, args := range map[string][]string{"go=build": {"build", "./..."}, "go=list": {"list", "-e", "-find", "-json=Dir,ImportPath,GoFiles", "./..."}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), "go", args...)
				cmd.Dir, cmd.Env = dir, compiling()
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("go %s: %v\n%s", args, err, out)
				}
			}
			reportMilliseconds(b)
		})
	}
	b.Run("reading", func(b *testing.B) {
		for b.Loop() {
			_, findings, err := generator.Read(b.Context(), generator.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}})
			if err != nil || len(findings.List) > 0 {
				b.Fatal(err, findings.List)
			}
		}
		reportMilliseconds(b)
	})
}

// BenchmarkLint measures all rules on the module that BenchmarkCheck reads. What reading it takes is in BenchmarkBeside.
func BenchmarkLint(b *testing.B) {
	dir := benchModule(b)
	rules, err := lint.Select([]string{"STRICT"}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		found, err := lint.Run(b.Context(), lint.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}, Rules: rules, Today: time.Now()})
		if err != nil || found.Input || len(found.List) == 0 {
			b.Fatal(err, found.List)
		}
	}
	reportMilliseconds(b)
}

// BenchmarkFiles measures a check of one package of 500 files, each with a handler.
func BenchmarkFiles(b *testing.B) {
	dir, err := filepath.EvalSymlinks(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	files := map[string]string{
		"go.mod": "module example.com/wide\n\ngo 1.26\n", "wide.go": "// Package wide is wide.\n//\n//stella:service wide version=1.0.0\npackage wide\n",
	}
	for i := range 500 {
		files[fmt.Sprintf("f%d.go", i)] = strings.NewReplacer("#", strconv.Itoa(i), "'", "`").Replace(benchFile)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	config := generator.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}
	if findings, err := generator.Run(b.Context(), config, &generator.Disk{}); err != nil || len(findings.List) > 0 {
		b.Fatal(err, findings.List)
	}
	for b.Loop() {
		var target generator.Check
		findings, err := generator.Run(b.Context(), config, &target)
		if err != nil || len(findings.List) > 0 || len(target.Stale) > 0 {
			b.Fatal(err, findings.List, target.Stale)
		}
	}
	reportMilliseconds(b)
}

const benchFile = `package wide

import "context"

// In# is what Get# takes.
type In# struct {
	ID    string 'path:"id"'
	Limit int    'query:"limit"'
}

// Out# is what it gives.
type Out# struct {
	Name string 'json:"name"'
}

// Get# gets.
//
//stella:endpoint GET /things#/{id}
//stella:public "a benchmark"
func Get#(_ context.Context, in *In#) (*Out#, error) { return &Out#{Name: in.ID}, nil }
`

// BenchmarkCompile measures what generated code adds to compiling a module: the processors' time for an endpoint.
func BenchmarkCompile(b *testing.B) {
	dir := benchModule(b)
	if err := requireThisModule(dir); err != nil {
		b.Fatal(err)
	}
	build := func(keep bool) time.Duration {
		cache := b.TempDir()
		env := append(compiling(), "GOCACHE="+cache)
		run := func(args ...string) *os.ProcessState {
			cmd := exec.CommandContext(b.Context(), "go", args...)
			cmd.Dir, cmd.Env = dir, env
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("go %s: %v\n%s", args, err, out)
			}
			return cmd.ProcessState
		}
		run("build", "github.com/stella-ops/router/runtime", "github.com/stella-ops/router/runtime/httpbridge")
		if !keep {
			generated, err := filepath.Glob(filepath.Join(dir, "*", "*", "stella_gen.go"))
			if err != nil || len(generated) != benchServices*benchPackages {
				b.Fatal(err, generated)
			}
			for _, name := range generated {
				if err := os.Rename(name, name+".away"); err != nil {
					b.Fatal(err)
				}
				defer func() { _ = os.Rename(name+".away", name) }()
			}
		}
		state := run("build", "./...")
		return state.UserTime() + state.SystemTime()
	}
	var more time.Duration
	n := 0
	for b.Loop() {
		more += build(true) - build(false)
		n += benchServices * benchPackages * benchHandlers
	}
	b.ReportMetric(float64(more)/float64(time.Millisecond)/float64(n), "cpu-ms/endpoint")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEdit measures what stellagen dev does when a handler has been edited, but for noticing and for the compiler:
// the service of the edited package is generated again, by a process that knows the module.
func BenchmarkEdit(b *testing.B) {
	dir := benchModule(b)
	edited := filepath.Join(dir, "s0", "s0p0", "handlers.go")
	text, err := os.ReadFile(edited)
	if err != nil {
		b.Fatal(err)
	}
	cache := generator.NewCache()
	round := func(i int) {
		other := fmt.Appendf(nil, "// PutItem7 is edition %d. ", i)
		if err := os.WriteFile(edited, bytes.Replace(text, []byte("// PutItem7 "), other, 1), 0o600); err != nil {
			b.Fatal(err)
		}
		cache.Changed(edited)
		var disk generator.Disk
		findings, err := generator.Run(b.Context(), generator.Config{
			Dir: dir, Env: environment(), Patterns: []string{"./s0/s0p0"}, Cache: cache,
		}, &disk)
		if err != nil || len(findings.List) > 0 || len(disk.Written) == 0 {
			b.Fatal(err, findings.List, disk.Written)
		}
	}
	round(0)
	for i := 1; b.Loop(); i++ {
		round(i)
	}
	reportMilliseconds(b)
}

// BenchmarkRun is the same without the process, for profiles.
func BenchmarkRun(b *testing.B) {
	dir := benchModule(b)
	for b.Loop() {
		var target generator.Check
		findings, err := generator.Run(b.Context(), generator.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}, &target)
		if err != nil || len(findings.List) > 0 || len(target.Stale) > 0 {
			b.Fatal(err, findings.List, target.Stale)
		}
	}
	reportMilliseconds(b)
}

func reportMilliseconds(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed())/float64(time.Millisecond)/float64(b.N), "ms/op")
	b.ReportMetric(0, "ns/op") // the same in another unit
}

// benchModule makes the module and generates for it.
func benchModule(b *testing.B) string {
	b.Helper()
	dir, err := filepath.EvalSymlinks(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	write := func(name string, content []byte) {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(full, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	write("go.mod", []byte("module example.com/big\n\ngo 1.26\n"))
	write("money/money.go", []byte(benchMoney))
	handlers := make([]int, benchHandlers)
	for i := range handlers {
		handlers[i] = i
	}
	for s := range benchServices {
		for p := range benchPackages {
			data := struct {
				Package, Directive string
				Handlers           []int
			}{fmt.Sprintf("s%dp%d", s, p), fmt.Sprintf("part of=s%d", s), handlers}
			if p == 0 {
				data.Directive = fmt.Sprintf("service s%d version=1.0.0", s)
			}
			var src bytes.Buffer
			if err := benchPackage.Execute(&src, data); err != nil {
				b.Fatal(err)
			}
			write(filepath.Join(fmt.Sprintf("s%d", s), data.Package, "handlers.go"), src.Bytes())
		}
	}
	var disk generator.Disk
	findings, err := generator.Run(context.Background(), generator.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}, &disk)
	if err != nil || len(findings.List) > 0 || len(disk.Written) != benchServices*(benchPackages+1) {
		b.Fatal(err, findings.List, disk.Written)
	}
	return dir
}

const benchMoney = `// Package money has amounts.
package money

// Amount is some money.
type Amount struct {
	Cents    int64
	Currency string
}
`

var benchPackage = template.Must(template.New("package").Parse(strings.ReplaceAll(`// Package {{.Package}} is there to be read.
//
//stella:{{.Directive}}
package {{.Package}}

import (
	"context"
	"time"

	"example.com/big/money"
)

// Service serves.
type Service struct{ items map[string]*Item0 }
{{$package := .Package}}{{range .Handlers}}
// NewItem{{.}} is what a caller orders.
type NewItem{{.}} struct {
	ID string 'path:"id"'
	Customer string 'json:"customer" required:"true"' // who pays
	Due *time.Time 'json:"due,omitempty"'
	Lines []Line{{.}} 'json:"lines" required:"true"'
	Labels map[string]string 'json:"labels,omitempty"'
	DryRun bool 'query:"dryRun"'
}

// Line{{.}} is one thing to pay for.
type Line{{.}} struct {
	Text string 'json:"text"'
	Quantity int 'json:"quantity"'
	Price money.Amount 'json:"price"'
}

// Item{{.}} is what is stored.
type Item{{.}} struct {
	ID string 'json:"id"'
	Customer string 'json:"customer"'
	Made time.Time 'json:"made"'
	Lines []Line{{.}} 'json:"lines"'
	Total money.Amount 'json:"total"'
}

// PutItem{{.}} stores a new item.
//
//stella:endpoint PUT /{{$package}}/items{{.}}/{id} timeout=5s idempotent
//stella:claim scope {{$package}}:write
func (s *Service) PutItem{{.}}(ctx context.Context, in *NewItem{{.}}) (*Item{{.}}, error) {
	item := &Item{{.}}{ID: in.ID, Customer: in.Customer, Made: time.Now(), Lines: in.Lines}
	for _, line := range in.Lines {
		item.Total.Cents += int64(line.Quantity) * line.Price.Cents
		item.Total.Currency = line.Price.Currency
	}
	if in.DryRun {
		return item, ctx.Err()
	}
	return item, nil
}
{{end}}`, "'", "`")))
