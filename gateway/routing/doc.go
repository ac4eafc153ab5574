// Package routing knows who is connected, what they offer, and which of them to pick.
//
// Its state is a [Snapshot]: immutable, behind an atomic pointer. A connection event makes the [Registry] build the
// next one; a request loads one pointer, takes no lock, and stays on the snapshot it began with.
//
// Which version and which instance a request goes to follows a [Policy]: see [Endpoint.Default] and [Release.Pick]. What
// came of the call goes back by [Release.Observe], without a lock; an instance whose calls fail is ejected when the
// registry looks next, which makes a snapshot like any other event.
//
// The package never sees a request's body or headers, and never answers one. Start reading at [Registry], and at
// [Snapshot.Match] for what a request does.
package routing
