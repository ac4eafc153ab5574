package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ProtocolVersion is the version of the wire that this package speaks.
const ProtocolVersion = 1

// Instance is one running process of a service.
type Instance struct {
	Service string `json:"service"`
	Version string `json:"version"`
	Region  string `json:"region,omitempty"`
	ID      string `json:"id"` // random per process unless configured
}

// Feature is something a peer offers beyond the protocol's version.
type Feature struct {
	Name     string `json:"name"`
	Critical bool   `json:"critical,omitempty"` // a peer that does not know it must refuse the session
}

// Hello is the metadata of HELLO, canonical JSON. The manifest's bytes follow it in the frame, as they are.
type Hello struct {
	Instance       Instance  `json:"instance"`
	Nonce          string    `json:"nonce"`          // 64 random bits, in hex: names this session
	ManifestDigest string    `json:"manifestDigest"` // of the bytes that follow
	Lease          int       `json:"lease"`          // calls it takes on at once over this session
	StreamWindow   int64     `json:"streamWindow"`   // credit in bytes that it grants each stream to begin with
	Features       []Feature `json:"features,omitempty"`
}

// Welcome is the payload of WELCOME, canonical JSON.
type Welcome struct {
	Node         string   `json:"node"`               // the gateway's name
	Region       string   `json:"region,omitempty"`   // the gateway's own, from its configuration (invariant 3)
	HeartbeatMS  int64    `json:"heartbeatMs"`        // how often to send HEARTBEAT
	MaxFrame     uint32   `json:"maxFrame"`           // payload limit in bytes for both directions
	StreamWindow int64    `json:"streamWindow"`       // credit in bytes that it grants each stream to begin with
	Gateways     []string `json:"gateways,omitempty"` // other gateways to dial
}

// Heartbeat is the payload of HEARTBEAT, canonical JSON.
type Heartbeat struct {
	Status        Status `json:"status"`
	InFlight      int    `json:"inFlight"`
	ErrorPermille int    `json:"errorPermille"` // failed calls of the last interval, in thousandths
	Lease         int    `json:"lease"`
}

// Status is what an instance says of itself.
type Status string

// The statuses.
const (
	StatusReady    Status = "ready"
	StatusDegraded Status = "degraded"
	StatusDraining Status = "draining"
)

// MaxLease bounds a lease.
const MaxLease = 1 << 20

// Check reports the first thing that makes h unusable, and refuses critical features not in known.
func (h *Hello) Check(known ...string) error {
	if err := checkName("service", h.Instance.Service); err != nil {
		return err
	}
	if _, err := ParseVersion(h.Instance.Version); err != nil {
		return err
	}
	if err := checkName("instance id", h.Instance.ID); err != nil {
		return err
	}
	if h.Instance.Region != "" {
		if err := checkName("region", h.Instance.Region); err != nil {
			return err
		}
	}
	switch {
	case len(h.Nonce) != 16:
		return errors.New("spec: HELLO nonce is not 16 hex digits")
	case h.Lease < 1 || h.Lease > MaxLease:
		return fmt.Errorf("spec: HELLO lease %d, expected 1 to %d", h.Lease, MaxLease)
	case h.StreamWindow < 1 || h.StreamWindow > 1<<31:
		return fmt.Errorf("spec: HELLO streamWindow %d, expected 1 to 2^31", h.StreamWindow)
	}
	for _, f := range h.Features {
		if f.Critical && !slices.Contains(known, f.Name) {
			return fmt.Errorf("%w %q", ErrFeature, f.Name)
		}
	}
	return nil
}

// ErrFeature is what [Hello.Check] wraps for a critical feature that is not known: refuse with UNSUPPORTED.
var ErrFeature = errors.New("spec: HELLO asks for the unknown critical feature")

// Check reports the first thing that makes w unusable.
func (w *Welcome) Check() error {
	switch {
	case w.HeartbeatMS < 10 || w.HeartbeatMS > 600_000:
		return fmt.Errorf("spec: WELCOME heartbeatMs %d, expected 10 to 600000", w.HeartbeatMS)
	case w.MaxFrame < MaxMetadata+MaxInlineBody || w.MaxFrame > MaxFrameHard:
		return fmt.Errorf("spec: WELCOME maxFrame %d, expected %d to %d", w.MaxFrame, MaxMetadata+MaxInlineBody, MaxFrameHard)
	case w.StreamWindow < 1 || w.StreamWindow > 1<<31:
		return fmt.Errorf("spec: WELCOME streamWindow %d, expected 1 to 2^31", w.StreamWindow)
	}
	return nil
}

// Check reports the first thing that makes h unusable.
func (h *Heartbeat) Check() error {
	switch {
	case h.Status != StatusReady && h.Status != StatusDegraded && h.Status != StatusDraining:
		return fmt.Errorf("spec: HEARTBEAT status %.40q", h.Status)
	case h.InFlight < 0 || h.ErrorPermille < 0 || h.ErrorPermille > 1000 || h.Lease < 0 || h.Lease > MaxLease:
		return fmt.Errorf("spec: HEARTBEAT with a number out of its range: %+v", *h)
	}
	return nil
}

// DecodeJSON reads one of the session's JSON payloads. Unknown members are allowed: a newer peer may say more.
func DecodeJSON(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("spec: %T: %w", v, err)
	}
	return nil
}

// maxName bounds the names of services, regions and instances.
const maxName = 128

// checkName allows what may stand in a metric label, a queue's name and a log line alike.
func checkName(what, s string) error {
	ok := s != "" && len(s) <= maxName
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("spec: %s %.40q, expected up to %d letters, digits, dots, dashes and underscores, the first a letter or digit", what, s, maxName)
	}
	return nil
}
