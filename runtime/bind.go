package stella

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

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

	lax   bool // unknown members are passed over
	clean bool // the object that was walked last had no fault

	queried bool // the query as a whole has been looked at
}

// step is one level of a JSON pointer: a member's name, or an element's index.
type step struct {
	name  string
	index int // -1 for a member
}

// Bind begins with one request. For generated code.
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
	*dst = T(s)
	b.faultAll(b.rule.text(s))
}

// DecodeInt takes a JSON number without fraction and exponent that fits T.
func DecodeInt[T signed](b *Binder, dst *T) {
	raw := b.raw()
	if kindOf(raw) != kindNumber {
		b.mismatch("integer", raw)
		return
	}
	n, detail := parseInt[T](string(raw))
	if detail != "" {
		b.fault(detail)
		return
	}
	*dst = n
	b.faultAll(b.rule.int(int64(n)))
}

// DecodeUint takes a JSON number without sign, fraction and exponent that fits T.
func DecodeUint[T unsigned](b *Binder, dst *T) {
	raw := b.raw()
	if kindOf(raw) != kindNumber {
		b.mismatch("integer", raw)
		return
	}
	n, detail := parseUint[T](string(raw))
	if detail != "" {
		b.fault(detail)
		return
	}
	*dst = n
	b.faultAll(b.rule.uint(uint64(n)))
}

// DecodeFloat takes a JSON number within T's range.
func DecodeFloat[T float](b *Binder, dst *T) {
	raw := b.raw()
	if kindOf(raw) != kindNumber {
		b.mismatch(kindNumber, raw)
		return
	}
	n, detail := parseFloat[T](string(raw))
	if detail != "" {
		b.fault(detail)
		return
	}
	*dst = n
	b.faultAll(b.rule.float(float64(n), bitsOf[T]()))
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
