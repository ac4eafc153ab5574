package lint

import "slices"

var docRules = []rule{
	entry("STL1501", "DOC_ENDPOINT", Docs, warn, Standard, "endpoint without documentation",
		"The handler's doc comment is the endpoint's description in OpenAPI, in clients and in the reference.").ofEndpoint(docEndpoint),
	entry("STL1502", "DOC_FIELD", Docs, info, Strict, "field without documentation",
		"A field's comment, above it or behind it, describes the member or parameter.").ofParam(docParam).ofMember(docMember),
	entry("STL1503", "DOC_SERVICE", Docs, warn, Standard, "service without documentation",
		"The package's doc comment is what the service's reference begins with.").ofService(docService),
	entry("STL1504", "OWNER_MISSING", Docs, warn, Standard, "service without an owner",
		"Whoever is paged, or breaks on a change, has to know whom to ask: owner=TEAM on the service directive.").ofService(noOwner),
	entry("STL1505", "TAG_MISSING", Docs, info, Strict, "endpoint without a tag among others that have one",
		"Documentation groups endpoints by their tags, and puts this one apart.").ofService(tagMissing),
}

func docEndpoint(r *reporter, e *endpoint) {
	if e.spec.Doc == "" {
		r.at(e.Places.Func, "%s has no doc comment", e.Func).Hint = "say above the directive what the endpoint does"
	}
}

func docParam(r *reporter, p *param) {
	if p.field != nil && p.spec.Doc == "" {
		r.at(p.at, "%s parameter %s has no comment", p.spec.In, p.spec.Name)
	}
}

func docMember(r *reporter, m *member) {
	if m.Doc == "" {
		r.at(m.span(), "member %s has no comment", m.Name)
	}
}

func docService(r *reporter, s *service) {
	if s.manifest.Doc == "" {
		r.at(s.Own.Home.Directive, "service %s has no documentation", s.Name).Hint = "say above the directive what it is for"
	}
}

func noOwner(r *reporter, s *service) {
	if s.manifest.Owner == "" {
		r.at(s.Own.Home.Directive, "service %s has no owner", s.Name).Hint = "add owner=TEAM"
	}
}

func tagMissing(r *reporter, s *service) {
	tagged := func(e *endpoint) bool { return len(e.spec.Tags) > 0 }
	if !slices.ContainsFunc(s.endpoints, tagged) {
		return
	}
	for _, e := range s.endpoints {
		if !tagged(e) {
			r.endpoint = e.name()
			r.at(e.span(), "%s has no tag, and others have", e.name()).Hint = "add tags=NAME"
		}
	}
	r.endpoint = ""
}
