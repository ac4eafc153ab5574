//go:build !nobrokers

package conformance_test

import (
	"testing"

	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/conformance"
	_ "github.com/stella-ops/router/transports/valkey"
)

func init() {
	known = append(known, transport{"valkey", conformance.Transport{Listen: func(t *testing.T) string {
		t.Helper()
		return "valkey://" + brokertest.Valkey(t).Addr
	}}})
	complete = true
}
