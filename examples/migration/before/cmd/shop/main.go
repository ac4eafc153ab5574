// Command shop serves the bookshop over HTTP.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"
	"time"

	shop "github.com/stella-ops/router/examples/migration/before"
	"github.com/stella-ops/router/examples/migration/books"
)

func main() {
	s := &http.Server{
		Addr:              cmp.Or(os.Getenv("SHOP_ADDRESS"), "127.0.0.1:9000"),
		Handler:           shop.New(books.NewStore(), os.Getenv("SHOP_KEY")).Router(),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(s.ListenAndServe())
}
