// Package legacy is the way to what has not moved yet: HTTP servers that a gateway fronts beside its services. It says what the
// configuration may ask for, and passes single requests on.
//
// A legacy upstream is never an instance, announces nothing and is in no catalogue: between gateway and service there is still no
// HTTP (invariant 4). What goes where is not decided here, nor who may call: package edge does that, and gives this package what is
// left to send. Bodies are opaque, and none is held but small ones that come whole.
//
// Start reading at [Transport.Send], and at [Config] for what there may be.
package legacy
