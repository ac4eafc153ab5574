package main

import (
	"net/http"
	"strings"

	"github.com/stella-ops/router/gateway/admin"
)

type ctlAccessCmd struct{}

// Run lists the rules of the configuration and of the authority, and says how the authority is.
func (ctlAccessCmd) Run(s streams, c *cli) error {
	var v admin.AccessView
	text, err := c.Ctl.ask(http.MethodGet, "/v1/access", &v)
	if err != nil {
		return err
	}
	err = c.Ctl.table(s, text, "SERVICE\tENDPOINT\tCLAIMS\tPUBLIC\tFROM\tNOTE", func(row func(...any)) {
		for i := range v.Rules {
			r := &v.Rules[i]
			claims := make([]string, len(r.Claims))
			for j, claim := range r.Claims {
				claims[j] = claim.String()
			}
			note := ""
			switch {
			case !r.Offered:
				note = "no service offers it"
			case len(claims) == 0 && r.Public == "":
				note = "limits alone"
			}
			row(r.Service, r.Endpoint, strings.Join(claims, " "), r.Public, r.Origin, note)
		}
	})
	if a := v.Authority; err == nil && a != nil && c.Ctl.Format != formatJSON {
		switch {
		case a.LastError == "" && !a.Reached:
			return s.printf("authority %s: has not answered yet\n", oneLine(a.Source))
		case a.LastError == "":
			return s.printf("authority %s: answered %s ago, %d rules\n", oneLine(a.Source), ago(a.AskedAt), a.Rules)
		case a.Reached:
			return s.printf("authority %s: its last word, of %s ago, counts: %s\n", oneLine(a.Source), ago(a.AskedAt), oneLine(a.LastError))
		}
		return s.printf("authority %s: never reached: %s\n", oneLine(a.Source), oneLine(a.LastError))
	}
	return err
}
