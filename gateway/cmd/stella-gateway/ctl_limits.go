package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/gateway/limit"
)

type ctlLimitsCmd struct{}

// Run lists rules, and says below them how the server is that counts, and how much is served.
func (ctlLimitsCmd) Run(s streams, c *cli) error {
	var v limit.View
	text, err := c.Ctl.ask(http.MethodGet, "/v1/limits", &v)
	if err != nil {
		return err
	}
	err = c.Ctl.table(s, text, "RULE\tSERVICE\tENDPOINT\tBY\tRATE\tBURST\tCOUNTED\tFAILURE\tALLOWED\tREFUSED", func(row func(...any)) {
		for _, r := range v.Rules {
			row(r.Name, cmp.Or(r.Service, "-"), cmp.Or(r.Endpoint, "-"), r.By, fmt.Sprintf("%d in %s", r.Rate, r.Per), r.Burst, r.Counted, cmp.Or(r.Failure, "-"),
				r.Allowed, r.Refused)
		}
	})
	if err != nil || c.Ctl.Format == formatJSON {
		return err
	}
	for _, line := range limitLines(&v) {
		if err := s.printf("%s\n", oneLine(line)); err != nil {
			return err
		}
	}
	return nil
}

// limitLines say how much is served, and how the server is that counts for the environment.
func limitLines(v *limit.View) []string {
	var lines []string
	if st := v.Store; st != nil {
		state := "answers"
		if !st.Answers {
			state = "does not answer, and the rules' failure modes decide: " + st.Error
		}
		lines = append(lines, fmt.Sprintf("store %s, environment %s: %s; breaker %s, %d of %d checks failed",
			st.Address, st.Environment, state, st.Breaker, st.Failures, st.Checks))
	}
	n := &v.Concurrency
	if n.Total == 0 { // and where nothing else is limited none are counted
		lines = append(lines, "requests at once: not bounded")
	} else {
		lines = append(lines, fmt.Sprintf("requests at once: %d of %d", n.InFlight, n.Total))
	}
	if n.Adaptive {
		lines = append(lines, fmt.Sprintf("unary calls at once: %d of %d, by their latency, within %d and %d", n.Calls, n.Limit, n.Min, n.Max))
	}
	if n.Total > 0 || n.Adaptive {
		lines = append(lines, "refused since too many were served at once: "+counted(n.Shed))
	}
	if v.Connections.Total == 0 && v.Connections.PerAddress == 0 {
		return append(lines, "connections: not bounded, and not counted")
	}
	return append(lines, fmt.Sprintf("connections: %d of %s, of one address %s; refused: %s", v.Connections.Open, bound(v.Connections.Total),
		bound(v.Connections.PerAddress), counted(v.Connections.Refused)))
}

// bound is a limit, for people.
func bound(n int) string {
	if n == 0 {
		return "any number"
	}
	return strconv.Itoa(n)
}

// counted lists counts that are not zero by their names.
func counted[K ~string](counts map[K]uint64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			list = append(list, fmt.Sprintf("%s %d", name, counts[name]))
		}
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}
