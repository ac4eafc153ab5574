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
	"testing"
	"text/template"
	"time"

	"github.com/stella-ops/router/generator"
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
	check := func(b *testing.B, env []string) {
		b.Helper()
		cmd := exec.CommandContext(b.Context(), bin, "check", "./...")
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			b.Fatalf("stellagen check: %v\n%s", err, out)
		}
	}
	b.Run("cache=warm", func(b *testing.B) {
		check(b, environment())
		for b.Loop() {
			check(b, environment())
		}
		reportMilliseconds(b)
	})
	b.Run("cache=empty", func(b *testing.B) {
		caches := b.TempDir()
		for i := 0; b.Loop(); i++ {
			check(b, append(environment(), "GOCACHE="+filepath.Join(caches, strconv.Itoa(i))))
		}
		reportMilliseconds(b)
	})
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
