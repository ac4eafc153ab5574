package stella

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/stella-ops/router/spec"
)

// maxOverlayFile bounds the file of an overlay, in bytes.
const maxOverlayFile = 1 << 20

// overlayReader reads the file of an overlay, whose name is for errors; nil unless package overlay is linked, which alone
// needs a YAML parser.
var overlayReader func(name string, text []byte, m *spec.Manifest) ([]spec.OverlayEndpoint, error)

// RegisterOverlay is for package runtime/overlay, whose init calls it.
func RegisterOverlay(read func(name string, text []byte, m *spec.Manifest) ([]spec.OverlayEndpoint, error)) {
	overlayReader = read
}

// WithOverlay names a file that says what this deployment changes about the service's endpoints: see package runtime/overlay,
// which has to be imported. STELLA_OVERLAY goes before it.
func WithOverlay(file string) Part {
	return option(func(c *config) { c.defaults[EnvOverlay] = file })
}

// readOverlay reads the file of an overlay, if there is one.
func readOverlay(file string, m *spec.Manifest) ([]spec.OverlayEndpoint, error) {
	switch {
	case file == "":
		return nil, nil
	case overlayReader == nil:
		return nil, fmt.Errorf("%s: this program reads no overlays: import _ \"github.com/stella-ops/router/runtime/overlay\" in its main package", file)
	}
	f, err := os.Open(file) //nolint:gosec // whoever deploys the service names it
	if err != nil {
		return nil, fmt.Errorf("expected the file of an overlay: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxOverlayFile+1))
	if err != nil {
		return nil, fmt.Errorf("expected the file of an overlay: %w", err)
	}
	if len(text) > maxOverlayFile {
		return nil, fmt.Errorf("%s: has more than %d bytes", file, maxOverlayFile)
	}
	overlay, err := overlayReader(file, text, m)
	if err != nil {
		return nil, err
	}
	said, err := spec.Canonical(overlay)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	case len(overlay) == 0:
		return nil, fmt.Errorf("%s: %w", file, errEmptyOverlay)
	case len(overlay) > spec.MaxOverlay:
		return nil, fmt.Errorf("%s: %d endpoints, the limit is %d", file, len(overlay), spec.MaxOverlay)
	case len(said) > spec.MaxOverlayBytes:
		return nil, fmt.Errorf("%s: is %d bytes of JSON, the limit is %d", file, len(said), spec.MaxOverlayBytes)
	}
	return overlay, nil
}

var errEmptyOverlay = errors.New("says nothing of any endpoint")

// applyOverlay makes the manifest's endpoints what the service itself holds to under the overlay: what it holds whole may become
// larger, as far as the gateway lets more come; times only become shorter, as it cannot know what the gateway allows.
func applyOverlay(overlay []spec.OverlayEndpoint, m *spec.Manifest) {
	said := make(map[string]*spec.OverlayEndpoint, len(overlay))
	for i := range overlay {
		if identity, err := spec.ParseIdentity(overlay[i].Endpoint); err == nil {
			said[identity] = &overlay[i]
		}
	}
	for i := range m.Endpoints {
		identity, err := m.Endpoints[i].Identity()
		if err != nil {
			continue // newRoutes says so
		}
		o, l := said[identity], &m.Endpoints[i].Limits
		if o == nil {
			continue
		}
		if o.MaxBodyBytes > 0 {
			l.MaxBodyBytes = o.MaxBodyBytes
		}
		if o.TimeoutMS > 0 {
			l.TimeoutMS = min(l.TimeoutMS, o.TimeoutMS)
		}
		if o.IdleMS > 0 {
			l.IdleMS = min(l.IdleMS, o.IdleMS)
		}
	}
}
