// Package session gives one link meaning. It is the one place of semantics: opening, heartbeats, calls, streamed
// bodies with credit, how a stream ends, CANCEL, deadlines, drain, and a dead link failing every call on it. The
// same code runs on every transport, and it never looks at which.
//
// A [Gateway] is the end that makes calls, a [Service] the end that serves them. PROTOCOL.md in package spec is
// the law; the comments here name its sections.
//
// Goroutines of a session: the reader, which waits for nothing but the link and never writes; the writer, which
// drains what the reader owes and what callers left behind; the pulse, which sends heartbeats and notices silence;
// and, on a Service, one per call in progress. All have ended when Done is closed and the session has been waited for.
//
// Locks are taken in this order: a Gateway's or Service's own, a call's (stream.mu), then one of account, allowance and
// writer, then Memory. Ending the session takes the first two, so nobody ends it with one of them held: what has to be
// sent under a call's lock is noted (session credit that is due), or sent after it.
//
// Files: opening and manifest are what comes before the first call; gateway and call, service and incoming the two ends;
// stream what both ends of a call share, and trailers what may follow its bodies; account, memory and limits what bodies may cost; budget what a peer may send
// that is of no use; writer and core the link.
//
// Time is package time's: testing/synctest makes that virtual, so there is no clock to pass in.
package session
