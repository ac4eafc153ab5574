package conformance_test

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stella-ops/router/transports/conformance"
	_ "github.com/stella-ops/router/transports/inmemory"
	_ "github.com/stella-ops/router/transports/tcp"
	_ "github.com/stella-ops/router/transports/tls"
	"github.com/stella-ops/router/transports/trust"
)

var names atomic.Int64

// transports are those of this repository.
var known = map[string]conformance.Transport{
	"inmemory": {Listen: func(*testing.T) string { return "inmemory://conformance-" + strconv.FormatInt(names.Add(1), 10) }},
	"tcp":      {Listen: func(*testing.T) string { return "tcp://127.0.0.1:0" }, Proxy: "tcp"},
	"unix":     {Listen: func(t *testing.T) string { return "unix://" + filepath.Join(t.TempDir(), "s") }},
	"tls":      {Listen: func(*testing.T) string { return "tls://127.0.0.1:0" }, Proxy: "tcp"},
}

func TestConformance(t *testing.T) {
	t.Setenv(trust.EnvDevelopment, t.TempDir())
	for name, transport := range known {
		t.Run(name, func(t *testing.T) { conformance.Run(t, transport) })
	}
}
