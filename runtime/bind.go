package stella

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
)

// maxFaults bounds how many faults one answer lists: a wrong body of a mebibyte has hundreds of thousands.
const maxFaults = 100

// maxQuoted bounds how much of a wrong value an answer repeats, in bytes.
const maxQuoted = 40

// Binder turns one request into a handler's input, and collects everything that is wrong with it, so that the caller
// gets all faults in one answer. It is for generated code: the body first, by Body and the Decode functions, then the
// path, the query and the header, by the Bind functions, then Err. It is not safe for concurrent use.
type Binder struct {
	request *Request
	failure error // ends binding at once, such as a body over its limit
	faults  []spec.Fault
	dropped int // faults over maxFaults

	text jsonText // the body, checked
	at   int      // offset of the next part of text
	path []step   // of the value at that offset
	some [8]step  // room for a usual path
	rule *Rule    // of that value; nil: none

	form          *form    // once it has been read
	unknownFields []string // of the form

	lax   bool   // unknown members are passed over
	last  []byte // the number that was taken last
	clean bool   // the object that was walked last had no fault

	objects, arrays int // being walked
	someObjects     [3]Object
	someArrays      [2]Array

	query   url.Values // once it has been read, which not every query is
	param   Param      // the one at hand
	element Param      // of a parameter that comes several times
}

// step is one level of a JSON pointer: a member's name, or an element's index.
type step struct {
	name  string
	index int // -1 for a member
}

// Bind begins with one request. For generated code, which should not hold a copy of it.
//
//go:noinline
func Bind(r *Request) *Binder {
	b := &Binder{request: r}
	b.path = b.some[:0]
	return b
}

// Err is nil if the input is whole, and otherwise what to answer: an *Error with all faults.
func (b *Binder) Err() error {
	if b.failure != nil {
		return b.failure
	}
	if len(b.faults) == 0 {
		return nil
	}
	message := "The request has a fault in its input: see errors."
	if n := len(b.faults) + b.dropped; n > 1 {
		message = fmt.Sprintf("The request has %d faults in its input: see errors.", n)
	}
	return &Error{Status: http.StatusBadRequest, Code: "invalid_input", Message: message, Faults: b.faults}
}

// IgnoreUnknown has members of the body passed over that the input does not have.
func (b *Binder) IgnoreUnknown() *Binder {
	b.lax = true
	return b
}

func (b *Binder) add(f spec.Fault) {
	if len(b.faults) == maxFaults {
		b.dropped++
		return
	}
	b.faults = append(b.faults, f)
}

// fault reports that the JSON value at hand is wrong.
func (b *Binder) fault(detail string) {
	b.add(spec.Fault{In: spec.InBody, Pointer: b.pointer(), Detail: detail})
}

// faultAll reports everything that is wrong with the JSON value at hand.
func (b *Binder) faultAll(details []string) {
	for _, d := range details {
		b.fault(d)
	}
}

// Body reads the body, and reports whether there is JSON to decode. A request without a body is a fault if it is
// required; what is decoded then is an object without members, so that each required member is reported as well, and
// each default taken. A body of another media type is refused with 415.
func (b *Binder) Body(required bool) bool {
	data, err := b.request.ReadBody()
	if err != nil {
		b.failure = bodyFailure(err)
		return false
	}
	if len(data) == 0 {
		if required {
			b.fault("required: expected a JSON object, got no body")
		}
		b.text, b.at = noMembers, 0
		return true
	}
	if err := checkMedia(b.request.Header); err != nil {
		b.failure = err
		return false
	}
	b.text = data
	if err := b.text.check(); err != nil {
		b.fault(err.describe(b.text))
		return false
	}
	b.at = b.text.space(0)
	return true
}

// noMembers takes the place of a body that did not come.
var noMembers = jsonText("{}")

func bodyFailure(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return fmt.Errorf("stella: reading the request body: %w", err)
}

// checkMedia lets JSON pass, and a body that does not say what it is.
func checkMedia(h Header) error {
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unsupportedMedia(fmt.Sprintf("Send the body without Content-Encoding, got %.40q.", coding))
	}
	value := h.Get("Content-Type")
	if value == "" || value == "application/json" {
		return nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil || !isJSON(media) {
		return unsupportedMedia(fmt.Sprintf("Send the body as application/json, got %.80q.", value))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return unsupportedMedia(fmt.Sprintf("Send JSON in UTF-8, got charset %.40q.", charset))
	}
	return nil
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

func unsupportedMedia(message string) *Error {
	return NewError(http.StatusUnsupportedMediaType, "unsupported_media_type", message)
}

// pointerEscapes are those of a JSON pointer.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is the JSON pointer (RFC 6901) of the value at hand; empty for the whole body.
func (b *Binder) pointer() string {
	var p []byte
	for _, s := range b.path {
		p = append(p, '/')
		if s.index >= 0 {
			p = strconv.AppendInt(p, int64(s.index), 10)
			continue
		}
		p = append(p, pointerEscapes.Replace(s.name)...)
	}
	return string(p)
}

func (b *Binder) enter(member string) { b.path = append(b.path, step{member, -1}) }
func (b *Binder) leave()              { b.path = b.path[:len(b.path)-1] }

// raw takes the value that comes next. The text has been checked: there is one.
func (b *Binder) raw() []byte {
	from := b.at
	end, err := b.text.value(from, 0)
	if err != nil { // only after a wrong use by generated code
		b.fault(err.describe(b.text))
		b.at = len(b.text)
		return []byte("null")
	}
	b.at = b.text.space(end)
	return b.text[from:end]
}

func (b *Binder) isNull() bool { return b.text.at(b.at) == 'n' }

// null takes a null, if that comes next.
func (b *Binder) null() bool {
	if !b.isNull() {
		return false
	}
	b.raw()
	return true
}

// open begins an object or array. If something else comes, it reports that and passes over it.
func (b *Binder) open(bracket byte, want string) bool {
	if b.text.at(b.at) != bracket {
		b.mismatch(want, b.raw())
		return false
	}
	b.at = b.text.space(b.at + 1)
	return true
}

// member takes the name of an object's next member, in its quotes, or the object's end.
func (b *Binder) member() (name []byte, more bool) {
	if !b.more('}') {
		return nil, false
	}
	end, err := b.text.text(b.at)
	if err != nil { // only after a wrong use by generated code
		b.fault(err.describe(b.text))
		b.at = len(b.text)
		return nil, false
	}
	name = b.text[b.at:end]
	b.at = b.text.space(b.text.space(end) + 1) // over the colon
	return name, true
}

// name takes the name of an object's next member, or the object's end. Members whose names are no text are reported as
// the object's fault, because no pointer names them, and passed over.
func (b *Binder) name() (name string, more bool) {
	for {
		quoted, more := b.member()
		if !more {
			return "", false
		}
		name, detail := unquote(quoted)
		if detail == "" {
			return name, true
		}
		b.fault("a member's name: " + detail)
		b.raw()
	}
}

// more goes to an object's or array's next part, or takes its end.
func (b *Binder) more(end byte) bool {
	switch b.text.at(b.at) {
	case end:
		b.at = b.text.space(b.at + 1)
		return false
	case ',':
		b.at = b.text.space(b.at + 1)
	}
	return b.at < len(b.text)
}

// mismatch reports a value of the wrong JSON type.
func (b *Binder) mismatch(want string, raw []byte) {
	b.fault("expected " + want + ", got " + kindOf(raw))
}

// kindNumber is the JSON type of everything that no first character tells.
const kindNumber = "number"

func kindOf(raw []byte) string {
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return kindNumber
}

type (
	signed interface {
		~int | ~int8 | ~int16 | ~int32 | ~int64
	}
	unsigned interface {
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
	}
	float interface{ ~float32 | ~float64 }
)

// DecodeString takes a JSON string. It must be UTF-8. For generated code, as are the other Decode functions.
func DecodeString[T ~string](b *Binder, dst *T) {
	if s, ok := b.string(); ok {
		*dst = T(s)
	}
}

// string takes text, and reports whether there was any that is right but for its rule.
func (b *Binder) string() (string, bool) {
	s, ok := b.plainText()
	if !ok {
		raw := b.raw()
		if raw[0] != '"' {
			b.mismatch("string", raw)
			return "", false
		}
		var detail string
		if s, detail = unquote(raw); detail != "" {
			b.fault(detail)
			return "", false
		}
	}
	b.faultAll(b.rule.text(s))
	return s, true
}

// plainText takes text without escapes that is UTF-8, as most is, and nothing else.
func (b *Binder) plainText() (string, bool) {
	if b.text.at(b.at) != '"' {
		return "", false
	}
	inner := b.text[b.at+1:]
	end := bytes.IndexByte(inner, '"')
	if end < 0 {
		return "", false
	}
	if inner = inner[:end]; bytes.IndexByte(inner, '\\') >= 0 || !utf8.Valid(inner) {
		return "", false
	}
	b.at = b.text.space(b.at + 1 + end + 1)
	return string(inner), true
}

// DecodeInt takes a JSON number without fraction and exponent that fits T.
func DecodeInt[T signed](b *Binder, dst *T) {
	if n, ok := b.int(); ok && b.fits(int64(T(n)) == n, "integer") {
		*dst = T(n)
		b.faultAll(b.rule.int(n))
	}
}

// DecodeUint takes a JSON number without sign, fraction and exponent that fits T.
func DecodeUint[T unsigned](b *Binder, dst *T) {
	if n, ok := b.uint(); ok && b.fits(uint64(T(n)) == n, "integer") {
		*dst = T(n)
		b.faultAll(b.rule.uint(n))
	}
}

// DecodeFloat takes a JSON number within T's range.
func DecodeFloat[T float](b *Binder, dst *T) {
	if n, ok := b.float(); ok && b.fits(!math.IsInf(float64(T(n)), 0), kindNumber) {
		*dst = T(n)
		b.faultAll(b.rule.float(float64(*dst), bitsOf[T]()))
	}
}

// number takes a number, or reports that something else has come.
func (b *Binder) number(want string) (raw []byte, ok bool) {
	raw = b.raw()
	if kindOf(raw) != kindNumber {
		b.mismatch(want, raw)
		return nil, false
	}
	b.last = raw
	return raw, true
}

// fits reports a number that its Go type has no room for, unless it has.
func (b *Binder) fits(does bool, kind string) bool {
	if !does {
		b.fault(outOfRange(kind, string(b.last)))
	}
	return does
}

// numberBy takes a number by a function that tells what is wrong with it, or an empty string.
func numberBy[N int64 | uint64 | float64](b *Binder, want string, parse func(string) (N, string)) (n N, ok bool) {
	raw, ok := b.number(want)
	if !ok {
		return 0, false
	}
	n, detail := parse(string(raw))
	if detail != "" {
		b.fault(detail)
	}
	return n, detail == ""
}

func (b *Binder) int() (n int64, ok bool) {
	if n, end := smallInt(b.text, b.at); end > 0 {
		b.last = b.text[b.at:end]
		b.at = b.text.space(end)
		return n, true
	}
	return numberBy(b, "integer", parseInt)
}

func (b *Binder) uint() (n uint64, ok bool) { return numberBy(b, "integer", parseUint) }

func (b *Binder) float() (n float64, ok bool) { return numberBy(b, kindNumber, parseFloat) }

// smallInt reads up to 18 digits, which any int64 has room for, and nothing else: end is 0 then.
func smallInt(t jsonText, at int) (n int64, end int) {
	for i := at; i < len(t) && i < at+19; i++ {
		switch c := t[i]; {
		case c >= '0' && c <= '9':
			n = n*10 + int64(c-'0')
		case i == at || c == '.' || c == 'e' || c == 'E':
			return 0, 0
		default:
			return n, i
		}
	}
	return 0, 0
}

// bitsOf is the size of T: 32 or 64.
func bitsOf[T float]() int {
	if smallest := math.SmallestNonzeroFloat64; T(smallest) == 0 {
		return 32
	}
	return 64
}

// DecodeBool takes true or false.
func DecodeBool[T ~bool](b *Binder, dst *T) {
	raw := b.raw()
	if raw[0] != 't' && raw[0] != 'f' {
		b.mismatch("boolean", raw)
		return
	}
	*dst = raw[0] == 't'
}

// DecodeTime takes a string with an RFC 3339 time.
func DecodeTime(b *Binder, dst *time.Time) {
	raw := b.raw()
	if raw[0] != '"' {
		b.mismatch("string", raw)
		return
	}
	s, detail := unquote(raw)
	if detail != "" {
		b.fault(detail)
		return
	}
	t, detail := parseTime(s)
	if detail != "" {
		b.fault(detail)
		return
	}
	*dst = t
}

// DecodeBytes takes a string in base64 (RFC 4648, section 4), or null.
func DecodeBytes[T ~[]byte](b *Binder, dst *T) {
	raw := b.raw()
	if raw[0] != '"' && raw[0] != 'n' {
		b.mismatch("string", raw)
		return
	}
	var data []byte
	if err := json.Unmarshal(raw, &data); err != nil {
		b.fault("expected base64 text: " + err.Error())
		return
	}
	*dst = data
}

// DecodePointer takes null, or a value by elem.
func DecodePointer[T any](b *Binder, dst **T, elem func(*Binder, *T)) {
	if b.null() {
		*dst = nil
		return
	}
	v := new(T)
	elem(b, v)
	*dst = v
}

// DecodeSlice takes null, or an array whose elements elem takes.
func DecodeSlice[S ~[]T, T any](b *Binder, dst *S, elem func(*Binder, *T)) {
	if b.null() {
		*dst = nil
		return
	}
	if !b.open('[', "array") {
		return
	}
	rule, list := b.rule, S{}
	for b.more(']') {
		b.path, b.rule = append(b.path, step{index: len(list)}), rule.each()
		if cap(list) == 0 {
			list = make(S, 0, fewElements)
		}
		var v T
		list = append(list, v)
		elem(b, &list[len(list)-1])
		b.leave()
	}
	*dst = list
	b.faultAll(rule.items(len(list)))
	b.faultAll(repeated(rule, list))
}

// fewElements is how many elements there is room for at first.
const fewElements = 4

// DecodeMap takes null, or an object with any names, whose values elem takes.
func DecodeMap[M ~map[K]V, K ~string, V any](b *Binder, dst *M, elem func(*Binder, *V)) {
	if b.null() {
		*dst = nil
		return
	}
	if !b.open('{', "object") {
		return
	}
	rule, members := b.rule, M{}
	for {
		name, more := b.name()
		if !more {
			break
		}
		b.enter(name)
		if _, twice := members[K(name)]; twice {
			b.fault("member given twice")
		}
		var v V
		b.rule = rule.each()
		elem(b, &v)
		members[K(name)] = v
		b.leave()
	}
	*dst = members
}
