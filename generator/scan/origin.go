package scan

import (
	"go/token"

	"github.com/stella-ops/router/generator/directive"
)

// Layer is who says a value. Each goes before those above it here, but for InDefaults, which counts only where neither
// the code nor an entry says anything.
type Layer int

// The layers.
const (
	BuiltIn    Layer = iota // nobody: the default, or what follows from the handler
	InDefaults              // defaults of stella.yaml
	InCode                  // a directive
	InOverride              // an entry of stella.yaml
)

func (l Layer) String() string {
	return [...]string{"default", "stella.yaml defaults", "code", "stella.yaml"}[l]
}

// Origin is where a value is said.
type Origin struct {
	Layer Layer
	Text  string         // the value as authors write it
	Pos   token.Position // not valid for one that is built in
	Width int
	Over  *Origin // what it takes the place of; nil: what is built in, or nothing
}

// Origins are where the effective values of an endpoint are said. They depend on lines, so no output has them.
type Origins struct {
	Keys   map[string]Origin // of the keys of the endpoint directive that are said at all
	Claims []Origin          // of Endpoint.Claims, in their order
	Public Origin            // of Endpoint.Public; without a text where it has none
}

func (o *Origins) say(key string, layer Layer, v directive.Value, over *Origin) {
	if o.Keys == nil {
		o.Keys = map[string]Origin{}
	}
	text := v.Text
	if key == "idempotent" {
		text = "true"
	}
	o.Keys[key] = Origin{Layer: layer, Text: text, Pos: v.Pos, Width: v.Width, Over: over}
}
