package edge

import (
	"net/http"

	"github.com/stella-ops/router/gateway/routing"
)

const headerVersion = "Stella-Version"

// resolve finds the endpoint and the version of its service.
func (e *Edge) resolve(x *Exchange) *problem {
	m := e.cfg.Registry.Snapshot().Match(x.method, x.path, x.params)
	x.params = m.Params
	if x.policy.legacy != nil && e.goesAway(x, &m) {
		return nil
	}
	switch {
	case x.slash: // no endpoint's path ends so
		return e.nowhere(x, "")
	case m.Endpoint == nil:
		return e.nowhere(x, m.Allow())
	}
	version := ""
	if v := x.header()[headerVersion]; len(v) > 0 {
		version = v[0]
		if len(v) > 1 {
			return &problem{Kind: kindVersion, detail: headerVersion + " may be given once"}
		}
	}
	if version == "" {
		if x.route = m.Endpoint.Default(e.keyOf(x, m.Endpoint.Key())); x.route == nil {
			return undecided(m.Endpoint)
		}
	} else if x.route = m.Endpoint.Select(version); x.route == nil {
		return &problem{Kind: kindVersion, detail: "service " + m.Endpoint.Service + " does not offer this endpoint in the version that " +
			headerVersion + " names, which must be exact, such as 1.4.0"}
	}
	x.found = x.route
	r := &x.request
	r.Endpoint = x.route.Index
	if x.method != x.route.Method { // HEAD by GET
		r.Method = x.method
	}
	r.Params = r.Params[:0]
	for _, p := range x.params {
		r.Params = append(r.Params, decode(p))
	}
	if x.route.NeedsPath {
		r.Path = x.path
	}
	return nil
}

// nowhere answers what neither an endpoint nor a legacy route takes. allow are the methods for which one takes the path, as in
// Allow; empty: none takes it at all.
func (e *Edge) nowhere(x *Exchange, allow string) *problem {
	switch {
	case allow == "":
		for _, own := range [...]func(*Exchange) (found bool, p *problem){e.document, e.file} {
			if found, p := own(x); found {
				return p
			}
		}
		if x.slash {
			return &problem{Kind: kindNotFound, detail: faultTrailing}
		}
		return &problem{Kind: kindNotFound, detail: "no service offers this path"}
	case x.method == http.MethodOptions:
		x.options(allow)
		return nil
	}
	return &problem{Kind: kindMethod, detail: "the path is served for " + allow, allow: allow}
}

// options answers an OPTIONS request that no service has declared.
func (x *Exchange) options(allow string) {
	h := x.answerHeader()
	x.stamp(h)
	x.spare(h)
	h["Allow"] = []string{allow}
	x.status = http.StatusNoContent
	x.head(x.status)
}

// Explain says where a request would go at this moment, and why: target is its path and query, version what
// Stella-Version names, and key the value of what makes it sticky.
func (e *Edge) Explain(method, target, version, key string) routing.Explanation {
	if target == "" || target[0] != '/' {
		return routing.Explanation{Method: method, Path: target, Fault: "expected a path that begins with /"}
	}
	path, _, slash, fault := canonical(target)
	switch {
	case fault != "":
		return routing.Explanation{Method: method, Path: target, Fault: fault}
	case slash:
		x := e.explainSlash(method, path, version)
		e.explainOwn(&x, path, slash)
		return x
	}
	x := e.cfg.Registry.Explain(method, path, version, key)
	e.explainLegacy(&x, version, key)
	e.explainOwn(&x, path, slash)
	return x
}

// explainOwn adds to an explanation what the gateway itself has at a path that nobody else takes.
func (e *Edge) explainOwn(x *routing.Explanation, path string, slash bool) {
	m := e.cfg.Registry.Snapshot().Match(x.Method, path, nil)
	if x.Legacy != nil || !slash && m.Allow() != "" || x.Method != http.MethodGet && x.Method != http.MethodHead {
		return
	}
	if d, err := e.cfg.Catalog.Find(path); err == nil && d != nil && !slash {
		x.Own, x.Fault = "a document about all services", ""
		return
	}
	d := e.policy.Load().folder(path)
	if d == nil {
		return
	}
	switch f, folder, err := d.Open(path, slash, true); {
	case err != nil:
	case f != nil:
		x.Own = "the file " + f.Name + " of static " + d.Path
		if f.Fallback {
			x.Own += ", for pages"
		}
		x.Fault = ""
		_ = f.Close() // nothing has been written
	default:
		x.Own, x.Fault = "a redirect to "+folder+" of static "+d.Path, ""
	}
}
