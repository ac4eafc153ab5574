package legacy

import (
	"bufio"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// FuzzPassed has any head of an upstream's answer lose what belongs to the connection, and nothing else.
func FuzzPassed(f *testing.F) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nConnection: close\r\nX: 1\r\nX: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: x-mine, , Keep-Alive\r\nX-Mine: 1\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nconnection: a\r\nConnection: B\tc\r\nA: 1\r\nB: 2\r\nUpgrade: x\r\nProxy-Connection: close\r\n\r\n",
	} {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, head string) {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), nil)
		if err != nil {
			return
		}
		_ = resp.Body.Close() // it is text
		var named []string
		for _, v := range resp.Header["Connection"] {
			for name := range strings.SplitSeq(v, ",") {
				named = append(named, strings.ToLower(textproto.TrimString(name)))
			}
		}
		ends := func(name string) bool {
			return slices.Contains(named, strings.ToLower(name)) ||
				slices.Contains([]string{"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}, strings.ToLower(name))
		}
		kept := 0
		for _, field := range passed(resp.Header, nil) {
			if ends(field.Name) {
				t.Fatalf("%s passes, of %q", field.Name, head)
			}
			kept++
		}
		for name, values := range resp.Header {
			if !ends(name) {
				kept -= len(values)
			}
		}
		if kept != 0 {
			t.Fatalf("%d fields more pass than there were, of %q", kept, head)
		}
	})
}
