package edge

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/stella-ops/router/gateway/catalog"
)

// document answers a request for one of the gateway's own documents, which stand where no service offers anything. It
// reports whether the path is one's.
func (e *Edge) document(x *Exchange) (found bool, p *problem) {
	if x.slash {
		return false, nil
	}
	d, err := e.cfg.Catalog.Find(x.path)
	if err != nil { // cannot be: manifests have been checked
		e.log.ErrorContext(x.ctx, "the gateway's documents cannot be written", "error", err)
		return false, nil
	}
	if d == nil {
		return false, nil
	}
	switch x.method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		x.options("GET, HEAD")
		return true, nil
	default:
		return true, &problem{Kind: kindMethod, detail: "the path is served for GET, HEAD", allow: "GET, HEAD"}
	}
	h := x.answerHeader()
	h["Etag"] = []string{d.ETag}
	if isCurrent(x.header()["If-None-Match"], d.ETag) {
		e.send(x, http.StatusNotModified, "", nil)
		return true, nil
	}
	e.send(x, http.StatusOK, d.Type, d.Body)
	return true, nil
}

// documentAge is what the gateway says of how long its documents may be kept.
var documentAge = []string{"public, max-age=" + strconv.Itoa(catalog.MaxAge)}

// isCurrent reports whether one of the tags that a client has is the document's, by weak comparison (RFC 9110, section
// 13.1.2).
func isCurrent(fields []string, tag string) bool {
	for _, field := range fields {
		for t := range strings.SplitSeq(field, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
	}
	return false
}
