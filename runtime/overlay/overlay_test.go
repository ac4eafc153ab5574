package overlay_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stella-ops/router/runtime/overlay"
	"github.com/stella-ops/router/spec"
)

func manifest(tb testing.TB) *spec.Manifest {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "billing", "stella.manifest.json"))
	if err != nil {
		tb.Fatal(err)
	}
	m, err := spec.ParseManifest(text)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

const whole = `# production
service: billing
endpoints:
  POST /invoices:
    timeout: 2s
    body: 64KiB
    claims:
      - scope billing:write
      - role clerk
  GET /invoices/{number}/events:
    idle: 30s
  GET /invoices/{id}: {}
`

func TestParse(t *testing.T) {
	got, err := overlay.Parse("/etc/billing/production.yaml", []byte(whole), manifest(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []spec.OverlayEndpoint{{
		Endpoint: "POST /invoices", TimeoutMS: 2000, MaxBodyBytes: 64 << 10,
		Claims:  []spec.ClaimRequirement{{Type: "scope", Value: "billing:write"}, {Type: "role", Value: "clerk"}},
		Origins: map[string]string{"timeout": "production.yaml:5:14", "body": "production.yaml:6:11", "claims": "production.yaml:8:7"},
	}, {
		Endpoint: "GET /invoices/{number}/events", IdleMS: 30_000, Origins: map[string]string{"idle": "production.yaml:11:11"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"- a\n", "o.yaml:1:1: the file is a list, expected keys and their values"},
		{"service: shop\n", `o.yaml:1:10: service is "shop", this is service billing`},
		{"endpoint: {}\n", `o.yaml:1:1: unknown key "endpoint": did you mean endpoints? (there are service, endpoints)`},
		{"endpoints:\n  /invoices: {}\n", `o.yaml:2:3: "/invoices" names no endpoint: expected a method, a space and a path`},
		{"endpoints:\n  POST /invoice: {}\n", "o.yaml:2:3: billing 1.4.0 offers no POST /invoice: did you mean POST /invoices?"},
		{"endpoints:\n  GET /invoices/{a}: {}\n  GET /invoices/{b}: {}\n", "o.yaml:3:3: GET /invoices/{b} is there twice: the first is on line 2"},
		{"endpoints:\n  POST /invoices:\n    timeot: 1s\n", `o.yaml:3:5: unknown key "timeot": did you mean timeout? (there are timeout, idle, body, claims)`},
		{"endpoints:\n  POST /invoices: 5s\n", "o.yaml:2:19: POST /invoices is text, expected keys and their values"},
		{"endpoints:\n  POST /invoices: {timeout: 1}\n", `o.yaml:2:29: timeout "1", expected a time of 1ms to 24h`},
		{"endpoints:\n  POST /invoices: {idle: 25h}\n", `o.yaml:2:26: idle "25h", expected a time of 1ms to 24h`},
		{"endpoints:\n  POST /invoices: {timeout: 1.5ms}\n", "in whole milliseconds"},
		{"endpoints:\n  POST /invoices: {body: 10}\n", `o.yaml:2:26: body: size "10", expected a whole number`},
		{"endpoints:\n  POST /invoices: {body: 2000GiB}\n", "o.yaml:2:26: body: maxBodyBytes"},
		{"endpoints:\n  POST /invoices: {claims: []}\n", "claims is empty, expected a list of at least one claim"},
		{"endpoints:\n  POST /invoices: {claims: scope}\n", "claims is text, expected a list"},
		{"endpoints:\n  POST /invoices:\n    claims:\n    - scope  two\n", "o.yaml:4:7: claim"},
		{"endpoints:\n  POST /invoices: {timeout: []}\n", "timeout is a list, expected text"},
		{"endpoints: {}\nendpoints: {}\n", "o.yaml:2:1: "},
		{"a: [\n", "o.yaml:"},
	} {
		_, err := overlay.Parse("o.yaml", []byte(c.text), manifest(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, expected %s", c.text, err, c.want)
		}
	}
	_, err := overlay.Parse("o.yaml", []byte("service: shop\nendpoints:\n  POST /invoices: {timeout: x, body: y}\n"), manifest(t))
	if n := strings.Count(err.Error(), "o.yaml:"); n != 3 {
		t.Errorf("%d faults at once, expected 3: %v", n, err)
	}
}

// FuzzParse holds the reader to its word: it never panics, and what it takes is an overlay that HELLO may carry.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{whole, "endpoints: {POST /invoices: {timeout: 5s, claims: [a b]}}\n", "a: *b\n", "- \x00", "endpoints:\n  ? [x]\n  : y\n"} {
		f.Add([]byte(seed))
	}
	m := manifest(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := overlay.Parse("overlay.yaml", text, m)
		if err != nil || len(got) == 0 {
			return
		}
		h := spec.Hello{
			Instance: spec.Instance{Service: m.Service, Version: m.Version, ID: "a"}, Nonce: "0123456789abcdef", ManifestDigest: spec.Digest(nil),
			Lease: 1, StreamWindow: 1, SessionWindow: 1, Features: []spec.Feature{{Name: spec.FeatureOverlay, Critical: true}}, Overlay: got,
		}
		if err := h.Check(spec.FeatureOverlay); err != nil {
			t.Fatal(err)
		}
		if err := spec.CheckOverlay(got, m); err != nil {
			t.Fatal(err)
		}
	})
}

// TestExample holds the example of docs/overlays.md to be the file of examples/deploy, which billing takes.
func TestExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "deploy", "billing.overlay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "overlays.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```yaml\n"+string(text)+"```\n") {
		t.Error("docs/overlays.md does not show examples/deploy/billing.overlay.yaml as it is")
	}
	if got, err := overlay.Parse("billing.overlay.yaml", text, manifest(t)); err != nil || len(got) != 2 {
		t.Errorf("got %d endpoints, %v", len(got), err)
	}
}
