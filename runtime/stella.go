// Package stella is the SDK that generated code links into. It gives a service's endpoints to gateways: it dials
// them, says in HELLO what the service offers, and calls a dispatcher for every request that arrives.
//
//	svc := stella.New(billing.Manifest, billing.Endpoints(billing.Handlers{Service: billing.NewService()}))
//	if err := svc.Run(context.Background()); err != nil {
//		log.Fatal(err)
//	}
//
// It speaks tcp without further imports. Other transports are linked in by the program that wants them, with a
// blank import of their package. It must never import the gateway or the generator, and never decides who may call:
// the gateway has done that before a request arrives.
//
// Start reading at [Service]; a handler sees [Request], [Response] and [Error].
package stella

// IsAtLeastVersion1 makes generated code that needs this version of the package fail to compile against an older
// one: it says const _ = stella.IsAtLeastVersion1.
const IsAtLeastVersion1 = true
