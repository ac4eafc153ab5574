package edge

import (
	"net/http"
	"slices"

	"github.com/stella-ops/router/gateway/telemetry"
)

// What can become of a request, beside the gateway's own answers, which follow in the order of [Problems].
const (
	outcomeOK telemetry.Outcome = iota
	outcomeClientError
	outcomeServerError
	outcomeClientGone
	outcomeBrokenOff
	outcomeProblem
)

// Outcomes lists what can become of a request, in the order of [telemetry.Outcome].
func Outcomes() []telemetry.Value {
	all := []telemetry.Value{
		outcomeOK:          {Name: "ok", Meaning: "The service answered, with a status under 400; or the gateway answered OPTIONS for it."},
		outcomeClientError: {Name: "client_error", Meaning: "The service answered with a status from 400 to 499."},
		outcomeServerError: {Name: "server_error", Meaning: "The service answered with a status of 500 or more."},
		outcomeClientGone:  {Name: "client_gone", Meaning: "The client left before the answer was whole."},
		outcomeBrokenOff: {
			Name:    "broken_off",
			Meaning: "The answer was broken off after its header: the service was lost, gave up, took too long, or did not keep to its Content-Length.",
		},
	}
	for _, k := range kinds {
		all = append(all, telemetry.Value{Name: k.Code, Meaning: k.Meaning})
	}
	return all
}

// outcome is what has become of the request.
func (x *Exchange) outcome() telemetry.Outcome {
	why, gone := x.problem, x.gone
	if x.blamed != nil {
		why, gone = x.blamed.problem, x.blamed.problem == nil
	}
	switch {
	case why != nil:
		return outcomeProblem + telemetry.Outcome(slices.Index(kinds, why.Kind))
	case gone:
		return outcomeClientGone
	case x.aborted:
		return outcomeBrokenOff
	case x.status >= http.StatusInternalServerError:
		return outcomeServerError
	case x.status >= http.StatusBadRequest:
		return outcomeClientError
	}
	return outcomeOK
}
