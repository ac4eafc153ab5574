package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// FeatureTrailers is the feature of a HELLO whose sender takes TRAILERS, and of a WELCOME to it whose sender does. It is not
// critical: without it bodies end as ever, and what would follow them is dropped.
const FeatureTrailers = "trailers"

// Hello is the metadata of HELLO, canonical JSON. The manifest's bytes may follow it in the frame, as they are.
type Hello struct {
	Instance       Instance  `json:"instance"`
	Nonce          string    `json:"nonce"`                // 64 random bits, in hex: names this session
	ManifestDigest string    `json:"manifestDigest"`       // of the bytes that follow, or that the gateway may know
	Lease          int       `json:"lease"`                // calls it takes on at once over this session
	StreamWindow   int64     `json:"streamWindow"`         // credit in bytes that it grants each stream to begin with
	SessionWindow  int64     `json:"sessionWindow"`        // and all streams together
	Supersedes     string    `json:"supersedes,omitempty"` // the secret of the instance's live session that this one replaces
	Features       []Feature `json:"features,omitempty"`

	// Overlay is what the deployment says of endpoints, above the manifest; see [FeatureOverlay].
	Overlay []OverlayEndpoint `json:"overlay,omitempty"`
}

// Challenge is the payload of CHALLENGE, canonical JSON.
type Challenge struct {
	Challenge string `json:"challenge"` // 128 random bits, in hex
}

// Proof is the payload of PROOF, canonical JSON.
type Proof struct {
	Proof string `json:"proof"` // see [ServiceProof]
}

// Welcome is the payload of WELCOME, canonical JSON.
type Welcome struct {
	Node          string   `json:"node"`               // the gateway's name; may be empty
	Region        string   `json:"region,omitempty"`   // the gateway's own, from its configuration (invariant 3)
	Nonce         string   `json:"nonce"`              // HELLO's
	Secret        string   `json:"secret"`             // 128 random bits, in hex: what a session that supersedes this one presents
	HeartbeatMS   int64    `json:"heartbeatMs"`        // how often to send HEARTBEAT
	MaxFrame      uint32   `json:"maxFrame"`           // payload limit in bytes for both directions
	StreamWindow  int64    `json:"streamWindow"`       // credit in bytes that it grants each stream to begin with
	SessionWindow int64    `json:"sessionWindow"`      // and all streams together
	Gateways      []string `json:"gateways,omitempty"` // other gateways to dial
	Proof         string   `json:"proof,omitempty"`    // that the gateway knows the token, too; see [GatewayProof]
	Features      []string `json:"features,omitempty"` // those of HELLO's that the gateway uses
}

// Resync is the payload of RESYNC, canonical JSON.
type Resync struct {
	ManifestDigest string `json:"manifestDigest"` // HELLO's, of the manifest that the gateway lacks
}

// Heartbeat is the payload of HEARTBEAT, canonical JSON.
type Heartbeat struct {
	Status        Status `json:"status"`
	InFlight      int    `json:"inFlight"`      // calls being served
	ErrorPermille int    `json:"errorPermille"` // failed calls of the last interval, in thousandths
	Lease         int    `json:"lease"`         // replaces HELLO's; 0 takes nothing on for now
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
	case len(h.Nonce) != nonceDigits || !lowerHex(h.Nonce):
		return fmt.Errorf("spec: HELLO nonce %.40q, expected %d lower-case hex digits", h.Nonce, nonceDigits)
	case !validDigest(h.ManifestDigest):
		return fmt.Errorf("spec: HELLO manifestDigest %.80q, expected sha256: and 64 lower-case hex digits", h.ManifestDigest)
	case h.Lease < 1 || h.Lease > MaxLease:
		return fmt.Errorf("spec: HELLO lease %d, expected 1 to %d", h.Lease, MaxLease)
	case h.StreamWindow < 1 || h.StreamWindow > MaxStreamWindow:
		return fmt.Errorf("spec: HELLO streamWindow %d, expected 1 to %d", h.StreamWindow, MaxStreamWindow)
	case h.SessionWindow < h.StreamWindow || h.SessionWindow > MaxSessionWindow:
		return fmt.Errorf("spec: HELLO sessionWindow %d, expected its streamWindow %d to %d", h.SessionWindow, h.StreamWindow, int64(MaxSessionWindow))
	case h.Supersedes != "" && !secret(h.Supersedes):
		return fmt.Errorf("spec: HELLO supersedes, expected %d lower-case hex digits", secretDigits)
	case len(h.Features) > MaxFeatures:
		return fmt.Errorf("spec: HELLO names %d features, the limit is %d", len(h.Features), MaxFeatures)
	}
	for _, f := range h.Features {
		if err := checkName("HELLO feature", f.Name); err != nil {
			return err
		}
		if f.Critical && !slices.Contains(known, f.Name) {
			return fmt.Errorf("%w %q", ErrFeature, f.Name)
		}
	}
	return h.checkOverlay()
}

// Names reports whether h names a feature, critical or not.
func (h *Hello) Names(feature string) bool {
	return slices.ContainsFunc(h.Features, func(f Feature) bool { return f.Name == feature })
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
	case w.StreamWindow < 1 || w.StreamWindow > MaxStreamWindow:
		return fmt.Errorf("spec: WELCOME streamWindow %d, expected 1 to %d", w.StreamWindow, MaxStreamWindow)
	case w.SessionWindow < w.StreamWindow || w.SessionWindow > MaxSessionWindow:
		return fmt.Errorf("spec: WELCOME sessionWindow %d, expected its streamWindow %d to %d", w.SessionWindow, w.StreamWindow, int64(MaxSessionWindow))
	case len(w.Nonce) != nonceDigits || !lowerHex(w.Nonce):
		return fmt.Errorf("spec: WELCOME nonce %.40q, expected %d lower-case hex digits", w.Nonce, nonceDigits)
	case !secret(w.Secret):
		return fmt.Errorf("spec: WELCOME secret, expected %d lower-case hex digits", secretDigits)
	case len(w.Gateways) > MaxFeatures:
		return fmt.Errorf("spec: WELCOME names %d gateways, the limit is %d", len(w.Gateways), MaxFeatures)
	case len(w.Features) > MaxFeatures:
		return fmt.Errorf("spec: WELCOME names %d features, the limit is %d", len(w.Features), MaxFeatures)
	}
	for _, name := range w.Features {
		if err := checkName("WELCOME feature", name); err != nil {
			return err
		}
	}
	if len(w.Node) > maxName || !validValue(w.Node) { // often a host name, which may be anything
		return fmt.Errorf("spec: WELCOME node %.40q, expected up to %d bytes without control characters", w.Node, maxName)
	}
	if w.Region != "" {
		return checkName("WELCOME region", w.Region)
	}
	return nil
}

// Check reports the first thing that makes h unusable.
func (h *Heartbeat) Check() error {
	switch {
	case h.Status != StatusReady && h.Status != StatusDegraded && h.Status != StatusDraining:
		return fmt.Errorf("spec: HEARTBEAT status %.40q, expected ready, degraded or draining", h.Status)
	case h.InFlight < 0:
		return fmt.Errorf("spec: HEARTBEAT inFlight %d, expected 0 or more", h.InFlight)
	case h.ErrorPermille < 0 || h.ErrorPermille > 1000:
		return fmt.Errorf("spec: HEARTBEAT errorPermille %d, expected 0 to 1000", h.ErrorPermille)
	case h.Lease < 0 || h.Lease > MaxLease:
		return fmt.Errorf("spec: HEARTBEAT lease %d, expected 0 to %d", h.Lease, MaxLease)
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

// Check reports the first thing that makes c unusable.
func (c *Challenge) Check() error {
	if !secret(c.Challenge) {
		return fmt.Errorf("spec: CHALLENGE %.40q, expected %d lower-case hex digits", c.Challenge, secretDigits)
	}
	return nil
}

const (
	nonceDigits  = 16 // 64 bits in hex
	secretDigits = 32 // 128 bits in hex
)

func secret(s string) bool { return len(s) == secretDigits && lowerHex(s) }

func lowerHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// CheckService reports what is wrong with a service's name.
func CheckService(name string) error { return checkName("service", name) }

// CheckRegion reports what is wrong with a region's name.
func CheckRegion(name string) error { return checkName("region", name) }

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
