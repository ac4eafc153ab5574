package stella

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"mime/multipart"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
)

// valid has a member of each kind, bound as generated code binds them. No rule of it refuses anything.
type valid struct {
	Text   string             `json:"text"`
	Int    int64              `json:"int"`
	Small  int8               `json:"small"`
	Uint   uint64             `json:"uint"`
	Float  float64            `json:"float"`
	Single float32            `json:"single"`
	Bool   bool               `json:"bool"`
	Ptr    *string            `json:"ptr"`
	Opt    Optional[int64]    `json:"opt,omitzero"`
	List   []string           `json:"list"`
	Map    map[string]float64 `json:"map"`
	Bytes  []byte             `json:"bytes"`
	Raw    json.RawMessage    `json:"raw"`
	Inner  []validInner       `json:"inner"`
	More   *validInner        `json:"more,omitempty"`
	Any    any                `json:"any"`
}

type validInner struct {
	Text string              `json:"text"`
	Opt  Optional[[]float32] `json:"opt"`
}

var (
	validMembers = []Member{
		{Name: "text", Rule: &Rule{Pattern: "(?s)^.*$"}}, {Name: "int", Rule: &Rule{MultipleOf: "1"}}, {Name: "small"}, {Name: "uint", Rule: &Rule{Minimum: "0"}},
		{Name: "float", Rule: &Rule{Minimum: strconv.FormatFloat(-math.MaxFloat64, 'f', -1, 64)}}, {Name: "single"}, {Name: "bool"}, {Name: "ptr"}, {Name: "opt"},
		{Name: "list", Rule: &Rule{MaxItems: 10, Each: &Rule{MaxLength: 1 << 30}}}, {Name: "map"}, {Name: "bytes"}, {Name: "raw"}, {Name: "inner"}, {Name: "more"},
		{Name: "any"},
	}
	validInnerMembers = []Member{{Name: "text", Required: true}, {Name: "opt"}}
)

func decodeValid(b *Binder, out *valid) {
	decoders := []func(){
		func() { DecodeString(b, &out.Text) }, func() { DecodeInt(b, &out.Int) }, func() { DecodeInt(b, &out.Small) }, func() { DecodeUint(b, &out.Uint) },
		func() { DecodeFloat(b, &out.Float) }, func() { DecodeFloat(b, &out.Single) }, func() { DecodeBool(b, &out.Bool) },
		func() { DecodePointer(b, &out.Ptr, DecodeString[string]) }, func() { DecodeOptional(b, &out.Opt, DecodeInt[int64]) },
		func() { DecodeSlice(b, &out.List, DecodeString[string]) }, func() { DecodeMap(b, &out.Map, DecodeFloat[float64]) },
		func() { DecodeBytes(b, &out.Bytes) }, func() { DecodeJSON(b, &out.Raw) }, func() { DecodeSlice(b, &out.Inner, decodeValidInner) },
		func() { DecodePointer(b, &out.More, decodeValidInner) }, func() { DecodeJSON(b, &out.Any) },
	}
	for o := b.Object(validMembers); o.Next(); {
		decoders[o.Index()]()
	}
}

func decodeValidInner(b *Binder, out *validInner) {
	for o := b.Object(validInnerMembers); o.Next(); {
		switch o.Index() {
		case 0: // text
			DecodeString(b, &out.Text)
		case 1: // opt
			DecodeOptional(b, &out.Opt, func(b *Binder, v *[]float32) { DecodeSlice(b, v, DecodeFloat[float32]) })
		}
	}
}

// FuzzValidBody writes a value by encoding/json: we take it, and make of it what encoding/json does.
func FuzzValidBody(f *testing.F) {
	f.Add("a\u2028</script>", int64(math.MinInt64), uint64(math.MaxUint64), 1e-320, float32(math.MaxFloat32), true, []byte{0, 255}, uint8(0xff))
	f.Add("", int64(0), uint64(0), math.Copysign(0, -1), float32(0.1), false, []byte(nil), uint8(0))
	f.Fuzz(func(t *testing.T, text string, n int64, u uint64, d float64, s float32, yes bool, data []byte, some uint8) {
		if !utf8.ValidString(text) || math.IsNaN(d) || math.IsInf(d, 0) || math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
			return // encoding/json has no form for them
		}
		v := valid{Text: text, Int: n, Small: int8(n), Uint: u, Float: d, Single: s, Bool: yes, Bytes: data}
		if some&1 != 0 {
			v.Ptr, v.Raw, v.Any = &text, json.RawMessage(strconv.Quote("x")), map[string]any{text: []any{d, nil, yes}}
		}
		if some&2 != 0 {
			v.Opt, v.More = Some(n), &validInner{text, Some([]float32{s, 0})}
		}
		if some&4 != 0 {
			v.Opt, v.Inner = Null[int64](), []validInner{{}, {text, Null[[]float32]()}}
		}
		if some&8 != 0 {
			v.List, v.Map = []string{text, "", text}, map[string]float64{text: d, "": 1}
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got, want valid
		b := Bind(incoming("", string(encoded)))
		b.request.endpoint.Limits.MaxBodyBytes = math.MaxInt32
		if b.Body(true) {
			decodeValid(b, &got)
		}
		if err := b.Err(); err != nil {
			e, _ := err.(*Error) //nolint:errorlint // nothing wraps it
			t.Fatalf("%s is refused: %+v", encoded, e)
		}
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %+v\nwant %+v", encoded, got, want)
		}
	})
}

// FuzzQuery compares the binding of parameters with net/url and strconv: what they take is taken, with the same result,
// and nothing else.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"s=a+b%20c&n=-5&f=1e3&b=true&l=1&l=2", "n=+1", "n=32768", "f=0x1", "b=1", "s=%ff", "s=1&s=2", "l=&l", "a;b", "%zz=1", "f=Inf&n=1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		var in struct {
			s string
			n int16
			f float64
			b bool
			l []uint8
		}
		b := Bind(incoming(query, ""))
		BindString(b.Query("s"), &in.s)
		BindInt(b.Query("n"), &in.n)
		BindFloat(b.Query("f"), &in.f)
		BindBool(b.Query("b"), &in.b)
		BindSlice(b.Query("l"), &in.l, BindUint[uint8])
		values, err := url.ParseQuery(query)
		ok := err == nil
		want := in
		want.s, want.n, want.f, want.b, want.l = "", 0, 0, false, nil
		one := func(name string, take func(text string) bool) {
			if list := values[name]; len(list) > 0 {
				ok = ok && len(list) == 1 && utf8.ValidString(list[0]) && take(list[0])
			}
		}
		one("s", func(text string) bool { want.s = text; return true })
		one("n", func(text string) bool {
			n, err := strconv.ParseInt(text, 10, 16)
			want.n = int16(n)
			return err == nil && text[0] != '+'
		})
		one("f", func(text string) bool {
			n, err := strconv.ParseFloat(text, 64)
			want.f = n
			return err == nil && strings.Trim(text, "0123456789+-.eE") == ""
		})
		one("b", func(text string) bool { want.b = text == "true"; return want.b || text == "false" })
		for _, text := range values["l"] {
			n, err := strconv.ParseUint(text, 10, 8)
			ok, want.l = ok && err == nil, append(want.l, uint8(n))
		}
		switch err := b.Err(); {
		case (err == nil) != ok:
			t.Fatalf("%q: %v, net/url and strconv say %v", query, err, ok)
		case ok && !reflect.DeepEqual(in, want):
			t.Fatalf("%q: got %+v, want %+v", query, in, want)
		}
	})
}

// FuzzForms sends the same fields as a form of either kind: they bind to what net/url makes of them.
func FuzzForms(f *testing.F) {
	f.Add("a&b=c\r\n", "%ff+", int64(-1), []byte("--x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text, other string, n int64, data []byte) {
		if !utf8.ValidString(text) || !utf8.ValidString(other) {
			return
		}
		type input struct {
			text string
			list []string
			n    int64
			file []byte
		}
		values := url.Values{"text": {text}, "list": {other, text}, "n": {strconv.FormatInt(n, 10)}}
		want := input{text: text, list: []string{other, text}, n: n}
		bind := func(media string, body []byte, fields ...FormField) (in input) {
			t.Helper()
			b := Bind(incoming("", string(body), spec.Field{Name: "Content-Type", Value: media}))
			b.request.endpoint.Limits.MaxBodyBytes = math.MaxInt32
			b.Form(append(fields, FormField{Name: "text"}, FormField{Name: "list"}, FormField{Name: "n"}))
			BindString(b.Field("text"), &in.text)
			BindSlice(b.Field("list"), &in.list, BindString[string])
			BindInt(b.Field("n"), &in.n)
			var file File
			b.File("file", len(fields) > 0, &file)
			if err := b.Err(); err != nil {
				t.Fatalf("%s: %+v", media, err)
			}
			in.file = file.data
			return in
		}
		if got := bind(spec.MediaForm, []byte(values.Encode())); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if len(text)+len(other)+len(data) > maxFormMemory/4 {
			return
		}
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, list := range values {
			for _, v := range list {
				if err := w.WriteField(name, v); err != nil {
					t.Fatal(err)
				}
			}
		}
		part, err := w.CreateFormFile("file", "f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want.file = append([]byte{}, data...)
		if got := bind(w.FormDataContentType(), body.Bytes(), FormField{Name: "file", File: true}); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzBounds compares the constraints of integers with arithmetic that has no limits.
func FuzzBounds(f *testing.F) {
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64), uint8(1))
	f.Fuzz(func(t *testing.T, low, high, n int64, step uint8) {
		r := &Rule{
			Minimum: strconv.FormatInt(low, 10), Maximum: strconv.FormatInt(high, 10), Above: strconv.FormatInt(low, 10), Below: strconv.FormatInt(high, 10),
			MultipleOf: strconv.Itoa(int(step) + 1),
		}
		exact := big.NewInt
		want := 0
		for _, broken := range []bool{
			exact(n).Cmp(exact(low)) < 0, exact(n).Cmp(exact(high)) > 0, exact(n).Cmp(exact(low)) <= 0, exact(n).Cmp(exact(high)) >= 0,
			new(big.Int).Rem(exact(n), exact(int64(step)+1)).Sign() != 0,
		} {
			if broken {
				want++
			}
		}
		if got := r.int(n); len(got) != want {
			t.Fatalf("%+v and %d: %q, expected %d", r, n, got, want)
		}
	})
}
