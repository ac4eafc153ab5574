package lint

import (
	"time"

	"github.com/stella-ops/router/spec"
)

// Limits are the numbers from which on rules find too much. A zero field means that of [DefaultLimits].
type Limits struct {
	Timeout   time.Duration // of a call that is neither a stream nor a job
	Body      int64         // bytes of a request body that is held whole
	Params    int           // of one endpoint
	Depth     int           // of objects in a body
	Endpoints int           // of a service
	Manifest  int           // bytes
}

// DefaultLimits hold unless others are given.
var DefaultLimits = Limits{
	Timeout:   time.Minute,                 // twice the default; browsers and proxies give up about then
	Body:      16 << 20,                    // a hundred such calls are 1.6 GB of memory
	Params:    12,                          // more than a screen of a reference page shows
	Depth:     6,                           // objects within objects
	Endpoints: 500,                         // each has its own series in every metric by endpoint
	Manifest:  spec.MaxFrameHello / 10 * 9, // what is larger does not travel with HELLO, and is asked for
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	take(&l.Timeout, d.Timeout)
	take(&l.Body, d.Body)
	take(&l.Params, d.Params)
	take(&l.Depth, d.Depth)
	take(&l.Endpoints, d.Endpoints)
	take(&l.Manifest, d.Manifest)
	return l
}

func take[T comparable](value *T, unless T) {
	var zero T
	if *value == zero {
		*value = unless
	}
}
