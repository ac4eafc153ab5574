package edge

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// Trailers pass both ways, apart from the header, by its policy, and but for fields that must not follow a body: PROTOCOL.md,
// section "Trailers". Requests without any cost a look at a length.

const headerTrailer = "Trailer"

// keepsTrailer reports whether a trailer of a request goes on. The name is canonical.
func (x *Exchange) keepsTrailer(name string) bool {
	return judge(name) == keep && !spec.IsForbiddenTrailer(name) && strings.IndexByte(name, '_') < 0 && !x.isNominated(name)
}

// foretell tells the service the names of the trailers that the client has announced, of those that go on.
func (x *Exchange) foretell() {
	var names []string
	for name := range x.trailer() {
		if x.keepsTrailer(name) && (spec.Field{Name: name}).Check() == nil {
			names = append(names, name)
		}
	}
	if len(names) == 0 || len(x.request.Header) == spec.MaxFields { // it promises nothing, and may be left out
		return
	}
	slices.Sort(names)
	f := spec.Field{Name: headerTrailer, Value: strings.Join(names, ", ")}
	x.request.Header = append(x.request.Header, f)
	x.room += len(f.Name) + len(f.Value) + fieldOverhead
}

// trailers are what has followed the request's body, of which the end has been read. Their problem is the body's: one that
// nobody takes, or that does not fit.
func (x *Exchange) trailers() (fields []spec.Field, p *problem, code spec.Code) {
	size := 0
	for name, values := range x.trailer() {
		if len(values) == 0 || !x.keepsTrailer(name) {
			continue
		}
		for _, v := range values {
			f := spec.Field{Name: name, Value: v}
			if f.Check() != nil { // net/http checks no values of trailers
				return nil, &problem{Kind: kindBody, detail: "a trailer behind the request body has characters that no field may have"}, spec.CodeClientGone
			}
			fields = append(fields, f)
			size += len(name) + len(v) + fieldOverhead
		}
	}
	if len(fields) > spec.MaxFields || size > spec.MaxMetadata {
		return nil, &problem{Kind: kindHeaders, detail: "the request has more trailers than the gateway passes on"}, spec.CodeLimit
	}
	return fields, nil, 0
}

// readEnd reads the end of a body that has come whole, where trailers were announced: HTTP/2 has them behind a body of a
// known length, too.
func (e *Edge) readEnd(x *Exchange) *problem {
	x.readBy(time.Now().Add(e.cfg.Stall))
	defer x.readBy(time.Time{}) // what a deadline is for has been read
	var none [1]byte
	for {
		n, err := x.read(none[:])
		switch {
		case n > 0:
			return &problem{Kind: kindBody, detail: "the request body is longer than its Content-Length"}
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
			p, _ := x.fault(err)
			if p == nil {
				x.abort(statusClientGone)
			}
			return p
		}
		var p *problem
		x.ending, p, _ = x.trailers()
		return p
	}
}

// begins says how REQUEST is to be flagged for a session: whether its end is to follow, with trailers.
func (x *Exchange) begins(g *session.Gateway, flags spec.Flags) spec.Flags {
	if len(x.ending) > 0 && g.Trailers() {
		return flags &^ spec.FlagEnd
	}
	return flags
}

// declare takes a service's field Trailer over: the names that may be of trailers of the answer.
func (x *Exchange) declare(value string) {
	for name := range strings.SplitSeq(value, ",") {
		name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
		if x.keepsAnswerTrailer(name) && (spec.Field{Name: name}).Check() == nil && !slices.Contains(x.declared, name) {
			x.declared = append(x.declared, name)
		}
	}
}

// keepsAnswerTrailer reports whether a trailer of a service's answer goes on. The name is canonical.
func (x *Exchange) keepsAnswerTrailer(name string) bool {
	return judgeAnswer(name) == keep && !spec.IsForbiddenTrailer(name) && (x.cors == nil || !strings.HasPrefix(name, accessControl))
}

// undeclare keeps net/http from taking a field of the header, which has been sent, for the trailer of that name.
func (x *Exchange) undeclare() {
	h := x.answerHeader()
	for _, name := range x.declared {
		delete(h, name)
	}
}

// trail has the answer, of which the body has been passed on, end with trailers, if the client can have them. HTTP/1.1 has them
// behind chunks alone.
func (x *Exchange) trail(fields []spec.Field) error {
	if len(fields) == 0 {
		return nil
	}
	h := x.answerHeader()
	if x.http1() && len(h[headerContentLength]) > 0 {
		return nil
	}
	some := false
	for _, f := range fields {
		if !x.keepsAnswerTrailer(f.Name) || x.coded != nil && digests(f.Name) {
			continue
		}
		if !some && x.http1() && len(x.declared) == 0 { // net/http would say the length of a small answer, and leave them out
			if err := x.flush(); err != nil {
				return err
			}
		}
		some = true
		key := http.TrailerPrefix + f.Name
		h[key] = append(h[key], f.Value)
	}
	return nil
}

// digests reports whether a field is a digest of the very octets that are sent.
func digests(name string) bool {
	switch name {
	case "Content-Digest", "Content-Md5", "Digest", "Etag", "Repr-Digest":
		return true
	}
	return false
}
