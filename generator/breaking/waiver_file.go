package breaking

import (
	"errors"
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/internal/strictyaml"
)

// ParseWaivers reads a file of waivers, strictly: what package strictyaml refuses, unknown keys and values that are no text
// are errors, each with its place. Whether what a waiver says makes sense, [Waivers.Findings] tells.
func ParseWaivers(name string, source []byte) ([]Waiver, error) {
	f := waiverFile{name: name}
	root, faults := strictyaml.Parse(source)
	var errs []error
	for _, fault := range faults {
		errs = append(errs, f.errorf(fault.Place, "%s", fault.Message))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return f.waivers(root)
}

// waiverFile reads the nodes of a file.
type waiverFile struct{ name string }

func (f waiverFile) pos(at strictyaml.Place) token.Position {
	return token.Position{Filename: f.name, Offset: at.Offset, Line: at.Line, Column: at.Column}
}

func (f waiverFile) errorf(at strictyaml.Place, format string, args ...any) error {
	return fmt.Errorf("%s: %s", f.pos(at), fmt.Sprintf(format, args...))
}

func (f waiverFile) waivers(root *strictyaml.Node) ([]Waiver, error) {
	var items []*strictyaml.Node
	err := f.members(root, []string{"waivers"}, func(_ string, value *strictyaml.Node) error {
		if value.Kind != strictyaml.List {
			return f.errorf(value.Place, "expected a list of waivers")
		}
		items = value.Items
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []Waiver
	for _, item := range items {
		w := Waiver{Pos: f.pos(item.Place)}
		err := f.members(item, waiverKeys, func(key string, value *strictyaml.Node) error {
			if value.Kind != strictyaml.Text {
				return f.errorf(value.Place, "%s: expected text", key)
			}
			*waiverValues(&w)[slices.Index(waiverKeys, key)] = strings.TrimSpace(value.Text)
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
func (f waiverFile) members(node *strictyaml.Node, keys []string, take func(key string, value *strictyaml.Node) error) error {
	if node.Kind != strictyaml.Mapping {
		return f.errorf(node.Place, "expected keys and values: %s", strings.Join(keys, ", "))
	}
	for _, m := range node.Members {
		if !slices.Contains(keys, m.Key.Text) {
			hint := ""
			if near := spelling.Suggest(m.Key.Text, keys); near != "" {
				hint = ": did you mean " + near + "?"
			}
			return f.errorf(m.Key.Place, "unknown key %.80q, expected %s%s", m.Key.Text, strings.Join(keys, ", "), hint)
		}
		if err := take(m.Key.Text, m.Value); err != nil {
			return err
		}
	}
	return nil
}
