package openapi

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// TestExtensions holds that docs/reference/openapi.md lists the extensions that documents have, and no others.
func TestExtensions(t *testing.T) {
	raw, err := os.ReadFile("../../docs/reference/openapi.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, have []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(x-[a-z-]+)` \\|").FindAllSubmatch(raw, -1) {
		listed = append(listed, string(row[1]))
	}
	member := regexp.MustCompile(`json:"(x-[a-z-]+)`)
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(of.Elem())
		case reflect.Struct:
			if seen[of] {
				return
			}
			seen[of] = true
			for field := range of.Fields() {
				if m := member.FindStringSubmatch(string(field.Tag)); m != nil {
					have = append(have, m[1])
				}
				visit(field.Type)
			}
		default:
		}
	}
	visit(reflect.TypeFor[document]())
	slices.Sort(listed)
	slices.Sort(have)
	if !slices.Equal(listed, have) {
		t.Errorf("docs/reference/openapi.md lists %v, documents have %v", listed, have)
	}
}
