package directive

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
)

// prefix is what directives and their look-alikes have in common, but for letter case.
const prefix = "stella:"

// markers are what other tools' directives begin with: spaces, plus and at signs.
const markers = " \t+@"

// goTool is what the go command's own directives begin with.
const goTool = "go:"

// Directive is one //stella: comment whose arguments are right.
type Directive struct {
	Name   string
	Pos    token.Position // of the two slashes
	Width  int            // bytes
	Args   []Value        // positional
	Keys   map[string]Value
	Source token.Pos // of the two slashes, in the file set
}

// Value is one argument.
type Value struct {
	Text     string
	Int      int64         // of an Integer, and bytes of a Size
	Ints     []int64       // of Integers, and the numbers of Pairs
	Duration time.Duration // of a Duration
	List     []string      // of a List, and the words of Pairs
	Pos      token.Position
	Width    int
}

// Has reports whether the directive has a key or flag.
func (d *Directive) Has(key string) bool {
	_, ok := d.Keys[key]
	return ok
}

// Mentions reports whether src may have a directive or a look-alike: a comment that begins, after spaces and plus
// signs and the like, with stella: in any letter case. It is cheap, and may be wrong about text in strings.
func Mentions(src []byte) bool {
	for {
		i := bytes.IndexByte(src, '/')
		if i < 0 || i+1 == len(src) {
			return false
		}
		src = src[i+1:]
		if src[0] != '/' && src[0] != '*' {
			continue
		}
		rest := bytes.TrimPrefix(bytes.TrimLeft(src[1:], markers), []byte(goTool))
		if len(rest) >= len(prefix) && strings.EqualFold(string(rest[:len(prefix)]), prefix) {
			return true
		}
	}
}

// Parse reads one comment. It returns nil if the comment is no directive, or has findings; those go to list.
func Parse(fset *token.FileSet, c *ast.Comment, list *diagnostic.List) *Directive {
	head, ok := ast.ParseDirective(c.Slash, c.Text)
	if !ok || head.Tool != "stella" {
		lookAlike(fset, c, list)
		return nil
	}
	d := &Directive{Name: head.Name, Source: c.Slash, Pos: fset.PositionFor(c.Slash, false), Width: len(c.Text), Keys: map[string]Value{}}
	def, known := Lookup(head.Name)
	if !known {
		pos := d.Pos
		at := len("//" + prefix)
		pos.Offset, pos.Column = pos.Offset+at, pos.Column+at
		f := list.Addf(diagnostic.UnknownDirective, pos, len(head.Name), "unknown directive stella:%s%s", head.Name,
			didYouMean(head.Name, directiveNames()))
		f.Hint = "there are " + strings.Join(directiveNames(), ", ")
		return nil
	}
	p := parser{def: def, d: d, base: d.Pos, list: list}
	if head.Args != "" {
		at := int(head.ArgsPos - c.Slash)
		p.base.Column, p.base.Offset = p.base.Column+at, p.base.Offset+at
	}
	before := list.Len()
	p.args(head.Args)
	if list.Len() > before {
		return nil
	}
	return d
}

// ParseArgs reads what stands behind a directive's name, wherever it was found: text begins at pos. It returns nil if
// there are findings; those go to list.
func ParseArgs(name, text string, pos token.Position, list *diagnostic.List) *Directive {
	def, known := Lookup(name)
	if !known {
		list.Addf(diagnostic.UnknownDirective, pos, len(text), "unknown directive stella:%s", name)
		return nil
	}
	d := &Directive{Name: name, Pos: pos, Width: len(text), Keys: map[string]Value{}}
	p := parser{def: def, d: d, base: pos, list: list}
	before := list.Len()
	p.args(text)
	if list.Len() > before {
		return nil
	}
	return d
}

// lookAlike reports a comment that somebody meant as a directive.
func lookAlike(fset *token.FileSet, c *ast.Comment, list *diagnostic.List) {
	if name, near := misspelt(c.Text); near {
		first, _, _ := strings.Cut(c.Text, "\n")
		f := list.Addf(diagnostic.LookAlike, fset.PositionFor(c.Slash, false), len(first), "looks like a directive, but is none: it does not begin with //stella:")
		f.Hint = "write //stella:" + name
		return
	}
	text := strings.TrimPrefix(strings.TrimLeft(c.Text[2:], markers), goTool)
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return
	}
	rest := text[len(prefix):]
	word := strings.TrimSpace(rest)
	if i := strings.IndexFunc(word, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '*' }); i >= 0 {
		word = word[:i]
	}
	name := strings.ToLower(word)
	if _, known := Lookup(name); !known {
		guess := spelling.Suggest(name, directiveNames())
		if guess == "" && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
			return // prose: "Stella: the router"
		}
		name = guess
	}
	if name == "" {
		name = "endpoint"
	}
	first, _, _ := strings.Cut(c.Text, "\n")
	f := list.Addf(diagnostic.LookAlike, fset.PositionFor(c.Slash, false), len(first), "looks like a directive, but Go reads it as prose")
	f.Hint = "write //stella:" + name + " at the start of a line comment: no space, no plus sign, lower case"
}

// maxMisspelt is how many letters of the tool's name may be wrong.
const maxMisspelt = 2

// Misspelt reports whether a comment is a look-alike that [Mentions] does not find: //stela:endpoint, //stella.endpoint.
func Misspelt(c *ast.Comment) bool {
	_, near := misspelt(c.Text)
	return near
}

// misspelt finds what was meant by a comment that begins nearly as a directive does: the tool's name with a letter or
// two wrong, or the right one with another separator. Only the name of a directive behind it, and nothing else, tells
// it from prose.
func misspelt(text string) (name string, near bool) {
	text = strings.TrimPrefix(strings.TrimLeft(text[2:], markers), goTool)
	i := strings.IndexAny(text, ":.- \t\n")
	if i < 0 {
		return "", false
	}
	tool, _ := strings.CutSuffix(prefix, ":")
	switch text[i] {
	case ':':
		d := spelling.Distance(text[:i], tool)
		near = d > 0 && d <= maxMisspelt && keyLength(text[:i]) == i // not "// //stella:", which cites one
	case '.', '-':
		near = text[:i] == tool
	}
	if !near {
		return "", false
	}
	name = text[i+1:]
	if end := strings.IndexAny(name, " \t\r\n*"); end >= 0 {
		name = name[:end]
	}
	_, near = Lookup(name)
	return name, near
}

// maxArgs is more than any directive has arguments: behind it, there is no telling what was meant.
const maxArgs = 100

type parser struct {
	def  Definition
	d    *Directive
	base token.Position // of the first argument
	list *diagnostic.List
}

func (p *parser) pos(offset int) token.Position {
	pos := p.base
	pos.Offset += offset
	pos.Column += offset
	return pos
}

func (p *parser) addf(rule diagnostic.ID, at, end int, format string, args ...any) {
	p.list.Addf(rule, p.pos(at), end-at, "stella:"+p.def.Name+": "+format, args...)
}

func (p *parser) args(text string) {
	text, args := p.cutRest(text)
	text, comment := cutComment(text)
	if comment != "" {
		p.addf(diagnostic.Syntax, len(text), len(text)+len(comment), "a directive is its whole line: put the comment on a line of its own")
	}
	found, faults := scanArgs(text)
	if len(found)+len(faults) > maxArgs {
		p.addf(diagnostic.Syntax, 0, len(text), "more than %d arguments", maxArgs)
		return
	}
	for _, f := range faults {
		p.addf(diagnostic.Syntax, f.at, f.end, "%s", f.message)
	}
	for _, a := range append(found, args...) {
		switch {
		case a.key != "" && !p.expectsText():
			p.key(a)
		case !a.quoted && p.isFlag(a.value):
			p.flag(a)
		case len(p.d.Args) < len(p.def.Args):
			p.positional(a)
		default:
			p.extra(a)
		}
	}
	if len(faults) == 0 {
		p.missing()
	}
}

// cutRest splits off the last positional argument where that takes all that is left of the line.
func (p *parser) cutRest(text string) (string, []arg) {
	if !p.def.Rest {
		return text, nil
	}
	i := wordEnd(text, 0)
	rest := strings.TrimLeft(text[i:], " \t")
	if rest == "" {
		return text, nil
	}
	at := len(text) - len(rest)
	return text[:i], []arg{{value: strings.TrimRight(rest, " \t\r"), at: at, valAt: at, end: len(text), quoted: true}}
}

// cutComment splits off what was meant as a comment: two slashes and a space where an argument would begin, and what
// follows.
func cutComment(text string) (rest, comment string) {
	for i := 0; i < len(text); {
		switch {
		case isSpace(text[i]):
			i++
		case text[i:] == "//" || strings.HasPrefix(text[i:], "// "):
			return text[:i], strings.TrimRight(text[i:], " \t\r")
		default:
			a, _ := scanArg(text, i)
			i = a.end
		}
	}
	return text, ""
}

// expectsText reports whether a word with an equals sign is meant as it stands, as a claim's value may be.
func (p *parser) expectsText() bool {
	n := len(p.d.Args)
	return len(p.def.Keys) == 0 && n > 0 && n < len(p.def.Args) && p.def.Args[n].Type == Text
}

func (p *parser) isFlag(name string) bool {
	for _, k := range p.def.Keys {
		if k.Name == name && k.Type == Flag {
			return true
		}
	}
	return false
}

func (p *parser) value(k Key, a arg) Value {
	v, message := k.check(a)
	if message != "" {
		p.addf(diagnostic.BadValue, a.valAt, max(a.end, a.valAt+1), "%s %s", k.Name, message)
	}
	v.Pos, v.Width = p.pos(a.valAt), a.end-a.valAt
	return v
}

func (p *parser) positional(a arg) {
	k := p.def.Args[len(p.d.Args)]
	if a.key != "" {
		a.value, a.valAt = a.key+"="+a.value, a.at
	}
	p.d.Args = append(p.d.Args, p.value(k, a))
}

func (p *parser) key(a arg) {
	for _, k := range p.def.Keys {
		if k.Name != a.key {
			continue
		}
		if first, twice := p.d.Keys[k.Name]; twice {
			p.addf(diagnostic.DuplicateKey, a.at, a.end, "%s given twice, first in column %d", k.Name, first.Pos.Column)
			return
		}
		p.d.Keys[k.Name] = p.value(k, a)
		return
	}
	p.addf(diagnostic.UnknownKey, a.at, a.at+len(a.key), "unknown key %s%s%s", a.key, didYouMean(a.key, names(p.def.Keys)), p.keyList())
}

func (p *parser) flag(a arg) {
	if _, twice := p.d.Keys[a.value]; twice {
		p.addf(diagnostic.DuplicateKey, a.at, a.end, "%s given twice", a.value)
		return
	}
	p.d.Keys[a.value] = Value{Text: a.value, Pos: p.pos(a.at), Width: a.end - a.at}
}

func (p *parser) keyList() string {
	if len(p.def.Keys) == 0 {
		return " (it takes none)"
	}
	return " (there are " + strings.Join(names(p.def.Keys), ", ") + ")"
}

// extra reports an argument behind the last positional one.
func (p *parser) extra(a arg) {
	keys := names(p.def.Keys)
	switch guess := spelling.Suggest(a.value, keys); {
	case slices.Contains(keys, a.value):
		p.addf(diagnostic.BadValue, a.at, a.end, "%s needs a value: %s=...", a.value, a.value)
	case guess != "" && !a.quoted:
		p.addf(diagnostic.UnknownKey, a.at, a.end, "unknown flag %s: did you mean %s?", a.value, guess)
	case len(p.def.Args) > 0 && p.def.Args[len(p.def.Args)-1].Type == Text:
		p.addf(diagnostic.Syntax, a.at, a.end, "unexpected %q: put text with spaces in quotes", a.value)
	default:
		p.addf(diagnostic.UnknownKey, a.at, a.end, "unexpected %q%s", a.value, p.keyList())
	}
}

func (p *parser) missing() {
	for i := len(p.d.Args); i < len(p.def.Args); i++ {
		if k := p.def.Args[i]; k.Required {
			p.list.Add(p.absent(k, k.Name))
		}
	}
	for _, k := range p.def.Keys {
		if k.Required && !p.d.Has(k.Name) {
			p.list.Add(p.absent(k, k.Name+"="))
		}
	}
}

func (p *parser) absent(k Key, what string) diagnostic.Finding {
	return diagnostic.Finding{
		Rule: diagnostic.MissingArgument, Pos: p.d.Pos, Width: p.d.Width,
		Message: fmt.Sprintf("stella:%s: missing %s", p.def.Name, what),
		Hint:    what + " is " + k.Doc,
	}
}
