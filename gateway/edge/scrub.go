package edge

import (
	"net/textproto"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// What the gateway makes of a request header field.
type verdict uint8

const (
	keep     verdict = iota
	drop             // hop-by-hop (RFC 9110, section 7.6.1), or carried in REQUEST's typed metadata
	reserved         // says who calls or where from: only the gateway may
)

// named are the fields that are dropped, beside those that are reserved. Names are canonical.
var named = map[string]verdict{
	"Alt-Svc": drop, "Connection": drop, "Content-Length": drop, "Expect": drop, "Host": drop, "Http2-Settings": drop,
	"Keep-Alive": drop, "Te": drop, "Trailer": drop, "Transfer-Encoding": drop, "Upgrade": drop,
	headerRequestID: drop, headerTraceparent: drop, headerTracestate: drop, "Baggage": drop,
}

// judge decides on a canonical header name.
func judge(name string) verdict {
	if v, ok := named[name]; ok {
		return v
	}
	if spec.IsReservedHeader(name) {
		return reserved
	}
	return keep
}

// fieldOverhead is the most that a field takes on the wire beside its name and value: three numbers.
const fieldOverhead = 9

// scrub decides which header fields go on. It is the same for every endpoint, with and without claims. A name with an
// underscore is dropped, since many readers take it for a dash: X_User_Id would pass for X-User-Id. One that would frame the
// body is refused: a proxy before the gateway may have taken it at its word.
func scrub(x *Exchange) *problem {
	header := x.header()
	if name := x.framed(); name != "" {
		return &problem{Kind: kindRequest, detail: name + " must be spelt with a dash"}
	}
	if c := header["Connection"]; len(c) > 0 {
		if p := x.nominate(c); p != nil {
			return p
		}
	}
	fields := x.request.Header[:0]
	for name, values := range header {
		if judge(name) != keep || strings.IndexByte(name, '_') >= 0 || x.isNominated(name) {
			continue
		}
		for _, v := range values {
			fields = append(fields, spec.Field{Name: name, Value: v})
			x.room += len(name) + len(v) + fieldOverhead
		}
	}
	x.request.Header = fields
	if len(fields) > spec.MaxFields {
		return &problem{Kind: kindHeaders, detail: "the request has more header fields than the gateway passes on"}
	}
	return nil
}

// nominate reads Connection: the fields that it names are hop-by-hop. Naming one that services rely on would be a way to
// make it vanish behind the gateway's checks.
func (x *Exchange) nominate(values []string) *problem {
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			token = textproto.TrimString(token)
			switch {
			case token == "", strings.EqualFold(token, "keep-alive"), strings.EqualFold(token, "close"):
				continue
			}
			name := textproto.CanonicalMIMEHeaderKey(token)
			folded := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(token, "_", "-"))
			if name == "Host" || name == "Authorization" || strings.HasPrefix(name, "Content-") || judge(folded) == reserved {
				return &problem{Kind: kindRequest, detail: "Connection must not name " + name}
			}
			x.nominated = append(x.nominated, name)
		}
	}
	return nil
}

func (x *Exchange) isNominated(name string) bool {
	return slices.Contains(x.nominated, name)
}

// answerDropped are the fields of a service's answer that do not pass, beside those of the gateway's own names. Proxy-Status
// is the gateway's: who reads it learns that the service did not make the answer.
var answerDropped = []string{
	"Alt-Svc", "Connection", "Content-Length", "Date", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", headerProxyStatus, "Server", "Te", "Transfer-Encoding", "Upgrade", headerRequestID,
}

var answerVerdicts = func() map[string]verdict {
	m := make(map[string]verdict, len(answerDropped))
	for _, name := range answerDropped {
		m[name] = drop
	}
	return m
}()

// judgeAnswer decides on a field of a service's answer, by its canonical name. A service's word about the connection,
// the length or the gateway's own headers does not count.
func judgeAnswer(name string) verdict {
	if v, ok := answerVerdicts[name]; ok {
		return v
	}
	if strings.HasPrefix(name, "X-Stella-") || strings.HasPrefix(name, "Stella-") {
		return reserved
	}
	return keep
}
