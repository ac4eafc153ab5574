package shop_test

import (
	"testing"

	shop "github.com/stella-ops/router/examples/migration/bridge"
	"github.com/stella-ops/router/examples/migration/shoptest"
	stella "github.com/stella-ops/router/runtime"
)

func TestShop(t *testing.T) {
	router := shop.New(shoptest.Shelf(), shoptest.Key).Router()
	shoptest.Run(t, shoptest.ThroughGateway(t, func(gateways stella.Part) *stella.Service {
		return stella.New(shop.Manifest, shop.Endpoints(shop.Handlers{RouterBridge: &shop.RouterBridge{Router: router}}), gateways)
	}))
}
