package breaking

import (
	"bytes"
	"errors"
	"fmt"
	"go/token"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stella-ops/router/generator/diagnostic"
)

// maxWaiversFile bounds the file, in bytes.
const maxWaiversFile = 1 << 20

// ParseWaivers reads a file of waivers, strictly: unknown and repeated keys, aliases, a second document and values that are
// no text are errors, each with its place. Whether what a waiver says makes sense, [Waivers.Findings] tells.
func ParseWaivers(name string, source []byte) ([]Waiver, error) {
	f := waiverFile{name: name}
	if len(source) > maxWaiversFile {
		return nil, fmt.Errorf("%s: %d bytes, the limit is %d", name, len(source), maxWaiversFile)
	}
	var document, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(source))
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: the file is empty: expected waivers, or no file", name)
	case err != nil:
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: expected one document, and there is more behind it", name)
	}
	return f.waivers(document.Content[0])
}

// waiverFile reads the nodes of a file.
type waiverFile struct{ name string }

func (f waiverFile) errorf(at *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %s", f.name, at.Line, at.Column, fmt.Sprintf(format, args...))
}

func (f waiverFile) waivers(root *yaml.Node) ([]Waiver, error) {
	var items []*yaml.Node
	err := f.members(root, []string{"waivers"}, func(_ string, value *yaml.Node) error {
		if value.Kind != yaml.SequenceNode {
			return f.errorf(value, "expected a list of waivers")
		}
		items = value.Content
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []Waiver
	for _, item := range items {
		w := Waiver{Pos: token.Position{Filename: f.name, Line: item.Line, Column: item.Column}}
		err := f.members(item, waiverKeys, func(key string, value *yaml.Node) error {
			if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
				return f.errorf(value, "%s: expected text", key)
			}
			*waiverValues(&w)[slices.Index(waiverKeys, key)] = strings.TrimSpace(value.Value)
			return nil
		})
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

// members hands over the members of a mapping.
func (f waiverFile) members(node *yaml.Node, keys []string, take func(key string, value *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode {
		return f.errorf(node, "expected keys and values: %s", strings.Join(keys, ", "))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(keys, key.Value):
			hint := ""
			if near := diagnostic.Suggest(key.Value, keys); near != "" {
				hint = ": did you mean " + near + "?"
			}
			return f.errorf(key, "unknown key %.80q, expected %s%s", key.Value, strings.Join(keys, ", "), hint)
		case seen[key.Value]:
			return f.errorf(key, "the key %s is there twice", key.Value)
		case value.Kind == yaml.AliasNode:
			return f.errorf(value, "%s: aliases are not taken: write the value", key.Value)
		}
		seen[key.Value] = true
		if err := take(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}
