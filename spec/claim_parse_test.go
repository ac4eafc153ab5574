package spec_test

import (
	"testing"

	"github.com/stella-ops/router/spec"
)

func TestParseClaimRequirement(t *testing.T) {
	for text, want := range map[string]spec.ClaimRequirement{
		"scope orders:read":      {Type: "scope", Value: "orders:read"},
		"team":                   {Type: "team"},
		"name a value of words":  {Type: "name", Value: "a value of words"},
		"https://x.example/y on": {Type: "https://x.example/y", Value: "on"},
	} {
		if got, err := spec.ParseClaimRequirement(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, expected %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", " a", "a ", "a  b", "a b ", "a \x00", "a\nb", "\ta"} {
		if got, err := spec.ParseClaimRequirement(text); err == nil {
			t.Errorf("%q: %v, expected an error", text, got)
		}
	}
}
