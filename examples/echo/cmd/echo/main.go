// Command echo runs the echo example. Its service is told by the STELLA_ variables what package stella's
// documentation says; the flag goes before them.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/examples/echo"
	stella "github.com/stella-ops/router/runtime"
	_ "github.com/stella-ops/router/transports/quic"
	_ "github.com/stella-ops/router/transports/rabbitmq"
	_ "github.com/stella-ops/router/transports/valkey"
)

type flags struct {
	Gateways string `help:"Gateways to dial; a comma adds another, | an alternative way to the same one. Default: ${gateway}." placeholder:"URL[,URL]"`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("echo"), kong.Description("Serves the echo example through Stella Router gateways."), kong.Vars{"gateway": stella.DefaultGateway})
	svc := stella.New(echo.Manifest, echo.Endpoints(echo.Handlers{}), stella.WithVariable(stella.EnvGateways, f.Gateways))
	if err := svc.Run(context.Background()); err != nil {
		slog.Error("echo: ended", "error", err)
		os.Exit(1)
	}
}
