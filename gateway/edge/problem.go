package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/router/spec"
)

// Kind is a kind of answer that the gateway makes itself.
type Kind struct {
	Code    string // stable
	Status  int
	Error   string // the error type in Proxy-Status (RFC 9209, section 2.3)
	Meaning string // when it is given, and what to do
}

// The kinds. Their order is that of the stages.
var (
	kindPath            = &Kind{"bad_path", 400, "http_request_error", "The request target is not a path in a form that means one thing only."}
	kindRequest         = &Kind{"bad_request", 400, "http_request_error", "A header field that belongs to the connection is used to hide others, or has an underscore in its name."}
	kindHeaders         = &Kind{"headers_too_large", 431, "http_request_error", "The header fields, query and path take more than 64 KiB, or are more than 128."}
	kindNotFound        = &Kind{"not_found", 404, "destination_not_found", "No connected service offers the path."}
	kindMethod          = &Kind{"method_not_allowed", 405, "http_request_error", "The path is served for other methods; Allow lists them."}
	kindVersion         = &Kind{"version_not_found", 404, "destination_not_found", "The service does not offer the endpoint in the version that Stella-Version names."}
	kindAuthority       = &Kind{"authority_unavailable", 503, "proxy_internal_error", "Who may call the endpoint is for an authority to say, which has not been reached since the gateway's start. Try again after Retry-After."}
	kindUnauthenticated = &Kind{"unauthenticated", 401, "http_request_denied", "The endpoint requires claims, and the request proves no identity; see WWW-Authenticate."}
	kindKeys            = &Kind{"keys_unavailable", 503, "proxy_internal_error", "The keys of the token's issuer cannot be had now, and nobody passes unverified. Try again after Retry-After."}
	kindForbidden       = &Kind{"forbidden", 403, "http_request_denied", "The caller is known, and lacks a claim or asks for what is not theirs to ask; detail says what."}
	kindTooLarge        = &Kind{"payload_too_large", 413, "http_request_error", "The request body is over the endpoint's limit."}
	kindRate            = &Kind{"rate_limited", 429, "http_request_denied", "The caller has asked more often than a rate limit passes. Try again after Retry-After."}
	kindLimits          = &Kind{"limits_unavailable", 503, "proxy_internal_error", "A rate limit cannot be counted now, and is declared to pass nothing then. Try again after Retry-After."}
	kindRange           = &Kind{"bad_range", 416, "http_request_error", "The part of a file that Range asks for is beyond its end; Content-Range has its size."}
	kindUpgrade         = &Kind{"upgrade_required", 426, "http_request_error", "The endpoint is a WebSocket, and the request does not open one; detail says what is missing."}
	kindNoInstance      = &Kind{"no_instance", 503, "destination_unavailable", "The endpoint is known, and no instance that offers it can be picked: none is connected, or those that are drain, are out of routing or out of order. Try again after Retry-After."}
	kindOverloaded      = &Kind{"overloaded", 503, "connection_limit_reached", "Every instance, or the gateway itself, has all that it takes at once. Try again after Retry-After."}
	kindRefused         = &Kind{"refused", 503, "connection_refused", "The service did not take the call on: nothing was done, and it may be repeated whatever its method."}
	kindTransport       = &Kind{"transport_unfit", 503, "proxy_configuration_error", "Its instances' transport carries small, idempotent calls only; detail says what the endpoint is instead."}
	kindQueue           = &Kind{"queue_unavailable", 503, "destination_unavailable", "The endpoint's requests wait in a queue, and its broker cannot be used now; detail says why."}
	kindJob             = &Kind{"job_not_found", 404, "http_request_error", "Nothing is known of the job that is asked for, or it is somebody else's."}
	kindStalled         = &Kind{"body_stalled", 408, "http_request_error", "The request body stopped arriving."}
	kindBody            = &Kind{"bad_body", 400, "http_request_error", "The request body does not keep to its own framing."}
	kindTimeout         = &Kind{"timeout", 504, "http_response_timeout", "The service did not answer within the endpoint's timeout."}
	kindLoop            = &Kind{"legacy_loop", 508, "proxy_loop_detected", "The request has been sent to a legacy upstream before, which has sent it back: Via names the gateway."}
	kindUnreachable     = &Kind{"legacy_unreachable", 502, "connection_refused", "The path is a legacy upstream's, which cannot be reached: nothing was done, and it may be repeated whatever its method."}
	kindLegacyLost      = &Kind{"legacy_lost", 502, "connection_terminated", "The legacy upstream ended the connection, or broke HTTP, before it had answered. Whether anything was done is unknown."}
	kindLost            = &Kind{"service_lost", 502, "connection_terminated", "The connection to the service was lost during the call. Whether the call was done is unknown."}
	kindFailed          = &Kind{"service_failed", 502, "http_response_incomplete", "The service gave the call up without an answer."}
	kindAnswer          = &Kind{"bad_answer", 502, "http_protocol_error", "The service's answer breaks the protocol."}
	kindAnswerSize      = &Kind{"response_too_large", 502, "http_response_body_size", "The service's answer is larger than the transport carries by which the instance is connected."}
)

var kinds = []*Kind{
	kindPath, kindRequest, kindHeaders, kindNotFound, kindMethod, kindVersion, kindAuthority, kindUnauthenticated, kindKeys, kindForbidden, kindTooLarge, kindRange,
	kindRate, kindLimits, kindUpgrade, kindNoInstance, kindOverloaded, kindRefused, kindTransport, kindQueue, kindJob, kindStalled, kindBody, kindTimeout,
	kindLoop, kindUnreachable, kindLegacyLost, kindLost, kindFailed,
	kindAnswer, kindAnswerSize,
}

// gatewayAlone are those of a status of 500 or more that are no failure of whoever the request would have gone to.
var gatewayAlone = []*Kind{kindAuthority, kindKeys, kindLimits}

// proxyStatus is Proxy-Status for each of the kinds: it tells an answer of the gateway's own from a service's, and why there is
// no other. Shared: never changed.
var proxyStatus = func() map[*Kind][]string {
	m := make(map[*Kind][]string, len(kinds))
	for _, k := range kinds {
		m[k] = []string{"stella; error=" + k.Error + `; details="` + k.Code + `"`}
	}
	return m
}()

// Problems lists every answer that the gateway makes itself.
func Problems() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = *k
	}
	return all
}

// problem is an answer of the gateway's own to one request.
type problem struct {
	*Kind

	detail    string
	allow     string // Allow
	challenge string // WWW-Authenticate
	retryable bool
	// retryAfter is Retry-After, in seconds; empty: a second, with 503.
	retryAfter string
}

// retryAfter is what 503 asks clients to wait, in seconds.
const retryAfter = "1"

// statusClientGone is what the log says of a request whose client left. It is never sent.
const statusClientGone = 499

// closing is the value of a Connection field that ends the connection. Shared: never changed.
var closing = []string{"close"}

// stamp sets what every answer carries.
func (x *Exchange) stamp(h http.Header) {
	h[headerRequestID] = x.value(x.request.ID.String())
	if x.cors != nil {
		x.shareAnswer(h)
	}
	if x.limited.policy != nil {
		x.limited.stamp(h)
	}
	if x.last || x.ambiguous() {
		h[headerConnection] = closing
	}
}

// refuse answers with a problem.
func (e *Edge) refuse(x *Exchange, p *problem) {
	x.problem, x.status = p, p.Status
	body, err := json.Marshal(spec.Problem{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status, Detail: p.detail, Code: p.Code,
		RequestID: x.request.ID.String(), Origin: "gateway", Retryable: p.retryable,
	})
	if err != nil {
		x.abort(p.Status) // cannot be: a problem is strings and numbers
		return
	}
	h := x.answerHeader()
	x.stamp(h)
	h[headerProxyStatus] = proxyStatus[p.Kind]
	h[headerContentType] = []string{spec.ProblemType}
	h[headerContentLength] = []string{strconv.Itoa(len(body))}
	if p.allow != "" {
		h["Allow"] = []string{p.allow}
	}
	if p.challenge != "" {
		h["Www-Authenticate"] = []string{p.challenge}
	}
	switch {
	case p.Kind == kindUpgrade && x.http1(): // a field of the connection, which HTTP/2 has not
		h[headerUpgrade] = toWebSocket
		if h[headerConnection] == nil {
			h[headerConnection] = upgrading
		}
	case p.retryAfter != "":
		h[headerRetryAfter] = []string{p.retryAfter}
	case p.Status == http.StatusServiceUnavailable:
		h[headerRetryAfter] = []string{retryAfter}
	}
	x.spare(h)
	x.writeBy(time.Now().Add(e.cfg.Stall))
	x.head(p.Status)
	n, _ := x.write(body) // a client that is gone needs no answer
	x.written = int64(n)
}
