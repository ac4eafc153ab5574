package coding_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/stella-ops/router/gateway/coding"
)

func TestNoMoreWritersThanThereAreToBe(t *testing.T) {
	var all []*coding.Writer
	for w := coding.NewWriter(io.Discard); w != nil; w = coding.NewWriter(io.Discard) {
		all = append(all, w)
	}
	if len(all) != 64 {
		t.Errorf("there are %d", len(all))
	}
	for _, w := range all {
		w.Release()
	}
	var b bytes.Buffer
	w := coding.NewWriter(&b)
	if w == nil {
		t.Fatal("there is none after all have been given back")
	}
	defer w.Release()
	if _, err := w.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "text" {
		t.Errorf("it is %q, %v", text, err)
	}
}

// FuzzAccepted holds that gzip is for nobody who does not speak of it, or of everything.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"", "gzip", "x-gzip;q=0.5, *;q=0", "identity;q=1, *;q=0", "gzip;q=", ",;q=1,gzip ;Q=0.000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if coding.Accepted([]string{field}) && !strings.Contains(strings.ToLower(field), "gzip") && !strings.Contains(field, "*") {
			t.Errorf("%q accepts gzip", field)
		}
	})
}

// FuzzCovers holds that what is no media type is not compressed.
func FuzzCovers(f *testing.F) {
	f.Add("text/plain; charset=utf-8")
	f.Add("text/")
	f.Fuzz(func(t *testing.T, contentType string) {
		r := coding.Rule{Types: []string{"text/*"}}
		if r.Covers(contentType, -1) && !strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentType)), "text/") {
			t.Errorf("%q is covered", contentType)
		}
	})
}
