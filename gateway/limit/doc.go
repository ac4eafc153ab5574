// Package limit says no: to callers that ask more often than they may (rate limits), to requests that would be more at
// once than the gateway or its services bear (concurrency), and to clients that hold too many connections.
//
// It knows nothing of HTTP but three header fields, never looks at a request itself, and never makes a request wait: what
// is refused is refused at once. A decision that needs a server is made within [Budget], whatever that server does.
//
// Rate limits are rules, which are data. A rule counts by the generic cell rate algorithm (GCRA): one moment for each key,
// at which the key has its whole burst again, and no counters that are reset. Rules for this gateway alone keep that moment
// in memory, under one of 64 locks and without an allocation; rules for an environment keep it in Valkey, by one script on
// the server's clock.
//
// On the way of a request nothing is built: a [Plan] has everything that concerns one endpoint, and is found by one look
// into a map that does not change. Start reading at [Limiter].
package limit
