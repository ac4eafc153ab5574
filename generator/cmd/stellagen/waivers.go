package main

import (
	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/generator/diagnostic"
)

func readWaivers(root string) (*breaking.Waivers, []diagnostic.Finding, error) {
	_ = root
	return breaking.NewWaivers(nil), nil, nil
}
