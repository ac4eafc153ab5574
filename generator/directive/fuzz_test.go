package directive_test

import (
	"strings"
	"testing"

	"github.com/stella-ops/router/generator/directive"
)

// FuzzFormat writes any line in the canonical form: writing that again changes nothing.
func FuzzFormat(f *testing.F) {
	for _, seed := range []string{
		`endpoint PUT /a/{id} status=201 timeout=5s body="1MiB" idempotent`, "endpoint GET /a tags=`a b`,c,\"d,e\"",
		`claim scope "a=b c"`, `public "why" // not`, `ignore STL0020 because of "this"`, `service billing version=1.4.0`, `part of="x`,
		`endpoint GET /a errors=NotFound:404,Gone:410 unknown=reject`, `with slo=99.90 sunset=2027-01-31`, `claim "" ,`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n\r") {
			return // not one line
		}
		comment := "//stella:" + line
		once := directive.Format(comment)
		if twice := directive.Format(once); twice != once {
			t.Errorf("%q becomes %q, and that %q", comment, once, twice)
		}
	})
}
