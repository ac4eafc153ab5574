package httpbridge_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestInterceptorsPage holds that the Go code of docs/interceptors.md is that of the example, which is compiled.
func TestInterceptorsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/interceptors.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(found) != 2 {
		t.Fatalf("%d blocks of Go, expected 2", len(found))
	}
	for _, block := range found {
		if !strings.Contains(string(example), block[1]) {
			t.Errorf("the example has no\n%s", block[1])
		}
	}
}
