package edge

import (
	"fmt"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// The rules of what an instance is not called for whose transport carries small calls only, such as udp.
const (
	ruleStreams    = "small-calls/streams"
	ruleIdempotent = "small-calls/idempotent"
	ruleLimits     = "small-calls/limits"
)

// fits says why an instance's transport does not carry a call; nil if it does. A body beyond what it carries is the
// client's to make smaller only where the endpoint does not promise more: its limit is the default, which the transport
// lowers.
func (x *Exchange) fits(in *routing.Instance, f *transports.Frame, meta int) *problem {
	most := in.Session.Small()
	if most == 0 {
		return nil
	}
	rule, why := "", ""
	switch limit := x.route.MaxBody; {
	case !x.route.Unary:
		rule, why = ruleStreams, "it streams"
	case !x.route.Idempotent:
		rule, why = ruleIdempotent, "it is not idempotent"
	case limit > int64(most) && limit != spec.DefaultLimits.MaxBodyBytes:
		rule, why = ruleLimits, fmt.Sprintf("it takes bodies of up to %d bytes", limit)
	}
	switch size := len(f.Payload()); {
	case rule != "":
		return &problem{Kind: kindTransport, detail: fmt.Sprintf(
			"%s: %s, and the transport by which the service is connected carries whole, idempotent calls of up to %d bytes", rule, why, most)}
	case meta > most:
		return &problem{Kind: kindHeaders, detail: fmt.Sprintf(
			"header fields, query and path take %d bytes, and the transport by which the service is connected carries %d", meta, most)}
	case x.streams() || size > most:
		return &problem{Kind: kindTooLarge, detail: fmt.Sprintf(
			"the service's transport carries header fields and body of up to %d bytes together: connect it by tcp, tls or quic for larger ones", most)}
	}
	return nil
}
