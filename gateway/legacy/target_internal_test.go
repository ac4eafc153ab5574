package legacy

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
)

// FuzzTarget has an upstream see the path in its one canonical form, and the query, as the gateway has them.
func FuzzTarget(f *testing.F) {
	rest, err := spec.ParsePattern("/{rest...}")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][2]string{{"a", ""}, {"a b/c;d", "x=1&y=%2F"}, {"", "?"}, {"%/../ä", "a b"}, {"a:b@c[d]*'()", "%zz"}} {
		f.Add(seed[0], seed[1])
	}
	server, err := NewServer(&Upstream{Name: "shop", URL: "http://127.0.0.1:9000"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plain, query string) {
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) { // which the gateway refuses
			return
		}
		q := Request{Server: server, Method: http.MethodGet, Path: rest.Fill([]string{plain}), Plain: "/" + plain, Query: query, Authority: "shop.example"}
		want := q.Path
		if query != "" {
			want += "?" + query
		}
		b := new(strings.Builder)
		if err := q.make("1.1 test").Write(b); err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(b.String(), "\r\n")
		if line != "GET "+want+" HTTP/1.1" {
			t.Fatalf("got %q, expected the target %q", line, want)
		}
		got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
		if err != nil {
			return // net/http refuses some escapes in queries to be read, not to be sent
		}
		if got.Host != "shop.example" || got.RequestURI != want {
			t.Fatalf("got %s of %s, expected %s", got.RequestURI, got.Host, want)
		}
	})
}
