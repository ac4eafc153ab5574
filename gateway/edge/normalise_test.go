package edge

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzCanonical proves that a canonical path is canonical: it is its own canonical form, hides nothing, and means
// what the target meant to a plain reader.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b?c=d", "/a%2fb", "/%2e%2e/a", "/a//b", "/a%00", "/%e2%82%ac", "/a%zz", "/{x}|y", "/a/%2E", "/a%25%32%66", "/a/", "/a%20b/?c", "/a?b#c", `/a\b`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") {
			return
		}
		path, query, slash, fault := canonical(target)
		if fault != "" {
			return
		}
		again, none, more, fault := canonical(path)
		if again != path || none != "" || more || fault != "" {
			t.Fatalf("canonical(%q) = %q, and of that %q, %q, %q", target, path, again, none, fault)
		}
		if raw, _, _ := strings.Cut(target, "?"); strings.ContainsAny(query, "# ") || len(path) > 3*len(raw) {
			t.Fatalf("canonical(%q) = %q, %q", target, path, query)
		}
		plain, err := url.PathUnescape(path)
		if err != nil || strings.ContainsAny(plain, "\x00\\") || strings.Contains(plain+"/", "/../") || strings.Contains(plain+"/", "/./") {
			t.Fatalf("canonical(%q) = %q hides something: %q, %v", target, path, plain, err)
		}
		if plain[1:] != decode(path[1:]) {
			t.Fatalf("decode(%q) = %q, expected %q", path, decode(path), plain)
		}
		if path != "/" && strings.Contains(path+"/", "//") {
			t.Fatalf("canonical(%q) = %q has an empty segment", target, path)
		}
		raw, _, _ := strings.Cut(target, "?")
		if slash {
			raw = strings.TrimSuffix(raw, "/")
		}
		if meant, err := url.PathUnescape(raw); err != nil || meant != plain {
			t.Fatalf("canonical(%q) = %q means %q, the target meant %q, %v", target, path, plain, meant, err)
		}
	})
}

// TestProblems proves that codes are stable names: lower case, and each once.
func TestProblems(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Problems() {
		if k.Code != strings.ToLower(k.Code) || seen[k.Code] || k.Status < 400 || k.Status > 599 || k.Meaning == "" {
			t.Errorf("problem %+v", k)
		}
		seen[k.Code] = true
	}
}
