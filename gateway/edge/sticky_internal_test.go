package edge

import (
	"net/http"
	"testing"
)

// FuzzCookie has a cookie be found wherever net/http finds one of the name.
func FuzzCookie(f *testing.F) {
	for _, field := range []string{"a=b", "x=1; a=b;a=c", " a = b ", "a", "a=", ";;a==;", `a="quoted"`, "A=b"} {
		f.Add(field, "a")
	}
	f.Fuzz(func(t *testing.T, field, name string) {
		got := cookie([]string{field}, name)
		if len(got) > len(field) {
			t.Fatalf("%q of %q", got, field)
		}
		r := http.Request{Header: http.Header{headerCookie: {field}}}
		for _, c := range r.Cookies() {
			if c.Name != name || c.Quoted {
				continue
			}
			if got == "" && c.Value != "" {
				t.Fatalf("there is a cookie %q in %q, and none was found", name, field)
			}
			break
		}
	})
}

func TestCookie(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, ""}, {[]string{""}, ""}, {[]string{"sid"}, ""}, {[]string{"sid="}, ""}, {[]string{"Sid=1"}, ""}, {[]string{"xsid=1"}, ""},
		{[]string{"sid=1"}, "1"}, {[]string{"a=b; sid=1; sid=2"}, "1"}, {[]string{"a=b", "sid=1=2"}, "1=2"}, {[]string{"a=b;sid=\"1\""}, `"1"`},
	} {
		if got := cookie(c.fields, "sid"); got != c.want {
			t.Errorf("%q: got %q, expected %q", c.fields, got, c.want)
		}
	}
}
