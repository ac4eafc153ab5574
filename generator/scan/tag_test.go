package scan

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
)

func TestTheDocumentOfBindingHasEveryTag(t *testing.T) {
	text, err := os.ReadFile("../../docs/binding.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Concat(bindingKeys, constraintKeys, spec.Formats()) {
		if !strings.Contains(string(text), "`"+key+"`") && !strings.Contains(string(text), "`"+key+`:"`) {
			t.Errorf("docs/binding.md has no %s", key)
		}
	}
}
