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
func (c *comparison) endpoint(p pair) {
	if c.exempt(p.before) {
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
func (c *comparison) place(p pair) {
	switch {
	case identity(p.before) == identity(p.now):
		c.renamedParams(p)
	case strings.TrimPrefix(identity(p.before), p.before.Method) == strings.TrimPrefix(identity(p.now), p.now.Method):
		c.at(p.now, EndpointMethodChanged, "method", p.before.Method, p.now.Method,
			fmt.Sprintf("the method was %s and is %s", p.before.Method, p.now.Method), "keep "+name(p.before)+" beside it")
	default:
		c.at(p.now, EndpointPathChanged, "path", name(p.before), name(p.now), "was "+name(p.before), "keep "+name(p.before)+" beside it")
	}
	if p.before.Handler != p.now.Handler {
		c.at(p.now, HandlerRenamed, "handler", p.before.Handler, p.now.Handler,
			fmt.Sprintf("the handler was called %s and is called %s", p.before.Handler, p.now.Handler), "")
	}
}

// renamedParams is about the names of path parameters, which stand at the same places.
func (c *comparison) renamedParams(p pair) {
	before, now := pathParams(p.before), pathParams(p.now)
	for i := range min(len(before), len(now)) {
		if before[i] != now[i] {
			c.at(p.now, PathParamRenamed, "path parameter "+now[i], before[i], now[i],
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
func (c *comparison) delivery(p pair) {
	was, is := p.before.Queue, p.now.Queue
	switch {
	case was == nil && is != nil:
		c.at(p.now, DeliveryChanged, "delivery", "call", "queue", "calls became jobs", "")
	case was != nil && is == nil:
		c.at(p.now, DeliveryChanged, "delivery", "queue", "call", "jobs became calls", "")
	case was != nil:
		if is.Attempts < was.Attempts {
			c.at(p.now, AttemptsLowered, "attempts", strconv.Itoa(was.Attempts), strconv.Itoa(is.Attempts),
				fmt.Sprintf("jobs were tried up to %d times and are tried up to %d times", was.Attempts, is.Attempts), "")
		}
		c.shrank(p, LeaseShrank, "lease", milliseconds(was.LeaseMS), milliseconds(is.LeaseMS))
	}
	if p.before.Idempotent && !p.now.Idempotent {
		c.at(p.now, IdempotencyLost, "idempotent", "true", "false", "is not idempotent any more", "")
	}
	if p.before.Events != p.now.Events && p.before.Kind == spec.KindStream && p.now.Kind == spec.KindStream {
		text := "the items of its stream have ids and names now"
		if p.before.Events {
			text = "the items of its stream have no ids and names any more"
		}
		c.at(p.now, StreamEventsChanged, "events", strconv.FormatBool(p.before.Events), strconv.FormatBool(p.now.Events), text, "")
	}
	streams := func(s, one spec.Streaming) string {
		if s == one || s == spec.StreamBoth {
			return "streamed"
		}
		return "held whole"
	}
	if was, is := streams(p.before.Stream, spec.StreamRequest), streams(p.now.Stream, spec.StreamRequest); was != is {
		c.at(p.now, StreamRequestChanged, "stream request", was, is, fmt.Sprintf("the request body was %s and is %s", was, is), "")
	}
	was2, is2 := streams(p.before.Stream, spec.StreamResponse), streams(p.now.Stream, spec.StreamResponse)
	if was2 != is2 && !c.otherMedia(p) { // else that says it already
		c.at(p.now, StreamResponseChanged, "stream response", was2, is2, fmt.Sprintf("the response body was %s and is %s", was2, is2), "")
	}
}

// limits is about limits and promises.
func (c *comparison) limits(p pair) {
	was, is := p.before.Limits, p.now.Limits
	c.shrank(p, TimeoutShrank, "timeout", was.Timeout(), is.Timeout())
	if is.TimeoutMS > was.TimeoutMS {
		c.at(p.now, TimeoutGrew, "timeout", was.Timeout().String(), is.Timeout().String(),
			fmt.Sprintf("timeout grew from %s to %s", was.Timeout(), is.Timeout()), "")
	}
	if p.now.Stream != spec.StreamNone { // idle says nothing of other endpoints
		c.shrank(p, IdleShrank, "idle", was.Idle(), is.Idle())
	}
	rule, verb := BodyLimitShrank, "shrank"
	if is.MaxBodyBytes > was.MaxBodyBytes {
		rule, verb = BodyLimitGrew, "grew"
	}
	if is.MaxBodyBytes != was.MaxBodyBytes {
		c.at(p.now, rule, "body", strconv.FormatInt(was.MaxBodyBytes, 10), strconv.FormatInt(is.MaxBodyBytes, 10),
			fmt.Sprintf("the request body's limit %s from %d to %d bytes", verb, was.MaxBodyBytes, is.MaxBodyBytes), "")
	}
	switch before, now := decimal(p.before.SLO), decimal(p.now.SLO); {
	case before == nil:
	case now == nil:
		c.at(p.now, SLORemoved, "slo", p.before.SLO, "", "slo was "+p.before.SLO+" and is gone", "")
	case now.Cmp(before) < 0:
		c.at(p.now, SLOLowered, "slo", p.before.SLO, p.now.SLO, fmt.Sprintf("slo fell from %s to %s", p.before.SLO, p.now.SLO), "")
	}
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// shrank reports a time that is shorter. A timeout of which less than half is left is an error.
func (c *comparison) shrank(p pair, rule diagnostic.ID, key string, was, is time.Duration) {
	if is >= was {
		return
	}
	change := Change{
		Rule: rule, Endpoints: []string{name(p.now)}, Where: key, Old: was.String(), New: is.String(),
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
func (c *comparison) life(p pair) {
	levels := []string{spec.StabilityExperimental, spec.StabilityBeta, ""}
	words := map[string]string{"": "stable"}
	word := func(s string) string {
		if w, ok := words[s]; ok {
			return w
		}
		return s
	}
	was, is := p.before.Stability, p.now.Stability
	if slices.Index(levels, is) < slices.Index(levels, was) {
		c.at(p.now, StabilityDecreased, "stability", word(was), word(is), fmt.Sprintf("was %s and is %s", word(was), word(is)), "")
	}
	if p.before.Deprecated == "" && p.now.Deprecated != "" && p.now.Sunset == "" {
		c.at(p.now, DeprecatedWithoutSunset, "deprecated", "", "", "is deprecated, and nobody knows until when it stays", "say sunset=YYYY-MM-DD")
	}
	if p.before.Sunset != "" && p.now.Sunset != "" && p.now.Sunset < p.before.Sunset {
		c.at(p.now, SunsetMovedEarlier, "sunset", p.before.Sunset, p.now.Sunset,
			fmt.Sprintf("was to stay until %s and is to stay until %s", p.before.Sunset, p.now.Sunset), "")
	}
}
