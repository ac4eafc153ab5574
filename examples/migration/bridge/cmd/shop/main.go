// Command shop serves the bookshop through Stella Router: its router as it was, behind a gateway.
package main

import (
	"context"
	"log"
	"os"

	"github.com/stella-ops/router/examples/migration/books"
	shop "github.com/stella-ops/router/examples/migration/bridge"
	stella "github.com/stella-ops/router/runtime"
)

func main() {
	router := shop.New(books.NewStore(), os.Getenv("SHOP_KEY")).Router()
	svc := stella.New(shop.Manifest, shop.Endpoints(shop.Handlers{RouterBridge: &shop.RouterBridge{Router: router}}))
	if err := svc.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
