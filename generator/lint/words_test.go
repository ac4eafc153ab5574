package lint //nolint:testpackage // words are seen by rules alone

import (
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
)

func TestWords(t *testing.T) {
	for name, want := range map[string]string{
		"customerID": "customer id", "customer_id": "customer id", "HTTPServer": "http server", "credit-notes": "credit notes", "": "",
		"ÄpfelÖl": "äpfel öl", "a1B": "a1b", "X": "x", "--": "",
	} {
		if got := strings.Join(words(name), " "); got != want {
			t.Errorf("words(%q) = %q, want %q", name, got, want)
		}
	}
	if got := camel(words("Customer_ID-öl")); got != "customerIdÖl" {
		t.Errorf("camel: %s", got)
	}
}

func TestRelate(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want relation
	}{
		{"/a", "/b", apart}, {"/a", "/a/b", apart}, {"/a/{x}", "/a/b", around}, {"/a/b", "/a/{x}", within}, {"/{x}/b", "/a/{x}", crossed},
		{"/{r...}", "/a/b", around}, {"/a/{x}", "/a/{r...}", within}, {"/a/{r...}", "/{x}/b", crossed}, {"/", "/{r...}", apart},
		{"/a/{r...}", "/{r...}", within}, {"/a/b/{r...}", "/a/b", apart}, {"/a/{x}/c", "/a/b/d", apart},
	} {
		a, err := spec.ParsePattern(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := spec.ParsePattern(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := relate(a, b); got != c.want {
			t.Errorf("relate(%s, %s) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
