package override_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/override"
)

// FuzzParse holds the reader of stella.yaml to its word: it never panics, every finding stands within the file, and a
// claim without findings is the same when it is written and read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"service: billing\ndefaults: {timeout: 10s, claims: [scope a]}\nendpoints:\n  POST /a:\n    claims:\n      - scope billing:write\n      - 'a \"b c\"'\n",
		"endpoints:\n  GET /a/{b}: {timeout: 5, body: 1KiB, tags: [a, \"b,c\"], slo: 99.5, sunset: 2027-01-31}\n  GET /a/{c}: {attempts: 3}\n",
		"defaults:\n  claims: |\n    a\n  idempotent: true\n  stream: both\n", "- a\n",
		"defaults: {claims: ['\"a=b\" c=d', 'a \"//\"']}\n", "a: [*b]\n", "endpoints: {? [x] : y}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var list diagnostic.List
		file := override.Parse("stella.yaml", "billing", src, &list)
		lines := strings.Count(string(src), "\n") + 1
		for _, finding := range list.Sorted() {
			if p := finding.Pos; p.Line < 1 || p.Line > lines || p.Column < 1 || p.Offset < 0 || p.Offset > len(src)+1 {
				t.Fatalf("%v is not within %d bytes", finding, len(src))
			}
		}
		if file.IsBroken() != (list.Len() > 0) {
			t.Fatalf("broken is %v with %d findings", file.IsBroken(), list.Len())
		}
		if file.IsBroken() {
			return
		}
		for _, set := range append([]override.Set{file.Defaults}, sets(file)...) {
			for _, c := range set.Claims {
				again := fmt.Sprintf("defaults: {claims: [%q]}\n", c.Text())
				var none diagnostic.List
				parsed := override.Parse("stella.yaml", "billing", []byte(again), &none)
				if none.Len() > 0 || len(parsed.Defaults.Claims) != 1 || parsed.Defaults.Claims[0].ClaimRequirement != c.ClaimRequirement {
					t.Fatalf("claim %+v, written as %s, is %+v: %v", c.ClaimRequirement, again, parsed.Defaults.Claims, none.Sorted())
				}
			}
		}
		for _, e := range file.Entries {
			if !slices.Contains(file.Entries, file.Entry(e.Method, e.Path)) {
				t.Fatalf("entry %s %s is not found", e.Method, e.Path)
			}
		}
	})
}

func sets(f *override.File) []override.Set {
	var list []override.Set
	for _, e := range f.Entries {
		list = append(list, e.Set)
	}
	return list
}
