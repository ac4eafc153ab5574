package edge

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stella-ops/router/gateway/coding"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// maxTries is how many instances one request is offered to.
const maxTries = 3

// Exchange is one request and its answer, on their way through the stages. One goroutine owns it.
type Exchange struct {
	front

	ctx     context.Context //nolint:containedctx // ends when the client has left; the exchange is the request
	start   time.Time
	method  string
	length  int64        // of the request body in bytes; -1 if unknown
	path    string       // canonical
	slash   bool         // a slash came behind it: the path is no endpoint's
	request spec.Request // REQUEST metadata, which the stages fill in
	parent  [8]byte      // the client's span, where the gateway makes spans; all zero: there is none
	room    int          // bytes that the header fields take at most
	params  []string     // memory for the path's parameters

	policy *prepared
	cors   *cors  // of the path; nil: there is none
	origin string // of the page of another site that may read the answer; empty: there is none

	nominated []string     // header names that Connection makes hop-by-hop
	ending    []spec.Field // trailers of a request that is sent whole
	declared  []string     // names of trailers that the answer may end with

	route    *routing.Route // the newest one of the endpoint
	found    *routing.Route // the one that was found first: what others look at meanwhile
	tried    [maxTries]*routing.Instance
	tries    int
	served   *routing.Instance // of the last try, or of the one that was answered
	began    time.Time         // of the same
	pump     *pump             // of a streamed request body
	limited  limited
	response spec.Response
	shift    *legacyRoute   // that the request falls under; nil: none
	away     bool           // it goes to the upstream of that
	feed     *feed          // of a streamed request body that goes there
	cause    error          // why the upstream gave no answer, or not the whole
	coded    *coding.Writer // compresses the answer; nil: it is sent as it comes
	values   []string       // backing of the response header's values

	last    bool // the connection ends with this answer: the gateway drains
	status  int  // 0: not yet answered
	written int64
	problem *problem // the gateway's own answer
	aborted bool
	gone    bool           // aborted since the client has left
	blamed  *verdictOnBody // aborted since the request's body failed

	tunnelled bool // the connection may be used for another protocol: whoever drains the gateway waits for its end
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

func acquire(w http.ResponseWriter, r *http.Request) *Exchange {
	x, _ := exchanges.Get().(*Exchange)
	x.start = time.Now()
	x.attach(w, r)
	return x
}

// release gives the exchange back. It keeps the memory of slices and no reference to anything of the request.
func (x *Exchange) release() {
	clear(x.request.Header)
	clear(x.request.Params)
	clear(x.params[:cap(x.params)])
	clear(x.response.Header)
	clear(x.values)
	clear(x.nominated)
	*x = Exchange{
		request:   spec.Request{Header: x.request.Header[:0], Params: x.request.Params[:0]},
		response:  spec.Response{Header: x.response.Header[:0]},
		params:    x.params[:0],
		values:    x.values[:0],
		nominated: x.nominated[:0],
	}
	exchanges.Put(x)
}

func (x *Exchange) answered() bool { return x.status != 0 }

// abort ends the exchange without an answer, or breaks off the one that has begun. status is for the log.
func (x *Exchange) abort(status int) {
	x.aborted, x.gone = true, status == statusClientGone || x.ctx.Err() != nil
	if x.pump != nil { // a later verdict would only say that the exchange has been aborted
		x.blamed = x.pump.verdict.Load()
	} else if x.feed != nil {
		x.blamed = x.feed.verdict.Load()
	}
	if x.status == 0 {
		x.status = status
	}
}
