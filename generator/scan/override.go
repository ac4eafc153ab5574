package scan

import (
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/internal/strictyaml"
	"github.com/stella-ops/router/spec"
)

// otherName is what some call such a file.
const otherName = "stella.yml"

// overrides reads the stella.yaml of a service, and reports those that nothing reads. It is nil if there is none.
func (l *loader) overrides(g *group) (file *override.File) {
	for _, ps := range g.all() {
		name := filepath.Join(ps.src.Dir, override.FileName)
		switch {
		case ps == g.own:
			if isThere(name) {
				file = l.readOverrides(name, g.member.service)
			}
			l.misplaced(filepath.Join(ps.src.Dir, otherName), "rename it to "+override.FileName)
		case ps.part != nil:
			l.misplaced(name, "move what it says to the file beside the package that says //stella:service "+g.member.service)
		case len(ps.handlers) == 0 && !ps.orphaned: // what looked like a directive is none
			l.checkStray(ps.src.Dir)
		}
	}
	return file
}

// misplaced reports a file that nothing reads, if it is there.
func (l *loader) misplaced(name, hint string) {
	if isThere(name) {
		l.list.Addf(diagnostic.OverridePlace, token.Position{Filename: name}, 0, "%s has no effect here", filepath.Base(name)).Hint = hint
	}
}

// checkStray reports a stella.yaml in a folder without a service.
func (l *loader) checkStray(dir string) {
	l.misplaced(filepath.Join(dir, override.FileName), "move it beside the package that says //stella:service")
}

// checkRoot does so in the working directory, if that is a module's root without a package, where some put such a file.
func (l *loader) checkRoot(pkgs []*listed) {
	if slices.ContainsFunc(pkgs, l.isWhole) && !slices.ContainsFunc(pkgs, func(p *listed) bool { return p.Dir == l.dir }) {
		l.checkStray(l.dir)
	}
}

func isThere(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

func (l *loader) readOverrides(name, service string) *override.File {
	info, err := os.Stat(name)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no file")
	case info.Size() > strictyaml.MaxBytes:
		l.list.Addf(diagnostic.YAMLSyntax, token.Position{Filename: name}, 0, "the file has %d bytes, expected at most %d", info.Size(), strictyaml.MaxBytes)
		return &override.File{Name: name, Broken: true}
	default:
		var src []byte
		if src, err = l.readFile(name); err == nil {
			return override.Parse(name, service, src, l.list)
		}
	}
	l.list.Addf(diagnostic.Unreadable, token.Position{Filename: name}, 0, "%v", err)
	return &override.File{Name: name, Broken: true}
}

// refine puts the keys of stella.yaml over those that the code says, or under them, and notes where each value comes from.
func (b *builder) refine(e *Endpoint, said map[string]directive.Value) {
	for name, v := range said {
		e.Origins.say(name, InCode, v, nil)
	}
	if b.over == nil {
		return
	}
	entry := b.over.Entry(e.Method, e.Path)
	for _, k := range override.Keys() {
		code, inCode := said[k.Name]
		if entry != nil {
			if v, given := entry.Values[k.Name]; given {
				var over *Origin
				if inCode {
					over = &Origin{Layer: InCode, Text: code.Text, Pos: code.Pos, Width: code.Width}
					b.checkLoosens(e, k, v, code)
				}
				e.take(k.Name, InOverride, v, over, said)
				continue
			}
		}
		v, given := b.over.Defaults.Values[k.Name]
		if given && !inCode && (!k.Jobs || said[keyDelivery].Text == deliveryQueue) {
			e.take(k.Name, InDefaults, v, nil, said)
		}
	}
}

func (e *Endpoint) take(key string, layer Layer, v directive.Value, over *Origin, said map[string]directive.Value) {
	said[key] = v
	e.apply(key, v)
	e.Origins.say(key, layer, v, over)
}

// dropDefaults takes back the defaults of stella.yaml that do not concern the endpoint, now that its handler is known.
func (e *Endpoint) dropDefaults(said map[string]directive.Value) {
	drop := func(key string, concerned bool) bool {
		if concerned || e.Origins.Keys[key].Layer != InDefaults {
			return false
		}
		delete(said, key)
		delete(e.Origins.Keys, key)
		delete(e.Places.Keys, key)
		return true
	}
	if drop(keyUnknown, e.In != nil && e.HasBody()) {
		e.Unknown = ""
	}
	if drop(keyBody, e.HasBody()) {
		e.Limits.MaxBodyBytes = spec.DefaultLimits.MaxBodyBytes
	}
	if drop(keyWithin, e.Stream == spec.StreamNone || e.Stream == spec.StreamRequest) {
		e.WithinMS = 0
	}
	if drop(keyIdle, e.Stream != spec.StreamNone) {
		e.Limits.IdleMS = spec.DefaultLimits.IdleMS
	}
}

func (b *builder) checkLoosens(e *Endpoint, k override.Key, here, code directive.Value) {
	if !k.Loosens(here, code) {
		return
	}
	f := b.l.list.Addf(diagnostic.OverrideLoosens, here.Pos, here.Width, "%s %s: %s %s is %s than %s, which the code says",
		e.Method, e.Path, k.Name, here.Text, k.Looser, code.Text)
	f.Endpoint = e.Method + " " + e.Path
	f.Hint = "change the directive, or remove " + k.Name + " here"
	f.Related = []diagnostic.Related{{Pos: code.Pos, Message: "the code says it here"}}
}

// refineClaims puts the claims of stella.yaml in the place of those that the code says.
func (b *builder) refineClaims(e *Endpoint) {
	if b.over == nil {
		return
	}
	entry := b.over.Entry(e.Method, e.Path)
	switch {
	case entry != nil && len(entry.Claims) > 0:
		b.checkCovers(e, entry)
		e.takeClaims(InOverride, entry.Claims)
	case len(e.Claims) == 0 && e.Public == "" && len(b.over.Defaults.Claims) > 0:
		e.takeClaims(InDefaults, b.over.Defaults.Claims)
	}
}

func (e *Endpoint) takeClaims(layer Layer, claims []override.Claim) {
	code, before, public := e.Claims, e.Origins.Claims, e.Origins.Public
	e.Claims, e.Origins.Claims, e.Places.Claims = nil, nil, nil
	e.Public, e.Origins.Public, e.Places.Public = "", Origin{}, Span{}
	for _, c := range claims {
		o := Origin{Layer: layer, Text: c.Text(), Pos: c.Pos, Width: c.Width}
		if i := slices.IndexFunc(code, c.Covers); i >= 0 {
			o.Over = &before[i]
		} else if public.Text != "" {
			o.Over = &public
		}
		e.Claims, e.Origins.Claims = append(e.Claims, c.ClaimRequirement), append(e.Origins.Claims, o)
		e.Places.Claims = append(e.Places.Claims, Span{c.Pos, c.Width})
	}
}

// checkCovers reports claims of the code that callers would no longer need.
func (b *builder) checkCovers(e *Endpoint, entry *override.Entry) {
	for i, r := range e.Claims {
		if slices.ContainsFunc(entry.Claims, func(c override.Claim) bool { return c.Covers(r) }) {
			continue
		}
		first, code := entry.Claims[0], e.Origins.Claims[i]
		f := b.l.list.Addf(diagnostic.OverrideLoosens, first.Pos, first.Width, "%s %s: claim %s is missing here, which the code asks for", e.Method, e.Path, code.Text)
		f.Endpoint = e.Method + " " + e.Path
		f.Hint = fmt.Sprintf("the list takes the place of the code's: add %s to it", code.Text)
		f.Related = []diagnostic.Related{{Pos: code.Pos, Message: "the code asks for it here"}}
	}
}

// checkEntries reports the entries of endpoints that the service does not have.
func (l *loader) checkEntries(g *group, over *override.File) {
	if over == nil {
		return
	}
	known, names := map[string]bool{}, []string(nil)
	for _, ps := range g.all() {
		if ps.src.unreadable {
			return
		}
		for _, h := range ps.handlers {
			d := h.endpoint()
			if d == nil {
				if h.broken {
					return // it may be what an entry is about
				}
				continue
			}
			e := spec.Endpoint{Method: d.Args[0].Text, Path: d.Args[1].Text}
			if id, err := e.Identity(); err == nil {
				known[id] = true
				names = append(names, e.Method+" "+e.Path)
			}
		}
	}
	slices.Sort(names)
	for _, entry := range over.Entries {
		if known[entry.Identity] {
			continue
		}
		text := entry.Method + " " + entry.Path
		f := l.list.Addf(diagnostic.OverrideUnknown, entry.Pos, entry.Width, "service %s has no endpoint %s", g.member.service, text)
		f.Endpoint = text
		if guess := spelling.Suggest(text, names); guess != "" {
			f.Message += ": did you mean " + guess + "?"
		}
	}
}
