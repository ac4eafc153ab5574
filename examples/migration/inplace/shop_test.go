package shop_test

import (
	"net/http/httptest"
	"testing"

	shop "github.com/stella-ops/router/examples/migration/inplace"
	"github.com/stella-ops/router/examples/migration/shoptest"
	stella "github.com/stella-ops/router/runtime"
)

func TestShop(t *testing.T) {
	shoptest.Run(t, shoptest.ThroughGateway(t, func(gateways stella.Part) *stella.Service {
		return shop.New(shoptest.Shelf(), shoptest.Key).Service(gateways)
	}))
}

// TestWayBack holds that the same handlers are served by plain HTTP still.
func TestWayBack(t *testing.T) {
	s := httptest.NewServer(shop.New(shoptest.Shelf(), shoptest.Key).Router())
	defer s.Close()
	shoptest.Run(t, s.URL)
}
