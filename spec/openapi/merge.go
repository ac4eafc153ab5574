package openapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// Options are what a document may depend on beside manifests.
type Options struct {
	Version Version // V31 if empty
	URL     string  // where callers reach the gateway; no server is named if empty
}

// Info is what a document of several services says of itself.
type Info struct {
	Title, Version, Description string
}

// Conflict is an endpoint that a document leaves out, because another service, or another version of the service, has
// its method and path.
type Conflict struct {
	Method, Path   string // as the endpoint has them
	Service        string // whose endpoint is left out
	Version        string
	HeldBy, HeldAt string // the service that has method and path in the document, and its version
}

func (c Conflict) String() string {
	return fmt.Sprintf("%s %s of %s %s is left out: %s %s has it", c.Method, c.Path, c.Service, c.Version, c.HeldBy, c.HeldAt)
}

// Document writes the endpoints of one service. m has passed [spec.Manifest.Check].
func Document(m *spec.Manifest, o Options) ([]byte, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	b.doc.Info = info{Title: m.Service, Version: m.Version, Description: m.Doc, Owner: m.Owner}
	w := b.writer(m, "")
	if err := b.endpoints([]*writer{w}); err != nil {
		return nil, err
	}
	return b.finish()
}

// Merge writes the endpoints of several services, or versions of one, as one document, whatever the order in which
// they come. Operations and schemas are named after their services. Of a method and path that several of them offer,
// the document has the one of the service that comes first by name, in its highest version; what it leaves out for that
// is told. Every manifest has passed [spec.Manifest.Check].
func Merge(i Info, manifests []*spec.Manifest, o Options) ([]byte, []Conflict, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, nil, err
	}
	b.doc.Info = info{Title: i.Title, Version: i.Version, Description: i.Description}
	sorted, err := sortManifests(manifests)
	if err != nil {
		return nil, nil, err
	}
	writers := make([]*writer, len(sorted))
	labels := names{}
	for k, m := range sorted {
		label := m.Service
		if labels[label] > 0 { // an older version
			label = componentName(m.Service + "-" + m.Version)
		}
		writers[k] = b.writer(m, labels.unique(label))
	}
	if err := b.endpoints(writers); err != nil {
		return nil, nil, err
	}
	out, err := b.finish()
	return out, b.conflicts, err
}

// sortManifests sorts by service, and of one service by version, the highest first.
func sortManifests(manifests []*spec.Manifest) ([]*spec.Manifest, error) {
	type versioned struct {
		*spec.Manifest

		version spec.Version
	}
	var all []versioned
	for _, m := range manifests {
		v, err := spec.ParseVersion(m.Version)
		if err != nil {
			return nil, fmt.Errorf("openapi: manifest of %s: %w", m.Service, err)
		}
		all = append(all, versioned{m, v})
	}
	slices.SortStableFunc(all, func(a, b versioned) int {
		if c := strings.Compare(a.Service, b.Service); c != 0 {
			return c
		}
		if c := b.version.Compare(a.version); c != 0 {
			return c
		}
		return strings.Compare(a.Version+a.ContractDigest, b.Version+b.ContractDigest)
	})
	sorted := make([]*spec.Manifest, len(all))
	for i, v := range all {
		sorted[i] = v.Manifest
	}
	return sorted, nil
}

var errVersion = errors.New("openapi: unknown version")
