package spec

import (
	"fmt"
	"strings"
)

// FeatureOverlay is the critical feature of a HELLO with an overlay: a gateway that does not know it would route by limits and
// claims that the deployment has changed.
const FeatureOverlay = "overlay"

// Bounds of an overlay.
const (
	MaxOverlay       = 256      // endpoints
	MaxOverlayBytes  = 32 << 10 // of its JSON: HELLO's metadata has 65,535 bytes for everything
	maxOverlayOrigin = 256      // bytes of one origin
)

// OverlayEndpoint is what a deployment says of one endpoint, above its manifest. What is zero is not said.
type OverlayEndpoint struct {
	Endpoint     string             `json:"endpoint"` // METHOD /path, as in the manifest; parameters' names do not count
	MaxBodyBytes int64              `json:"maxBodyBytes,omitempty"`
	TimeoutMS    int64              `json:"timeoutMs,omitempty"`
	IdleMS       int64              `json:"idleMs,omitempty"`
	Claims       []ClaimRequirement `json:"claims,omitempty"` // all that callers must hold, in place of the manifest's
	// Origins are where values are said, such as overlay.yaml:4:5, by the names in OverlayKeys.
	Origins map[string]string `json:"origins,omitempty"`
}

// The names of an overlay's values, as authors write them.
const (
	OverlayTimeout = "timeout"
	OverlayIdle    = "idle"
	OverlayBody    = "body"
	OverlayClaims  = "claims"
)

// OverlayKeys are the names of an overlay's values.
var OverlayKeys = []string{OverlayTimeout, OverlayIdle, OverlayBody, OverlayClaims}

// checkOverlay says what is wrong with the overlay of a HELLO.
func (h *Hello) checkOverlay() error {
	if len(h.Overlay) > MaxOverlay {
		return fmt.Errorf("spec: the overlay has %d endpoints, the limit is %d", len(h.Overlay), MaxOverlay)
	}
	critical := false
	for _, f := range h.Features {
		critical = critical || f.Name == FeatureOverlay && f.Critical
	}
	if critical != (len(h.Overlay) > 0) {
		return fmt.Errorf("spec: HELLO has an overlay if and only if it names the critical feature %s", FeatureOverlay)
	}
	known := make(map[string]bool, len(h.Overlay))
	for i := range h.Overlay {
		e := &h.Overlay[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("spec: overlay of %.80q: %w", e.Endpoint, err)
		}
		identity, _ := ParseIdentity(e.Endpoint) // it has just been checked
		if known[identity] {
			return fmt.Errorf("spec: the overlay has %s twice", e.Endpoint)
		}
		known[identity] = true
	}
	return nil
}

func (e *OverlayEndpoint) check() error {
	if _, err := ParseIdentity(e.Endpoint); err != nil {
		return err
	}
	if err := (Limits{MaxBodyBytes: e.MaxBodyBytes, TimeoutMS: e.TimeoutMS, IdleMS: e.IdleMS}).Check(); err != nil {
		return err
	}
	switch {
	case len(e.Claims) > MaxFields:
		return fmt.Errorf("%d claims, the limit is %d", len(e.Claims), MaxFields)
	case len(e.Origins) > len(OverlayKeys):
		return fmt.Errorf("%d origins, there are %d values", len(e.Origins), len(OverlayKeys))
	}
	for _, c := range e.Claims {
		if err := c.check(); err != nil {
			return err
		}
	}
	for key, origin := range e.Origins {
		if len(origin) > maxOverlayOrigin || strings.ContainsFunc(key+origin, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("origin of %.40q, expected up to %d printable bytes", key, maxOverlayOrigin)
		}
	}
	return nil
}

// CheckOverlay says which endpoint of the overlay a manifest lacks.
func CheckOverlay(overlay []OverlayEndpoint, m *Manifest) error {
	if len(overlay) == 0 {
		return nil
	}
	known := make(map[string]bool, len(m.Endpoints))
	for i := range m.Endpoints {
		if identity, err := m.Endpoints[i].Identity(); err == nil {
			known[identity] = true
		}
	}
	for i := range overlay {
		identity, err := ParseIdentity(overlay[i].Endpoint)
		if err != nil {
			return err
		}
		if !known[identity] {
			return fmt.Errorf("spec: the overlay names %s, which %s %s does not offer", overlay[i].Endpoint, m.Service, m.Version)
		}
	}
	return nil
}
