package lint

import (
	"math/big"
	"time"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

var lifecycleRules = []rule{
	entry("STL1601", "DEPRECATED_WITHOUT_SUNSET", Lifecycle, warn, Standard, "deprecated without an end",
		"What has no day on which it may go stays for ever: sunset=2027-01-31.").ofEndpoint(noSunset),
	entry("STL1602", "SUNSET_WITHOUT_DEPRECATION", Lifecycle, warn, Standard, "end of what is not deprecated",
		"sunset= tells when an endpoint may go. A paragraph \"Deprecated: ...\" of its doc comment tells callers what to use instead.").
		ofEndpoint(notDeprecated),
	entry("STL1603", "SUNSET_PAST", Lifecycle, warn, Standard, "the day has passed",
		"The endpoint may go: remove it, or give callers a later day.").ofEndpoint(sunsetPast),
	entry("STL1604", "SLO_WITHOUT_BUDGET", Lifecycle, grave, Minimal, "objective that nothing keeps",
		"Above 99.999 % a single failed call of a hundred thousand breaks the promise, and a deployment does. Alerts on it "+
			"tell nothing.").ofEndpoint(noBudget),
	entry("STL1605", "SLO_PAGE_UNREACHABLE", Lifecycle, grave, Minimal, "objective whose alert cannot fire",
		"The alert that wakes somebody fires when errors burn the budget 14.4 times as fast as it lasts. Below 93.06 % that is more "+
			"than all calls: it never fires.").ofEndpoint(noPage),
	entry("STL1606", "SLO_WITHIN_UNFIT", Lifecycle, warn, Minimal, "time that says nothing",
		"within= is how long a call may take that counts as answered well for slo=. It needs an slo, and less than the timeout, "+
			"after which a call is not answered well anyhow. A stream's call ends with the stream, which is no measure of how fast it is.").
		ofEndpoint(unfitWithin),
}

func noSunset(r *reporter, e *endpoint) {
	if e.spec.Deprecated != "" && e.spec.Sunset == "" {
		r.at(e.span(), "%s is deprecated, and does not say until when", e.name()).Hint = "add sunset=YYYY-MM-DD"
	}
}

func notDeprecated(r *reporter, e *endpoint) {
	if e.spec.Deprecated == "" && e.spec.Sunset != "" {
		r.at(e.key("sunset"), "%s has a sunset, and is not deprecated", e.name()).Hint = "add a paragraph to the doc comment: Deprecated: use ..."
	}
}

func sunsetPast(r *reporter, e *endpoint) {
	day, err := time.Parse(time.DateOnly, e.spec.Sunset)
	if err == nil && !e.service.today.IsZero() && day.Before(e.service.today.Truncate(24*time.Hour)) {
		r.at(e.key("sunset"), "the sunset of %s was on %s", e.name(), e.spec.Sunset).Hint = "remove the endpoint, or move the day"
	}
}

// Percentages of calls, and how fast the fastest alert wants the budget to burn.
var (
	whole     = big.NewRat(100, 1)
	strictest = big.NewRat(99999, 1000)
	pageBurn  = big.NewRat(144, 10)
)

func noBudget(r *reporter, e *endpoint) {
	if slo, ok := new(big.Rat).SetString(e.spec.SLO); ok && slo.Cmp(strictest) > 0 {
		r.at(e.key("slo"), "%s promises %s %% of all calls, more than 99.999 %%", e.name(), e.spec.SLO)
	}
}

func noPage(r *reporter, e *endpoint) {
	slo, ok := new(big.Rat).SetString(e.spec.SLO)
	if !ok {
		return
	}
	budget := new(big.Rat).Sub(whole, slo)
	if budget.Mul(budget, pageBurn).Cmp(whole) >= 0 {
		r.at(e.key("slo"), "no share of errors burns the budget of %s %% fast enough to wake somebody", e.spec.SLO).Hint = "promise at least 93.1"
	}
}

func unfitWithin(r *reporter, e *endpoint) {
	if e.spec.WithinMS == 0 {
		return
	}
	within := directive.Spell(time.Duration(e.spec.WithinMS) * time.Millisecond)
	switch {
	case e.spec.SLO == "":
		r.at(e.key("within"), "%s is to be answered within %s, and has no slo: no share of the calls is promised", e.name(), within).
			Hint = "add slo=99.9, or leave within out"
	case e.spec.Stream != spec.StreamNone && e.spec.Stream != spec.StreamRequest:
		r.at(e.key("within"), "%s streams its answer: its calls end with their streams, and not within %s", e.name(), within).
			Hint = "leave within out"
	case e.spec.WithinMS >= e.spec.Limits.TimeoutMS:
		r.at(e.key("within"), "%s is to be answered within %s, and its timeout is %s", e.name(), within, directive.Spell(e.spec.Limits.Timeout())).
			Hint = "promise less than the timeout"
	}
}
