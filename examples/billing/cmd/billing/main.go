// Command billing runs the billing example. Its service is told by the STELLA_ variables what package stella's
// documentation says; the flag goes before them.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/examples/billing"
	"github.com/stella-ops/router/examples/billing/reports"
	stella "github.com/stella-ops/router/runtime"
	_ "github.com/stella-ops/router/runtime/overlay"     // what a deployment changes: STELLA_OVERLAY
	_ "github.com/stella-ops/router/transports/quic"     // this and the next two: STELLA_GATEWAYS by any transport,
	_ "github.com/stella-ops/router/transports/rabbitmq" // and a broker for its jobs, STELLA_QUEUE
	_ "github.com/stella-ops/router/transports/valkey"
)

type flags struct {
	Gateways string `help:"Gateways to dial; a comma adds another, | an alternative way to the same one. Default: ${gateway}." placeholder:"URL[,URL]"`

	Data string `default:"billing-data" env:"BILLING_DATA" help:"Directory for attachments; made where there is none." placeholder:"DIR"`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("billing"), kong.Description("Serves the billing example through Stella Router gateways."), kong.Vars{"gateway": stella.DefaultGateway})
	if err := run(f); err != nil {
		slog.Error("billing: ended", "error", err)
		os.Exit(1)
	}
}

func run(f flags) error {
	service, err := billing.NewService(f.Data)
	if err != nil {
		return err
	}
	// The draining that a signal begins waits for open calls: those that would never end are ended here.
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(signalled, service.EndWatches)
	svc := stella.New(billing.Manifest,
		billing.Endpoints(billing.Handlers{Service: service}),
		reports.Endpoints(reports.Handlers{Service: reports.NewService(service)}),
		stella.WithVariable(stella.EnvGateways, f.Gateways),
	)
	return errors.Join(svc.Run(context.Background()), service.Close())
}
