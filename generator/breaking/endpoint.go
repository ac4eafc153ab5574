package breaking

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// endpoint compares one with itself.
func (c *comparison) endpoint(p Pair) {
	if c.exempt(p.Before) {
		return
	}
	c.place(p)
	c.delivery(p)
	c.claims(p)
	c.limits(p)
	c.life(p)
	c.params(p)
	c.request(p)
	c.answers(p)
	c.errors(p)
}

// place is about where the endpoint is, and what it is called.
func (c *comparison) place(p Pair) {
	switch {
	case identity(p.Before) == identity(p.Now):
		c.renamedParams(p)
	case strings.TrimPrefix(identity(p.Before), p.Before.Method) == strings.TrimPrefix(identity(p.Now), p.Now.Method):
		c.at(p.Now, EndpointMethodChanged, "method", p.Before.Method, p.Now.Method,
			fmt.Sprintf("the method was %s and is %s", p.Before.Method, p.Now.Method), "keep "+name(p.Before)+" beside it")
	default:
		c.at(p.Now, EndpointPathChanged, "path", name(p.Before), name(p.Now), "was "+name(p.Before), "keep "+name(p.Before)+" beside it")
	}
	if p.Before.Handler != p.Now.Handler {
		c.at(p.Now, HandlerRenamed, "handler", p.Before.Handler, p.Now.Handler,
			fmt.Sprintf("the handler was called %s and is called %s", p.Before.Handler, p.Now.Handler), "")
	}
}

// renamedParams is about the names of path parameters, which stand at the same places.
func (c *comparison) renamedParams(p Pair) {
	before, now := pathParams(p.Before), pathParams(p.Now)
	for i := range min(len(before), len(now)) {
		if before[i] != now[i] {
			c.at(p.Now, PathParamRenamed, "path parameter "+now[i], before[i], now[i],
				fmt.Sprintf("the path parameter %s is called %s now", before[i], now[i]), "")
		}
	}
}

func pathParams(e *spec.Endpoint) []string {
	p, err := spec.ParsePattern(e.Path)
	if err != nil {
		return nil // it has been checked
	}
	return p.Params()
}

// delivery is about how calls travel.
func (c *comparison) delivery(p Pair) {
	was, is := p.Before.Queue, p.Now.Queue
	switch {
	case was == nil && is != nil:
		c.at(p.Now, DeliveryChanged, "delivery", "call", "queue", "calls became jobs", "")
	case was != nil && is == nil:
		c.at(p.Now, DeliveryChanged, "delivery", "queue", "call", "jobs became calls", "")
	case was != nil:
		if is.Attempts < was.Attempts {
			c.at(p.Now, AttemptsLowered, "attempts", strconv.Itoa(was.Attempts), strconv.Itoa(is.Attempts),
				fmt.Sprintf("jobs were tried up to %d times and are tried up to %d times", was.Attempts, is.Attempts), "")
		}
		c.shrank(p, LeaseShrank, "lease", milliseconds(was.LeaseMS), milliseconds(is.LeaseMS))
	}
	if p.Before.Idempotent && !p.Now.Idempotent {
		c.at(p.Now, IdempotencyLost, "idempotent", "true", "false", "is not idempotent any more", "")
	}
	if p.Before.Events != p.Now.Events && p.Before.Kind == spec.KindStream && p.Now.Kind == spec.KindStream {
		text := "the items of its stream have ids and names now"
		if p.Before.Events {
			text = "the items of its stream have no ids and names any more"
		}
		c.at(p.Now, StreamEventsChanged, "events", strconv.FormatBool(p.Before.Events), strconv.FormatBool(p.Now.Events), text, "")
	}
	streams := func(s, one spec.Streaming) string {
		switch s {
		case one, spec.StreamBoth:
			return "streamed"
		case spec.StreamUpgrade:
			return "part of another protocol"
		case spec.StreamNone, spec.StreamRequest, spec.StreamResponse:
		}
		return "held whole"
	}
	if was, is := streams(p.Before.Stream, spec.StreamRequest), streams(p.Now.Stream, spec.StreamRequest); was != is {
		c.at(p.Now, StreamRequestChanged, "stream request", was, is, fmt.Sprintf("the request body was %s and is %s", was, is), "")
	}
	was2, is2 := streams(p.Before.Stream, spec.StreamResponse), streams(p.Now.Stream, spec.StreamResponse)
	if was2 != is2 && !c.otherMedia(p) { // else that says it already
		c.at(p.Now, StreamResponseChanged, "stream response", was2, is2, fmt.Sprintf("the response body was %s and is %s", was2, is2), "")
	}
}

// limits is about limits and promises.
func (c *comparison) limits(p Pair) {
	was, is := p.Before.Limits, p.Now.Limits
	c.shrank(p, TimeoutShrank, "timeout", was.Timeout(), is.Timeout())
	if is.TimeoutMS > was.TimeoutMS {
		c.at(p.Now, TimeoutGrew, "timeout", was.Timeout().String(), is.Timeout().String(),
			fmt.Sprintf("timeout grew from %s to %s", was.Timeout(), is.Timeout()), "")
	}
	if p.Now.Stream != spec.StreamNone { // idle says nothing of other endpoints
		c.shrank(p, IdleShrank, "idle", was.Idle(), is.Idle())
	}
	rule, verb := BodyLimitShrank, "shrank"
	if is.MaxBodyBytes > was.MaxBodyBytes {
		rule, verb = BodyLimitGrew, "grew"
	}
	if is.MaxBodyBytes != was.MaxBodyBytes {
		c.at(p.Now, rule, "body", strconv.FormatInt(was.MaxBodyBytes, 10), strconv.FormatInt(is.MaxBodyBytes, 10),
			fmt.Sprintf("the request body's limit %s from %d to %d bytes", verb, was.MaxBodyBytes, is.MaxBodyBytes), "")
	}
	switch before, now := decimal(p.Before.SLO), decimal(p.Now.SLO); {
	case before == nil:
	case now == nil:
		c.at(p.Now, SLORemoved, "slo", p.Before.SLO, "", "slo was "+p.Before.SLO+" and is gone", "")
	case now.Cmp(before) < 0:
		c.at(p.Now, SLOLowered, "slo", p.Before.SLO, p.Now.SLO, fmt.Sprintf("slo fell from %s to %s", p.Before.SLO, p.Now.SLO), "")
	}
	before, now := milliseconds(p.Before.WithinMS), milliseconds(p.Now.WithinMS)
	switch {
	case before == 0 || p.Before.SLO == "" || p.Now.SLO == "":
	case now == 0:
		c.at(p.Now, SLOSlowed, "within", before.String(), "", "within was "+before.String()+" and is gone", "")
	case now > before:
		c.at(p.Now, SLOSlowed, "within", before.String(), now.String(), fmt.Sprintf("within grew from %s to %s", before, now), "")
	}
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// shrank reports a time that is shorter. A timeout of which less than half is left is an error.
func (c *comparison) shrank(p Pair, rule diagnostic.ID, key string, was, is time.Duration) {
	if is >= was {
		return
	}
	change := Change{
		Rule: rule, Endpoints: []string{name(p.Now)}, Where: key, Old: was.String(), New: is.String(),
		Text: fmt.Sprintf("%s shrank from %s to %s", key, was, is),
	}
	c.add(change)
	if rule == TimeoutShrank && 2*is < was {
		c.list[len(c.list)-1].Severity = diagnostic.Error
	}
}

// decimal is a number of the manifest; nil for none.
func decimal(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	return r
}

// life is about how long the endpoint lasts.
func (c *comparison) life(p Pair) {
	levels := []string{spec.StabilityExperimental, spec.StabilityBeta, ""}
	words := map[string]string{"": "stable"}
	word := func(s string) string {
		if w, ok := words[s]; ok {
			return w
		}
		return s
	}
	was, is := p.Before.Stability, p.Now.Stability
	if slices.Index(levels, is) < slices.Index(levels, was) {
		c.at(p.Now, StabilityDecreased, "stability", word(was), word(is), fmt.Sprintf("was %s and is %s", word(was), word(is)), "")
	}
	if p.Before.Deprecated == "" && p.Now.Deprecated != "" && p.Now.Sunset == "" {
		c.at(p.Now, DeprecatedWithoutSunset, "deprecated", "", "", "is deprecated, and nobody knows until when it stays", "say sunset=YYYY-MM-DD")
	}
	if p.Before.Sunset != "" && p.Now.Sunset != "" && p.Now.Sunset < p.Before.Sunset {
		c.at(p.Now, SunsetMovedEarlier, "sunset", p.Before.Sunset, p.Now.Sunset,
			fmt.Sprintf("was to stay until %s and is to stay until %s", p.Before.Sunset, p.Now.Sunset), "")
	}
}
