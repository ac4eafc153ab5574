package shoptest

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway"
	stella "github.com/stella-ops/router/runtime"
	_ "github.com/stella-ops/router/transports/tcp" // by which the services of all steps come
)

// patience is for a service to be known, and to end.
const patience = 10 * time.Second

// ThroughGateway serves a service, which listens on no port, by a gateway that it dials over TCP, and returns where that takes
// HTTP. Both end with the test.
func ThroughGateway(t *testing.T, parts func(gateways stella.Part) *stella.Service) string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	g, err := gateway.New(gateway.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Listen: []string{"tcp://127.0.0.1:0"}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- g.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("gateway or service do not end")
			}
		}
	})
	svc := parts(stella.WithVariable(stella.EnvGateways, g.ListenAddrs()[0]))
	go func() { ended <- svc.Run(ctx) }()
	url := "http://" + g.HTTPAddr()
	deadline := time.Now().Add(patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		a, err := http.Get(url + "/health") //nolint:noctx // it is the test's own gateway
		if err == nil {
			_ = a.Body.Close()
			if a.StatusCode == http.StatusOK {
				return url
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the service is not known to the gateway")
		}
		<-poll.C
	}
}
