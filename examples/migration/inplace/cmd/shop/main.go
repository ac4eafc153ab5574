// Command shop serves the bookshop through Stella Router.
package main

import (
	"context"
	"log"
	"os"

	"github.com/stella-ops/router/examples/migration/books"
	shop "github.com/stella-ops/router/examples/migration/inplace"
)

func main() {
	if err := shop.New(books.NewStore(), os.Getenv("SHOP_KEY")).Service().Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
