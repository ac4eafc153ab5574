package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/stella-ops/router/gateway/routing"
)

type ctlRequestCmd struct {
	Explain bool `help:"Explain how it is routed. Nothing is sent." name:"explain-routing" required:""`

	Version string `help:"The version that it names in Stella-Version." placeholder:"X.Y.Z"`

	Key string `help:"The value of what keeps a caller with a version, where the service's policy has such." placeholder:"VALUE"`

	Request string `arg:"" help:"METHOD /path, in quotes."`
}

// Run explains.
func (r *ctlRequestCmd) Run(s streams, c *cli) error {
	method, target, ok := strings.Cut(r.Request, " ")
	if !ok {
		return usagef("expected METHOD /path in quotes, such as 'GET /invoices/7', and got %q", r.Request)
	}
	var e routing.Explanation
	q := url.Values{"method": {method}, "target": {target}, "version": {r.Version}, "key": {r.Key}}
	text, err := c.Ctl.ask(http.MethodGet, "/v1/explain?"+q.Encode(), &e)
	if err != nil {
		return err
	}
	if c.Ctl.Format == formatJSON {
		return s.printf("%s", text)
	}
	return explain(s, &e)
}

// explain shows the steps of a request's way, as columns of which the first says what it is about.
func explain(s streams, e *routing.Explanation) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) //nolint:mnd // two spaces between columns
	line := func(columns ...string) {
		for i := range columns {
			columns[i] = oneLine(columns[i])
		}
		_, _ = fmt.Fprintln(w, strings.Join(columns, "\t")) // Flush tells
	}
	line("request", e.Method+" "+e.Path)
	if e.Endpoint != "" {
		line("endpoint", e.Endpoint, e.Service)
	}
	if l := e.Legacy; l != nil {
		line(legacyName(l.Upstream), l.Route, fmt.Sprintf("%.4g %%", 100*l.Share), l.Why) //nolint:mnd // percent
	}
	if e.Own != "" {
		line("gateway", e.Own)
	}
	if e.Sticky != "" {
		line("sticky", "by "+e.Sticky)
	}
	for _, v := range e.Versions {
		line("version", v.Version, fmt.Sprintf("%.4g %%", 100*v.Share), v.Why) //nolint:mnd // percent
	}
	if e.Balancer != "" {
		line("balancer", e.Balancer)
	}
	for _, in := range e.Instances {
		tier := "not picked"
		if in.Tier > 0 {
			tier = fmt.Sprintf("tier %d", in.Tier)
		}
		line("instance", in.ID, in.Version, in.Region, tier, fmt.Sprintf("%d of %d", in.InFlight, in.Lease), in.Why)
	}
	if e.Fault != "" {
		line("fault", e.Fault)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
