// Package routing knows who is connected, what they offer, and which of them to pick.
//
// Its state is a [Snapshot]: immutable, behind an atomic pointer. A connection event makes the [Registry] build the
// next one; a request loads one pointer, takes no lock, and stays on the snapshot it began with.
//
// The package never sees a request's body or headers, and never answers one. Start reading at [Registry], and at
// [Snapshot.Match] for what a request does.
package routing
