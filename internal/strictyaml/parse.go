package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// MaxBytes bounds a file.
const MaxBytes = 1 << 20

// MaxDepth bounds how deep lists and mappings nest.
const MaxDepth = 32

// Parse reads a document. Everything wrong with it is reported at once, but for what the parser cannot read past: of that
// the first. The node is nil if there is none; it is whole only if there are no faults.
func Parse(src []byte) (*Node, []Fault) {
	r := &reader{src: src}
	if fault := r.unreadable(); fault != nil {
		return nil, []Fault{*fault}
	}
	root, fault := r.load()
	if fault != nil {
		return nil, []Fault{*fault}
	}
	n := r.node(root)
	return n, r.faults
}

type reader struct {
	src    []byte
	lines  []int // offsets; made when the first place is asked for
	faults []Fault
}

// conflict begins the lines that a merge leaves between what it could not decide.
const conflict = "<<<<<<< "

// unreadable finds what the parser has no position for, or should not be given.
func (r *reader) unreadable() *Fault {
	if len(r.src) > MaxBytes {
		return &Fault{Place: Place{Line: 1, Column: 1}, Message: fmt.Sprintf("the file has %d bytes, expected at most %d", len(r.src), MaxBytes)}
	}
	for i := 0; i < len(r.src); {
		c, size := utf8.DecodeRune(r.src[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			return &Fault{Place: r.at(i, 1), Message: "the file is not UTF-8 here"}
		case c == '\uFEFF':
			return &Fault{Place: r.at(i, size), Message: "a byte order mark stands here", Hint: "save the file as UTF-8 without one"}
		case unicode.IsControl(c) && c != '\t' && c != '\n' && (c != '\r' || !bytes.HasPrefix(r.src[i+1:], []byte{'\n'})), c == '\u2028', c == '\u2029':
			return &Fault{Place: r.at(i, size), Message: fmt.Sprintf("control character %U", c)} // some are line breaks for the parser alone
		}
		i += size
	}
	at := bytes.Index(r.src, []byte("\n"+conflict)) + 1
	if at > 0 || bytes.HasPrefix(r.src, []byte(conflict)) {
		return &Fault{Place: r.at(at, len(conflict)-1), Message: "a merge conflict is not resolved", Hint: "choose one of both sides"}
	}
	return nil
}

// load parses the one document.
func (r *reader) load() (*yaml.Node, *Fault) {
	loader, err := yaml.NewLoader(bytes.NewReader(r.src), yaml.WithV4Defaults(), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(MaxDepth))))
	if err != nil {
		return nil, &Fault{Place: r.place(1, 1, 0), Message: err.Error()}
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Fault{Place: r.place(1, 1, 0), Message: "the file is empty", Hint: "write something into it, or remove it"}
	case err != nil:
		return nil, r.syntax(err)
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, r.syntax(err)
	default:
		return nil, &Fault{Place: r.line(second.Line), Message: "a second document begins here", Hint: "a file holds one"}
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return nil, &Fault{Place: r.line(doc.Line), Message: "the document is empty", Hint: "write something into it, or remove the file"}
	}
	return doc.Content[0], nil
}

// syntax is what the parser has to say.
func (r *reader) syntax(err error) *Fault {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return &Fault{Place: r.place(1, 1, 0), Message: err.Error()}
	}
	at, message := e.Mark, e.Message
	if e.ContextMsg != "" {
		message += " " + e.ContextMsg
	}
	if strings.Contains(e.Message, "end of stream") && e.ContextMark.Line > 0 {
		at = e.ContextMark // where it begins says more than where the file ends
	}
	return &Fault{Place: r.place(at.Line, at.Column, 1), Message: message}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Style&^yaml.FlowStyle == 0
}
