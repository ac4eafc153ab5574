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
// Time is package time's: testing/synctest makes that virtual, so there is no clock to pass in.
package session
