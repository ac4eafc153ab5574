package shop_test

import (
	"testing"

	"github.com/stella-ops/router/examples/migration/shoptest"
	shop "github.com/stella-ops/router/examples/migration/split"
	stella "github.com/stella-ops/router/runtime"
)

func TestShop(t *testing.T) {
	shoptest.Run(t, shoptest.ThroughGateway(t, func(gateways stella.Part) *stella.Service {
		return shop.New(shoptest.Shelf()).Service(shoptest.Key, gateways)
	}))
}
