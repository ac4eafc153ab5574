package strictyaml_test

import (
	"bytes"
	"testing"

	"github.com/stella-ops/router/internal/strictyaml"
)

// FuzzParse holds the loader to its word: it never panics, every place is within the file, and a document without
// faults is the same when it is read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"service: billing\ndefaults:\n  timeout: 10s\nendpoints:\n  \"POST /invoices\":\n    claims:\n      - scope a:b\n",
		"a: &x 1\nb: *x\n<<: *x\n", "a: \"x\ny\"\n", "a: |\n  b\n  c\n", "? [a]\n: {b: 'c''d', e: \"\\\"\"}\n", "\r\n\"\u00fc\": x\r", "%YAML 1.2\n---\na: !!b c\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		n, faults := strictyaml.Parse(src)
		if n == nil && len(faults) == 0 {
			t.Fatal("neither a document nor a fault")
		}
		for _, fault := range faults {
			inside(t, src, fault.Place)
		}
		if len(faults) > 0 {
			return
		}
		nodes(t, src, n)
	})
}

func inside(t *testing.T, src []byte, p strictyaml.Place) {
	t.Helper()
	if p.Offset < 0 || p.Width < 0 || p.Offset+p.Width > len(src) || p.Line < 1 || p.Column < 1 || p.Line > bytes.Count(src, []byte{'\n'})+1 {
		t.Fatalf("%+v is not within %d bytes", p, len(src))
	}
	if bytes.IndexByte(src[p.Offset:p.Offset+p.Width], '\n') >= 0 {
		t.Fatalf("%+v goes over the end of its line", p)
	}
}

func nodes(t *testing.T, src []byte, n *strictyaml.Node) {
	t.Helper()
	inside(t, src, n.Place)
	for _, it := range n.Items {
		nodes(t, src, it)
	}
	for _, m := range n.Members {
		nodes(t, src, m.Key)
		nodes(t, src, m.Value)
	}
}
