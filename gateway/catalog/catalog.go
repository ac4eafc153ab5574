// Package catalog writes what callers can read about what a gateway offers: one OpenAPI document of all services that are
// connected, and the well-known resources that lead to it. It decides nothing about requests. Start reading at [Catalog].
package catalog

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

// The paths of the documents.
const (
	PathJSON       = "/openapi.json"
	PathYAML       = "/openapi.yaml"
	PathDiscovery  = "/.well-known/openapi"
	PathAPICatalog = "/.well-known/api-catalog" // RFC 9727
)

// MaxAge is how long callers may keep a document, in seconds, before they ask whether it is still the same.
const MaxAge = 60

// Config is what a [Catalog] needs.
type Config struct {
	Registry *routing.Registry
	Title    string       // of the document; empty: APIs
	Logger   *slog.Logger // [slog.Default]
}

// Catalog makes the documents anew when what is offered has changed and somebody asks. It may be used concurrently.
type Catalog struct {
	cfg     Config
	current atomic.Pointer[edition]
	mu      sync.Mutex // held by who makes the next edition
}

// Document is one document. It must not be changed.
type Document struct {
	Type string // its media type
	ETag string // strong, in quotes
	Body []byte
}

// View is what operators see of the documents.
type View struct {
	ETag      string    `json:"etag"`
	Generated time.Time `json:"generatedAt"`
	Endpoints int       `json:"endpoints"`
	// Conflicts are the endpoints that the document leaves out, each with who has its method and path instead.
	Conflicts []string `json:"conflicts"`
}

// edition is all documents of one state of the registry.
type edition struct {
	snapshot  *routing.Snapshot
	key       string // of the manifests
	view      View
	documents map[string]*Document // by path
}

// New returns a catalog. A nil one has no documents.
func New(cfg Config) *Catalog {
	if cfg.Title == "" {
		cfg.Title = "APIs"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Catalog{cfg: cfg}
}

// Find is the document at a path, as it is now; nil if the path is none's.
func (c *Catalog) Find(path string) (*Document, error) {
	switch path {
	case PathJSON, PathYAML, PathDiscovery, PathAPICatalog:
	default:
		return nil, nil //nolint:nilnil // no document is an answer
	}
	if c == nil {
		return nil, nil //nolint:nilnil // as above
	}
	e, err := c.edition()
	if err != nil {
		return nil, err
	}
	return e.documents[path], nil
}

// View is what operators see.
func (c *Catalog) View() (View, error) {
	e, err := c.edition()
	if err != nil {
		return View{}, err
	}
	return e.view, nil
}

// edition is the one of what is offered now. Health changes often, and manifests seldom: most snapshots share one.
func (c *Catalog) edition() (*edition, error) {
	snapshot := c.cfg.Registry.Snapshot()
	if e := c.current.Load(); e != nil && e.snapshot == snapshot {
		return e, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	snapshot = c.cfg.Registry.Snapshot()
	manifests, key := c.cfg.Registry.Offered()
	if last := c.current.Load(); last != nil && last.key == key {
		same := *last
		same.snapshot = snapshot
		c.current.Store(&same)
		return &same, nil
	}
	next, err := c.write(manifests)
	if err != nil {
		return nil, err
	}
	next.snapshot, next.key = snapshot, key
	for _, text := range next.view.Conflicts {
		c.cfg.Logger.Warn("an endpoint is not in the OpenAPI document", "conflict", text)
	}
	c.current.Store(next)
	return next, nil
}

func (c *Catalog) write(manifests []*spec.Manifest) (*edition, error) {
	info := openapi.Info{Title: c.cfg.Title, Version: "1.0.0", Description: "What the services behind this gateway offer now."}
	text, conflicts, err := openapi.Merge(info, manifests, openapi.Options{})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	asYAML, err := yamlOf(text)
	if err != nil {
		return nil, err
	}
	e := &edition{view: View{ETag: tagOf(text), Generated: time.Now().UTC().Truncate(time.Second), Conflicts: []string{}}}
	for _, m := range manifests {
		e.view.Endpoints += len(m.Endpoints)
	}
	e.view.Endpoints -= len(conflicts)
	for _, conflict := range conflicts {
		e.view.Conflicts = append(e.view.Conflicts, conflict.String())
	}
	discovery, err := json.Marshal(map[string]any{
		"openapiJson": PathJSON, "openapiYaml": PathYAML, "etag": e.view.ETag, "generatedAt": e.view.Generated,
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	links, err := json.Marshal(map[string]any{"linkset": []any{map[string]any{
		"anchor": "/", "service-desc": []any{
			map[string]any{"href": PathJSON, "type": "application/openapi+json"},
			map[string]any{"href": PathYAML, "type": "application/openapi+yaml"},
		},
	}}})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	e.documents = map[string]*Document{
		PathJSON:       {"application/openapi+json", tagOf(text), text},
		PathYAML:       {"application/openapi+yaml", tagOf(asYAML), asYAML},
		PathDiscovery:  {"application/json", tagOf(discovery), discovery},
		PathAPICatalog: {"application/linkset+json", tagOf(links), links},
	}
	return e, nil
}

// tagLength is how much of a digest a tag has, in bytes.
const tagLength = 12

func tagOf(text []byte) string {
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:tagLength]) + `"`
}

const indent = 2

// yamlOf writes JSON as YAML that people read, its members in the same order.
func yamlOf(text []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	plain(&doc)
	out, err := yaml.Dump(&doc, yaml.WithIndent(indent))
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return out, nil
}

// plain takes the marks of JSON off. A text keeps its quotes where it would be something else without them.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}
