// Package edge is where HTTP comes in and goes out. A request passes a row of stages, each in a file of its own, each
// of which answers it or passes it on:
//
//	normalise   one canonical path, which is authorised, routed and forwarded
//	identify    the request's id and trace context
//	scrub       which header fields go on
//	resolve     method and path to an endpoint, and its version; or to an upstream that has not moved (legacy)
//	authorise   who calls, and whether they may
//	limit       the payload's size, how many at once, and how often
//	dispatch    an instance, REQUEST, and the body; or the upstream (forward)
//	answer      RESPONSE to the client
//
// The stages speak of an [Exchange] and not of net/http, which only the file front.go knows. Bodies are opaque: nothing
// here looks into one. Every answer that the gateway makes itself is one of [Problems].
//
// Small requests are the hot path: no goroutine, no timer of its own, no copy of a header map, and a body that is
// read straight into the frame that carries it.
//
// Start reading at [Edge.ServeHTTP].
package edge
