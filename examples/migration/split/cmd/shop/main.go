// Command shop serves the bookshop through Stella Router.
package main

import (
	"context"
	"log"
	"os"

	"github.com/stella-ops/router/examples/migration/books"
	shop "github.com/stella-ops/router/examples/migration/split"
)

func main() {
	if err := shop.New(books.NewStore()).Service(os.Getenv("SHOP_KEY")).Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
