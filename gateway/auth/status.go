package auth

import "time"

// KeyStatus is one key that an issuer's tokens are verified with.
type KeyStatus struct {
	ID        string `json:"kid"`           // empty: it has no name
	Algorithm string `json:"alg,omitempty"` // empty: any of the issuer's that fits its kind
	Kind      string `json:"kind"`          // RSA-2048, P-256, Ed25519 and the like
}

// IssuerStatus is what is known of the keys of one issuer.
type IssuerStatus struct {
	Issuer    string        `json:"issuer"`
	JWKS      string        `json:"jwks,omitempty"` // where they come from; empty: built in
	Keys      []KeyStatus   `json:"keys"`
	Ignored   []string      `json:"ignored,omitempty"` // why other keys of the set are not used
	FetchedAt time.Time     `json:"fetchedAt,omitzero"`
	Age       time.Duration `json:"age"` // since then, in nanoseconds
	LastError string        `json:"lastError,omitempty"`
	NextFetch time.Time     `json:"nextFetch,omitzero"`
	Stale     bool          `json:"stale"`  // they should have been fetched anew, and serve on
	Closed    bool          `json:"closed"` // there are none (any more), or they are too old: no token of the issuer is taken
}

func (s *source) status(now time.Time) IssuerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := IssuerStatus{
		Issuer: s.issuer.Issuer, JWKS: s.issuer.JWKS, FetchedAt: s.fetched, NextFetch: s.next, Closed: s.closed(now),
		Stale: s.load != nil && !now.Before(s.fresh), Keys: []KeyStatus{},
	}
	if !s.fetched.IsZero() {
		status.Age = now.Sub(s.fetched)
	}
	if s.failed != nil {
		status.LastError = s.failed.Error()
	}
	if set := s.set.Load(); set != nil {
		for _, k := range set.keys {
			status.Keys = append(status.Keys, KeyStatus{ID: k.id, Algorithm: k.alg, Kind: k.kind})
		}
		status.Ignored = set.ignored
	}
	return status
}
