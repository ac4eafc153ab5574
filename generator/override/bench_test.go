package override_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/override"
)

// BenchmarkParse reads a file that refines a hundred endpoints.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("defaults:\n  timeout: 10s\nendpoints:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  \"PUT /items%d/{id}\":\n    timeout: 5s\n    body: 64KiB\n    claims:\n      - scope items:write\n", i)
	}
	src := []byte(text.String())
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		var list diagnostic.List
		if override.Parse("stella.yaml", "items", src, &list); list.Len() > 0 {
			b.Fatal(list.Sorted())
		}
	}
}
