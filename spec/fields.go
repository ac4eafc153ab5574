package spec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
)

// Field is one header field. Names compare without case; the wire carries them in canonical form (Content-Type).
type Field struct{ Name, Value string }

// Check reports what keeps f from travelling: a name that is not a token (RFC 9110, section 5.6.2), or a value with
// control characters.
func (f Field) Check() error {
	switch {
	case !validName(f.Name):
		return fmt.Errorf("spec: header name %.40q is not a token", f.Name)
	case !validValue(f.Value):
		return fmt.Errorf("spec: value of header %s has a control character", f.Name)
	}
	return nil
}

// staticNames are the header names with a number on the wire: index 1 is the first. The list only ever grows at
// its end; PROTOCOL.md, section "Header fields", is generated from it and a test compares the two.
var staticNames = [...]string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Access-Control-Allow-Credentials",
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
	"Access-Control-Expose-Headers", "Access-Control-Max-Age", "Access-Control-Request-Headers",
	"Access-Control-Request-Method", "Age", "Allow", "Authorization", "Cache-Control", "Content-Disposition",
	"Content-Encoding", "Content-Language", "Content-Length", "Content-Location", "Content-Range",
	"Content-Security-Policy", "Content-Type", "Cookie", "Date", "Dnt", "Etag", "Expect", "Expires", "From",
	"Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since",
	"Last-Event-Id", "Last-Modified", "Link", "Location", "Origin", "Pragma", "Prefer", "Priority", "Range",
	"Referer", "Referrer-Policy", "Retry-After", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Sec-Fetch-User", "Server-Timing", "Set-Cookie", "Strict-Transport-Security", "Upgrade-Insecure-Requests",
	"User-Agent", "Vary", "Via", "Www-Authenticate", "X-Content-Type-Options", "X-Frame-Options",
}

// StaticNames returns the header names that have a number on the wire, the first being number 1.
func StaticNames() []string { return slices.Clone(staticNames[:]) }

var staticIndex = func() map[string]uint64 {
	m := make(map[string]uint64, len(staticNames))
	for i, n := range staticNames {
		m[n] = uint64(i + 1)
	}
	return m
}()

// AppendField appends one header field. The caller has counted it in the field count that precedes all fields. A
// name in canonical form that is in the static table takes one byte.
func AppendField(dst []byte, name, value string) []byte {
	if i, ok := staticIndex[name]; ok {
		dst = binary.AppendUvarint(dst, i)
	} else {
		dst = append(dst, 0)
		dst = appendString(dst, name)
	}
	return appendString(dst, value)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// ErrMetadata is what every metadata decoding error wraps.
var ErrMetadata = errors.New("spec: malformed metadata")

// cursor reads metadata. After the first fault every read returns a zero value, and err tells the fault.
type cursor struct {
	s   string
	err error
}

func (c *cursor) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrMetadata}, args...)...)
		c.s = ""
	}
}

func (c *cursor) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(c.s); i++ {
		b := c.s[i]
		if i == 9 && b > 1 { // the tenth byte has room for one bit, and none follows it
			c.failf("number over 64 bits")
			return 0
		}
		if b < 0x80 {
			if b == 0 && i > 0 {
				c.failf("number not in its shortest form")
				return 0
			}
			c.s = c.s[i+1:]
			return v | uint64(b)<<(7*i)
		}
		v |= uint64(b&0x7f) << (7 * i)
	}
	c.failf("ends within a number")
	return 0
}

func (c *cursor) byte() byte {
	if len(c.s) == 0 {
		c.failf("ends where a byte was expected")
		return 0
	}
	b := c.s[0]
	c.s = c.s[1:]
	return b
}

func (c *cursor) take(n uint64) string {
	if n > uint64(len(c.s)) {
		c.failf("needs %d more bytes, has %d", n, len(c.s))
		return ""
	}
	v := c.s[:n]
	c.s = c.s[n:]
	return v
}

func (c *cursor) string() string { return c.take(c.uvarint()) }

// count reads a number of things of at least size bytes each, and checks it against [MaxFields] and the bytes that
// are left before anything is allocated.
func (c *cursor) count(what string, size int) int {
	n := c.uvarint()
	if n > MaxFields {
		c.failf("%d %s, the limit is %d", n, what, MaxFields)
		return 0
	}
	if int(n)*size > len(c.s) {
		c.failf("%d %s do not fit", n, what)
		return 0
	}
	return int(n)
}

func (c *cursor) fields(dst []Field) []Field {
	n := c.count("header fields", 2)
	dst = slices.Grow(dst, n)
	for range n {
		var f Field
		if i := c.uvarint(); i == 0 {
			f.Name = c.string()
			if !validName(f.Name) {
				c.failf("header name %.40q", f.Name)
				return dst
			}
			f.Name = textproto.CanonicalMIMEHeaderKey(f.Name)
		} else if i <= uint64(len(staticNames)) {
			f.Name = staticNames[i-1]
		} else {
			c.failf("header name number %d, the last is %d", i, len(staticNames))
			return dst
		}
		f.Value = c.string()
		if !validValue(f.Value) {
			c.failf("value of header %s has a control character", f.Name)
		}
		if c.err != nil {
			return dst
		}
		dst = append(dst, f)
	}
	return dst
}

func (c *cursor) end() error {
	if c.err == nil && len(c.s) != 0 {
		c.failf("%d bytes after the last part", len(c.s))
	}
	return c.err
}

var nameByte = func() (t [256]bool) { // RFC 9110, section 5.6.2, token
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()

func validName(s string) bool {
	for i := range len(s) {
		if !nameByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// validValue allows what RFC 9110, section 5.5, does: no control characters but the tab.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
