package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

var styleRules = []rule{
	entry("STL1001", "PATH_KEBAB_CASE", Style, warn, Standard, "path segment is not in kebab case",
		"Paths are case-sensitive, and people mistype what is not of one form. Write words in lower case with dashes between "+
			"them: /credit-notes. A file's name with its dot passes.").ofEndpoint(kebabPath),
	entry("STL1002", "PATH_PARAM_CAMEL", Style, warn, Standard, "path parameter is not in camel case",
		"Generated clients make names of parameters, and documentation shows them beside those of the body: {invoiceId}.").
		ofEndpoint(camelParams),
	entry("STL1003", "PATH_VERB_SEGMENT", Style, warn, Standard, "path says what the method says",
		"The method is the verb: GET /invoices, not GET /getInvoices. An action that no method stands for has a noun or a verb "+
			"of its own as its last segment: POST /invoices/{id}/cancel.").ofEndpoint(verbSegments),
	entry("STL1004", "PATH_PLURAL", Style, info, Off, "collection has a singular name",
		"The segment before a parameter names what the parameter chooses from: /invoices/{id}. Nouns without a plural have to "+
			"be ignored, which is why this rule is in no preset.").ofEndpoint(pluralPath),
	entry("STL1005", "NAME_STUTTER", Style, warn, Standard, "type repeats its package's name",
		"Callers of the package write billing.BillingLine, and the schema is called so, too. Leave the package's name out.").
		ofObject(stutter),
	entry("STL1006", "TAG_STYLE", Style, warn, Standard, "tag is not in kebab case",
		"Tags group endpoints in documentation: two spellings of one are two groups.").ofEndpoint(tagStyle),
	entry("STL1007", "QUERY_NAME_STYLE", Style, warn, Standard, "parameter is not in camel case",
		"Query and cookie parameters are case-sensitive. One form for all, that of JSON members, leaves nothing to guess.").
		ofParam(queryStyle),
	entry("STL1008", "JSON_TAG_MISSING", Style, warn, Standard, "JSON member has its Go name",
		"Without a json tag callers see the Go name, in upper case, and renaming the field breaks them. The fix gives it a name "+
			"in camel case, which callers have to follow.").ofMember(jsonTag),
	entry("STL1009", "JSON_TAG_STYLE", Style, warn, Standard, "JSON member is not in camel case",
		"Members of one API have one form. Changing a name breaks callers: do it with the next major version.").ofMember(jsonStyle),
	entry("STL1010", "HEADER_X_PREFIX", Style, warn, Standard, "header name begins with X-",
		"RFC 6648 ended the prefix: it told experiments from standards, and both kept it for ever. Name the header for what it is.").
		ofParam(xHeader).ofEndpoint(xAnswerHeader),
	entry("STL1011", "SCHEMA_NAME_TWICE", Style, warn, Standard, "two packages have a type of this name",
		"Both are schemas of one service. Readers of its documentation, and of generated clients, cannot tell which is which.").
		ofService(twiceNamed),
}

func kebabPath(r *reporter, e *endpoint) {
	for _, s := range e.pattern.Segments {
		if name := strings.TrimSuffix(s.Literal, path.Ext(s.Literal)); s.Literal != "" && !isKebab(name) {
			want := strings.Join(words(s.Literal), "-")
			r.at(e.segment(s.Literal), "segment %s is not in kebab case", s.Literal).Hint = "write " + want
		}
	}
}

// segment is where a part of the path stands.
func (e *endpoint) segment(text string) scan.Span {
	at := e.Places.Path
	i := strings.Index(e.Path, "/"+text)
	if i < 0 || at.Width != len(e.Path) { // quoted, so that offsets may differ
		return at
	}
	return scan.Span{Pos: shift(at.Pos, i+1), Width: len(text)}
}

func camelParams(r *reporter, e *endpoint) {
	for _, name := range e.pattern.Params() {
		if !isCamel(name) {
			r.at(e.segment("{"+name), "path parameter %s is not in camel case", name).Hint = "write {" + camel(words(name)) + "}, and the same in the field's tag"
		}
	}
}

// crud are verbs that the methods say.
var crud = []string{"create", "delete", "fetch", "get", "insert", "modify", "remove", "update"}

// vague are verbs that are nouns, too, where they stand alone.
var vague = []string{"add", "edit", "find", "list", "read", "save", "set"}

func verbSegments(r *reporter, e *endpoint) {
	for _, s := range e.pattern.Segments {
		list := words(s.Literal)
		if len(list) == 0 {
			continue
		}
		is := among(list[:1], crud...)
		if !is && len(list) > 1 {
			is = among(list[:1], vague...)
		}
		if is {
			r.at(e.segment(s.Literal), "segment %s says %s, which is for the method to say", s.Literal, list[0]).Hint =
				"name what the endpoint is about, and let the method say what is done with it"
		}
	}
}

func pluralPath(r *reporter, e *endpoint) {
	segments := e.pattern.Segments
	for i := range len(segments) - 1 {
		if name := segments[i].Literal; name != "" && segments[i+1].Param != "" && !strings.HasSuffix(name, "s") {
			r.at(e.segment(name), "segment %s is followed by a parameter, and is no plural", name)
		}
	}
}

func stutter(r *reporter, o *object) {
	name, pkg := o.Go.Obj().Name(), o.Go.Obj().Pkg().Name()
	if len(name) > len(pkg) && strings.EqualFold(name[:len(pkg)], pkg) && name[len(pkg)] >= 'A' && name[len(pkg)] <= 'Z' {
		r.at(scan.Span{Pos: o.Pos, Width: len(name)}, "%s.%s repeats the package's name", pkg, name).Hint = "call it " + name[len(pkg):]
	}
}

func tagStyle(r *reporter, e *endpoint) {
	for _, tag := range e.Tags {
		if !isKebab(tag) {
			r.at(e.key("tags"), "tag %s is not in kebab case", tag).Hint = "write " + strings.Join(words(tag), "-")
		}
	}
}

func queryStyle(r *reporter, p *param) {
	if (p.spec.In == spec.InQuery || p.spec.In == spec.InCookie) && !isCamel(p.spec.Name) {
		r.at(p.at, "%s parameter %s is not in camel case", p.spec.In, p.spec.Name).Hint = "callers would see " + camel(words(p.spec.Name))
	}
}

func jsonTag(r *reporter, m *member) {
	if value, _, _ := jsonValue(m.Source.Tag); strings.Split(value, ",")[0] != "" || m.Source.Embedded {
		return
	}
	name := camel(words(m.goName()))
	f := r.at(m.span(), "field %s has no JSON name: callers see %s", m.goName(), m.Name)
	f.Hint = "add `json:\"" + name + "\"`; callers then see " + name
	if _, _, tagged := jsonValue(m.Source.Tag); tagged {
		return // it has options, and an empty name
	}
	if fix, ok := nameInJSON(m.Source, name); ok {
		f.Fixes = []diagnostic.Fix{fix}
	}
}

func jsonStyle(r *reporter, m *member) {
	if value, _, _ := jsonValue(m.Source.Tag); strings.Split(value, ",")[0] != "" && !isCamel(m.Name) {
		r.at(m.span(), "JSON member %s is not in camel case", m.Name).Hint = "callers would see " + camel(words(m.Name))
	}
}

// settled are names with X- that are too widely known to be called otherwise.
var settled = []string{"X-Content-Type-Options", "X-Dns-Prefetch-Control", "X-Frame-Options", "X-Request-Id", "X-Robots-Tag"}

func oldStyle(name string) bool {
	return strings.HasPrefix(name, "X-") && !slices.Contains(settled, name) && !spec.IsReservedHeader(name)
}

func xHeader(r *reporter, p *param) {
	if p.spec.In == spec.InHeader && oldStyle(p.spec.Name) {
		r.at(p.at, "header %s begins with X-", p.spec.Name).Hint = "call it " + p.spec.Name[len("X-"):]
	}
}

func xAnswerHeader(r *reporter, e *endpoint) {
	for _, f := range e.answerHeaders() {
		if oldStyle(f.Name) {
			r.at(f.Source.Name, "header %s begins with X-", f.Name).Hint = "call it " + f.Name[len("X-"):]
		}
	}
}

// answerHeaders are the fields of the result that travel as header fields.
func (e *endpoint) answerHeaders() []*scan.Field {
	var found []*scan.Field
	if e.Out != nil {
		for _, f := range e.Out.Fields {
			if f.In == spec.InHeader {
				found = append(found, f)
			}
		}
	}
	return found
}

func twiceNamed(r *reporter, s *service) {
	first := map[string]*object{}
	for _, o := range s.structs {
		name := o.Go.Obj().Name()
		other := first[name]
		if other == nil || o.Go.Obj().Pkg() == other.Go.Obj().Pkg() {
			first[name] = o
			continue
		}
		r.at(scan.Span{Pos: o.Pos, Width: len(name)}, "%s is a type of package %s, too", name, other.Go.Obj().Pkg().Name()).Related =
			[]diagnostic.Related{{Pos: other.Pos, Message: otherIsHere}}
	}
}
