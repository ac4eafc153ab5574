package routing_test

import (
	"testing"

	"github.com/stella-ops/router/gateway/routing"
)

// FuzzParseKey holds that what is read as a key is written the same way, and read again.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"subject", "tenant", "address", "claim:a", "claim:urn:x:y", "header:X-Session", "header:x-session", "header:", "cookie:sid", "claim", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := routing.ParseKey(text)
		if err != nil {
			return
		}
		again, err := routing.ParseKey(key.String())
		if err != nil || again != key {
			t.Fatalf("%q is %+v, and that is %+v, %v", text, key, again, err)
		}
	})
}
