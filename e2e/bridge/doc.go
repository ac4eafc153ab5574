// Package bridge holds net/http handlers behind runtime/httpbridge, a session and a gateway over TCP against the same handlers
// behind a net/http server: what a client gets, and what a handler sees, must be the same, but for the differences that
// docs/bridge.md lists. Each of those has a spec here that shows it, so that the list is neither too long nor too short.
//
// It never judges the bridge alone: that is the suite beside it. Start reading at TestDifferential.
package bridge
