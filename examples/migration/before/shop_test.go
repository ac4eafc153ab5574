package shop_test

import (
	"net/http/httptest"
	"testing"

	shop "github.com/stella-ops/router/examples/migration/before"
	"github.com/stella-ops/router/examples/migration/shoptest"
)

func TestShop(t *testing.T) {
	s := httptest.NewServer(shop.New(shoptest.Shelf(), shoptest.Key).Router())
	defer s.Close()
	shoptest.Run(t, s.URL)
}
