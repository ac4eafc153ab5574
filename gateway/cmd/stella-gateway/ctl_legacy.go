package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stella-ops/router/gateway/edge"
)

type ctlLegacyCmd struct{}

// Run lists routes.
func (ctlLegacyCmd) Run(s streams, c *cli) error {
	var v struct {
		Routes []edge.LegacyView `json:"routes"`
	}
	text, err := c.Ctl.ask(http.MethodGet, "/v1/legacy", &v)
	if err != nil {
		return err
	}
	return c.Ctl.table(s, text, "ROUTE\tUPSTREAM\tWEIGHT\tSTICKY\tLEGACY\tFAILED\tSERVICE\tFAILED\tCLAIMS", func(row func(...any)) {
		for i := range v.Routes {
			r := &v.Routes[i]
			claims := make([]string, len(r.Claims))
			for i, claim := range r.Claims {
				claims[i] = claim.String()
			}
			row(r.Route, r.Upstream, fmt.Sprint(r.Weight, " %"), r.Sticky, r.Legacy.Requests, rate(r.Legacy), r.Service.Requests, rate(r.Service), strings.Join(claims, " "))
		}
	})
}

// rate is how many requests of a side failed, with their part of all.
func rate(s edge.LegacySide) string {
	if s.Requests == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%.3g %%)", s.Failed, 100*float64(s.Failed)/float64(s.Requests)) //nolint:mnd // percent
}

// legacyName is how lists name an upstream, where others have a service.
func legacyName(upstream string) string { return "legacy:" + upstream }
