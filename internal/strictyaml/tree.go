package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// node makes a value of the parser's, and notes what is refused in it.
func (r *reader) node(y *yaml.Node) *Node {
	n := &Node{Place: r.placeOf(y), Kind: Text, Text: y.Value, Quoted: y.Style&quoted != 0}
	if y.Anchor != "" {
		r.refuse(n.Place, "anchor &"+y.Anchor, "write the value wherever it is needed")
	}
	if y.Style&yaml.TaggedStyle != 0 {
		r.refuse(n.Place, "tag "+y.Tag, "values need no tags")
	}
	switch y.Kind {
	case yaml.AliasNode:
		n.Kind, n.Text = Null, ""
		r.refuse(n.Place, "alias *"+y.Value, "write the value itself")
	case yaml.SequenceNode:
		n.Kind = List
		for _, item := range y.Content {
			n.Items = append(n.Items, r.node(item))
		}
	case yaml.MappingNode:
		n.Kind = Mapping
		r.members(n, y.Content)
	case yaml.ScalarNode:
		if isNull(y) {
			n.Kind = Null
		}
	case yaml.DocumentNode, yaml.StreamNode: // neither is in another node
	}
	return n
}

func (r *reader) refuse(at Place, what, hint string) {
	r.faults = append(r.faults, Fault{Place: at, Message: what + " is refused: a value is read where it stands", Hint: hint})
}

func (r *reader) members(n *Node, content []*yaml.Node) {
	first := make(map[string]*Node, len(content)/2) //nolint:mnd // keys and values take turns
	for i := 0; i+1 < len(content); i += 2 {
		y := content[i]
		key, value := r.node(y), r.node(content[i+1])
		switch {
		case y.Tag == "!!merge":
			r.refuse(key.Place, "merge key <<", "write the keys themselves")
			continue
		case y.Kind != yaml.ScalarNode:
			if y.Kind != yaml.AliasNode { // it has been refused
				r.faults = append(r.faults, Fault{Place: key.Place, Message: fmt.Sprintf("a key is %s, expected text", key.Kind)})
			}
			continue
		}
		if before := first[key.Text]; before != nil {
			r.faults = append(r.faults, Fault{Place: key.Place, Message: fmt.Sprintf("key %.200s given twice", key.Text), First: &before.Place})
			continue
		}
		first[key.Text] = key
		n.Members = append(n.Members, Member{key, value})
	}
}
