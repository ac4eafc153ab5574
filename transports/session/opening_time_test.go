package session_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// TestEveryStepOfAnOpeningHasItsTime plays services that stop half way, in virtual time.
func TestEveryStepOfAnOpeningHasItsTime(t *testing.T) {
	manifest := []byte("manifest")
	said := spec.Hello{
		Instance: hello().Instance, Nonce: nonce, StreamWindow: 1, SessionWindow: 1, Lease: 1, ManifestDigest: spec.Digest(manifest),
	}
	meta, err := spec.Canonical(said)
	if err != nil {
		t.Fatal(err)
	}
	slim := func() *transports.Frame { return frame(spec.TypeHello, 0, 0, 0, meta, nil) }
	for _, step := range []struct {
		name  string
		cfg   session.GatewayConfig
		after []func() *transports.Frame // a second apart
		want  time.Duration              // from the beginning
	}{
		{"HELLO", session.GatewayConfig{}, nil, spec.HelloTimeout},
		{
			"PROOF", session.GatewayConfig{Tokens: func(string) []string { return nil }},
			[]func() *transports.Frame{slim}, time.Second + spec.HelloTimeout,
		},
		{"the manifest", session.GatewayConfig{}, []func() *transports.Frame{slim}, time.Second + spec.ManifestTimeout},
		{
			"the rest of the manifest", session.GatewayConfig{}, []func() *transports.Frame{slim, func() *transports.Frame {
				return frame(spec.TypeEndpoints, 0, 0, 0, nil, manifest[:1])
			}}, time.Second + spec.ManifestTimeout,
		},
	} {
		t.Run(step.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				glink, link := inmemory.Pipe()
				begin := time.Now()
				go func() {
					for _, f := range step.after {
						time.Sleep(time.Second)
						_ = link.WriteFrames([]*transports.Frame{f()})
					}
				}()
				_, err := session.Accept(t.Context(), glink, step.cfg)
				if err == nil || !strings.Contains(err.Error(), "did not say") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(begin); took != step.want {
					t.Errorf("gave up after %v, expected %v", took, step.want)
				}
				_ = link.Close()
			})
		})
	}
}

// TestAppendedEndpointsThatStopHalfWayEndTheSession plays a service that begins to append and does not go on.
func TestAppendedEndpointsThatStopHalfWayEndTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, glink := openPair(t, echo)
		_ = glink
		s.SendForTest(frame(spec.TypeEndpoints, 0, 0, 0, nil, []byte("half")))
		begin := time.Now()
		<-g.Done()
		if took := time.Since(begin); took < spec.ManifestTimeout || took > spec.ManifestTimeout+2*spec.HeartbeatInterval {
			t.Errorf("ended after %v, expected %v and up to two looks", took, spec.ManifestTimeout)
		}
		if err := g.Err(); !strings.Contains(err.Error(), "stopped half way") {
			t.Errorf("ended with %v", err)
		}
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
	})
}
