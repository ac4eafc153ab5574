package migrate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestFit holds which keys an endpoint gets of those that all are to have.
func TestFit(t *testing.T) {
	for name, c := range map[string]struct {
		method, keys, want string
		left               []string
	}{
		"a body that may be streamed":      {"POST", `stream=both body=64MiB idle=5m`, `stream=both body=64MiB idle=5m`, nil},
		"no body of GET":                   {"GET", `stream=both body=64MiB idle=5m`, `stream=response idle=5m`, []string{"stream=both", "body=64MiB"}},
		"no body of DELETE":                {"DELETE", `body=64MiB stream=request idle=5m`, ``, []string{"body=64MiB", "stream=request", "idle=5m"}},
		"a WebSocket is opened by GET":     {"GET", `stream=upgrade status=200`, `stream=upgrade`, []string{"status=200"}},
		"a WebSocket is opened by no POST": {"POST", `stream=upgrade timeout=5s`, `timeout=5s`, []string{"stream=upgrade"}},
		"HEAD streams nothing":             {"HEAD", `stream=both idle=1s`, ``, []string{"stream=both", "idle=1s"}},
		"nothing is streamed":              {"POST", `stream=none idle=1s`, `stream=none`, []string{"idle=1s"}},
		"reads are idempotent":             {"GET", `idempotent`, ``, []string{"idempotent"}},
		"others say it":                    {"PUT", `idempotent tags="a b",tags sunset=2027-01-31`, `idempotent tags="a b",tags sunset=2027-01-31`, nil},
		"a flag's name as a value":         {"PUT", `tags=tags`, `tags=tags`, nil},
		"jobs":                             {"PUT", `delivery=queue attempts=3 idempotent`, `delivery=queue attempts=3 idempotent`, nil},
		"who asks makes no jobs":           {"OPTIONS", `delivery=queue attempts=3 idempotent`, `idempotent`, []string{"delivery=queue", "attempts=3"}},
		"what a net/http handler does":     {"POST", `unknown=ignore errors=NotFound:404`, ``, []string{"unknown=ignore", "errors=NotFound:404"}},
	} {
		t.Run(name, func(t *testing.T) {
			keys, why := parseKeys(c.keys)
			if why != "" || keys.String() != c.keys {
				t.Fatalf("%s is read as %s: %s", c.keys, keys, why)
			}
			fits, left := fit(c.method, keys)
			var names []string
			for _, u := range left {
				names = append(names, u.key)
			}
			if diff := cmp.Diff(c.want, fits.String()) + cmp.Diff(c.left, names, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if again, left := fit(c.method, fits); again.String() != fits.String() || len(left) > 0 {
				t.Errorf("of keys that fit, %v does not", left)
			}
		})
	}
}
