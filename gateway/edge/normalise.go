package edge

import (
	"net/http"
	"strings"

	"github.com/stella-ops/router/spec"
)

// What a byte of a request target is to the path.
const (
	byteBad     = iota // control and blank, raw non-ASCII, backslash, #
	bytePlain          // stands for itself (RFC 3986, section 3.3, pchar)
	byteEscape         // may come raw, but stands in a path as an escape only
	byteSlash          //
	bytePercent        //
	byteQuery          // ?
)

var classes = func() (t [256]uint8) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = byteEscape
	}
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@") {
		t[c] = bytePlain
	}
	t['/'], t['%'], t['?'], t['\\'], t['#'] = byteSlash, bytePercent, byteQuery, byteBad, byteBad
	return t
}()

var allMethods = strings.Join(spec.Methods, ", ")

// normalise finds the one canonical path. The target may be in absolute form (RFC 9112, section 3.2.2), whose
// authority net/http has put in the place of Host.
func normalise(x *Exchange) *problem {
	if x.method == http.MethodConnect || x.method == http.MethodTrace {
		return &problem{Kind: kindMethod, detail: x.method + " is not served", allow: allMethods}
	}
	target := x.target()
	if target == "" || target[0] != '/' {
		if target == "*" && x.method == http.MethodOptions {
			x.options(allMethods)
			return nil
		}
		_, rest, ok := strings.Cut(target, "://")
		if !ok {
			return &problem{Kind: kindPath, detail: "the request target is neither a path nor a URL"}
		}
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			i = len(rest)
		}
		target = rest[i:]
		if target == "" || target[0] == '?' {
			target = "/" + target
		}
	}
	path, query, slash, fault := canonical(target)
	if fault != "" {
		return &problem{Kind: kindPath, detail: fault}
	}
	if slash && len(x.policy.folders) == 0 && x.policy.legacy == nil {
		return &problem{Kind: kindNotFound, detail: faultTrailing}
	}
	x.path, x.slash, x.request.Query = path, slash, query
	return nil
}

// canonical splits a target that begins with a slash, and gives its path the one form in which it is authorised,
// routed and forwarded: unreserved characters stand for themselves, all other escapes have upper-case digits. A slash at the end
// is taken off and told. fault says why there is none.
func canonical(target string) (path, query string, slash bool, fault string) {
	plain, start, i := true, 1, 1
scan:
	for ; i < len(target); i++ {
		switch classes[target[i]] {
		case bytePlain:
		case byteSlash:
			if dots(target[start:i]) {
				return "", "", false, faultSegment
			}
			start = i + 1
		case byteQuery:
			break scan
		case byteBad:
			return "", "", false, faultByte
		default:
			plain = false
		}
	}
	path = target[:i]
	if slash = i > 1 && start == i; slash {
		path = path[:i-1]
	} else if i > 1 && dots(target[start:i]) {
		return "", "", false, faultSegment
	}
	if i < len(target) {
		query = target[i+1:]
		for j := range len(query) {
			if c := query[j]; c <= ' ' || c >= 0x7f || c == '#' {
				return "", "", false, faultByte
			}
		}
	}
	if !plain {
		path, fault = rewrite(path)
	}
	return path, query, slash, fault
}

const (
	faultTrailing = "the path ends with a slash, and no endpoint's does: send it without"
	faultSegment  = "the path has an empty segment or one of dots: send the path that it stands for"
	faultByte     = "the request target has a character that must be percent-encoded, or a backslash or #"
	faultEscape   = "the path has an escape that is not % and two hexadecimal digits"
	faultHidden   = "the path has an escaped slash, backslash or control character"
)

// dots reports whether a segment is empty or would be resolved away.
func dots(segment string) bool { return segment == "" || segment == "." || segment == ".." }

const upperHex = "0123456789ABCDEF"

// rewrite is canonical for paths with escapes, or with characters that need one.
func rewrite(path string) (canonical, fault string) {
	b := make([]byte, 0, len(path)+8)
	start := 1
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch classes[c] {
		case byteSlash:
			if i > 0 && dots(string(b[start:])) {
				return "", faultSegment
			}
			b = append(b, c)
			start = len(b)
			continue
		case bytePlain:
			b = append(b, c)
			continue
		case bytePercent:
			if i+2 >= len(path) {
				return "", faultEscape
			}
			high, low := unhex(path[i+1]), unhex(path[i+2])
			if high < 0 || low < 0 {
				return "", faultEscape
			}
			c = byte(high<<4 | low)
			i += 2
		}
		switch {
		case c < ' ' || c == 0x7f || c == '/' || c == '\\':
			return "", faultHidden
		case unreserved(c):
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	if dots(string(b[start:])) {
		return "", faultSegment
	}
	return string(b), ""
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unreserved is RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// decode resolves the escapes of a segment of a canonical path.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '%' {
			b = append(b, c)
			continue
		}
		b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
		i += 2
	}
	return string(b)
}
