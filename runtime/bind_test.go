package stella

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// order and line are bound below as generated code binds them.
type order struct {
	ID       string            `json:"-"`
	Limit    int8              `json:"-"`
	Hosts    []netip.Addr      `json:"-"`
	Since    *time.Time        `json:"-"`
	Match    []string          `json:"-"`
	Wait     time.Duration     `json:"-"`
	Exact    bool              `json:"-"`
	Customer string            `json:"customer"`
	Lines    []*line           `json:"lines"`
	Labels   map[string]string `json:"labels"`
	Due      time.Time         `json:"due"`
	Data     []byte            `json:"data"`
	Extra    any               `json:"extra"`
	Host     netip.Addr        `json:"host"`
}

type line struct {
	Amount int64   `json:"amount"`
	Count  uint8   `json:"count"`
	Rate   float32 `json:"rate"`
	Paid   bool    `json:"paid"`
	Lines  []line  `json:"lines"`
}

var (
	orderMembers = []Member{
		{Name: "customer", Required: true}, {Name: "lines"}, {Name: "labels"}, {Name: "due"}, {Name: "data"}, {Name: "extra"}, {Name: "host"},
	}
	lineMembers = []Member{{Name: "amount", Required: true}, {Name: "count"}, {Name: "rate"}, {Name: "paid"}, {Name: "lines"}}
)

func decodeOrder(b *Binder, out *order) {
	for o := b.Object(orderMembers); o.Next(); {
		switch o.Index() {
		case 0: // customer
			DecodeString(b, &out.Customer)
		case 1: // lines
			DecodeSlice(b, &out.Lines, func(b *Binder, v **line) { DecodePointer(b, v, decodeLine) })
		case 2: // labels
			DecodeMap(b, &out.Labels, DecodeString[string])
		case 3: // due
			DecodeTime(b, &out.Due)
		case 4: // data
			DecodeBytes(b, &out.Data)
		case 5: // extra
			DecodeJSON(b, &out.Extra)
		case 6: // host
			DecodeJSON(b, &out.Host)
		}
	}
}

func decodeLine(b *Binder, out *line) {
	for o := b.Object(lineMembers); o.Next(); {
		switch o.Index() {
		case 0: // amount
			DecodeInt(b, &out.Amount)
		case 1: // count
			DecodeUint(b, &out.Count)
		case 2: // rate
			DecodeFloat(b, &out.Rate)
		case 3: // paid
			DecodeBool(b, &out.Paid)
		case 4: // lines
			DecodeSlice(b, &out.Lines, decodeLine)
		}
	}
}

func bindOrder(r *Request) (*order, error) {
	in := new(order)
	b := Bind(r)
	if b.Body(true) {
		decodeOrder(b, in)
	}
	BindString(b.Path("id"), &in.ID)
	BindInt(b.Query("limit").Required(), &in.Limit)
	BindSlice(b.Query("host"), &in.Hosts, BindText[netip.Addr])
	BindPointer(b.Query("since"), &in.Since, BindTime)
	BindDuration(b.Query("wait"), &in.Wait)
	BindBool(b.Query("exact"), &in.Exact)
	BindSlice(b.Header("If-Match"), &in.Match, BindString[string])
	return in, b.Err()
}

// incoming is a request for PUT /orders/{id} as a session hands it over.
func incoming(query, body string, header ...spec.Field) *Request {
	return &Request{
		Method: "PUT", Path: "/orders/7", RawQuery: query, Header: header, Body: strings.NewReader(body), ContentLength: -1,
		endpoint: &spec.Endpoint{Method: "PUT", Path: "/orders/{id}", Limits: spec.Limits{MaxBodyBytes: 64 << 10}}, params: []string{"7"},
	}
}

func faultsOf(err error) []spec.Fault {
	GinkgoHelper()
	Expect(err).To(BeAssignableToTypeOf(&Error{}))
	e := err.(*Error) //nolint:errorlint,forcetypeassert // asserted above: nothing wraps it
	Expect(e.Status).To(Equal(400))
	Expect(e.Code).To(Equal("invalid_input"))
	return e.Faults
}

func bodyFault(pointer, detail string) spec.Fault {
	return spec.Fault{In: spec.InBody, Pointer: pointer, Detail: detail}
}

var _ = Describe("binding", func() {
	It("fills a handler's input from body, path, query and header", func() {
		in, err := bindOrder(incoming("limit=5&host=::1&host=10.0.0.1&since=2026-01-31T15:04:05Z&wait=1m30s&exact=true",
			`{"customer":"\u00e9a/\"b", "lines":[{"amount":-3,"count":255,"rate":1.5,"paid":true,"lines":[]},null], "labels":{"a":"b"},
			"due":"2026-01-31T15:04:05.5+01:00", "data":"aGk=", "extra":{"x":[1]}, "host":"::1"}`,
			spec.Field{Name: "If-Match", Value: `"a", "b"`}, spec.Field{Name: "If-Match", Value: `"c"`}))
		Expect(err).NotTo(HaveOccurred())
		since := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
		Expect(in.Due.Equal(since.Add(500*time.Millisecond - time.Hour))).To(BeTrue())
		in.Due = time.Time{}
		Expect(in).To(Equal(&order{
			ID: "7", Limit: 5, Hosts: []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("10.0.0.1")}, Since: &since,
			Match: []string{`"a"`, `"b"`, `"c"`}, Wait: 90 * time.Second, Exact: true, Customer: "éa/\"b",
			Lines:  []*line{{Amount: -3, Count: 255, Rate: 1.5, Paid: true, Lines: []line{}}, nil},
			Labels: map[string]string{"a": "b"}, Data: []byte("hi"), Extra: map[string]any{"x": []any{1.0}}, Host: netip.MustParseAddr("::1"),
		}))
	})

	It("reports the faults of body, path, query and header in one error, each with its place", func() {
		_, err := bindOrder(incoming("limit=1000&limit=2&host=x&wait=5&exact=yes",
			`{"lines":[{"amount":"1","count":256,"rate":1e99,"paid":0},{"lines":[{"amount":1.5,"more":1}]},7],"id":"8","labels":{"a/b~c":1},"due":"today","host":3}`))
		Expect(faultsOf(err)).To(Equal([]spec.Fault{
			bodyFault("/lines/0/amount", "expected integer, got string"),
			bodyFault("/lines/0/count", "integer 256 is out of range"),
			bodyFault("/lines/0/rate", "number 1e99 is out of range"),
			bodyFault("/lines/0/paid", "expected boolean, got number"),
			bodyFault("/lines/1/lines/0/amount", `expected integer, got "1.5"`),
			bodyFault("/lines/1/lines/0/more", "unknown member"),
			bodyFault("/lines/1/amount", "required, but missing"),
			bodyFault("/lines/2", "expected object, got number"),
			bodyFault("/id", "unknown member"),
			bodyFault("/labels/a~1b~0c", "expected string, got number"),
			bodyFault("/due", `expected RFC 3339 time, such as 2026-01-31T15:04:05Z, got "today"`),
			bodyFault("/host", "expected string, got number"),
			bodyFault("/customer", "required, but missing"),
			{In: spec.InQuery, Parameter: "limit", Detail: "expected one value, got 2"},
			{In: spec.InQuery, Parameter: "host", Detail: `not a valid value: ParseAddr("x"): unable to parse IP`},
			{In: spec.InQuery, Parameter: "wait", Detail: `expected duration, such as 1m30s, got "5"`},
			{In: spec.InQuery, Parameter: "exact", Detail: `expected true or false, got "yes"`},
		}))
	})

	It("refuses a body member named like a path parameter", func() {
		in, err := bindOrder(incoming("limit=1", `{"customer":"a","ID":"8","id":"8"}`))
		Expect(faultsOf(err)).To(Equal([]spec.Fault{bodyFault("/ID", "unknown member"), bodyFault("/id", "unknown member")}))
		Expect(in.ID).To(Equal("7"))
	})

	DescribeTable("one fault in the body",
		func(body, pointer, detail string) {
			_, err := bindOrder(incoming("limit=1", body))
			Expect(faultsOf(err)).To(Equal([]spec.Fault{bodyFault(pointer, detail)}))
		},
		Entry("only space", ` `, "", `malformed JSON at line 1, column 2 (offset 1): expected a value, got the end`),
		Entry("another type", `[]`, "", "expected object, got array"),
		Entry("null", `null`, "", "expected object, got null"),
		Entry("null for a required member", `{"customer":null}`, "/customer", "required: expected a value, got null"),
		Entry("null for text in a map", `{"customer":"a","labels":{"x":null}}`, "/labels/x", "expected string, got null"),
		Entry("a member twice", `{"customer":"a","customer":"b"}`, "/customer", "member given twice"),
		Entry("a member twice, once with an escape", `{"customer":"a","custom\u0065r":"b"}`, "/customer", "member given twice"),
		Entry("a map's member twice", `{"customer":"a","labels":{"x":"","x":""}}`, "/labels/x", "member given twice"),
		Entry("bytes that are no UTF-8", "{\"customer\":\"\xff\"}", "/customer", "expected UTF-8 text, got other bytes"),
		Entry("wrong base64", `{"customer":"a","data":"*"}`, "/data", "expected base64 text: illegal base64 data at input byte 0"),
		Entry("the first half of a surrogate pair", `{"customer":"\ud800"}`, "/customer", halfPair),
		Entry("the first half, and other text", `{"customer":"\ud83d\u0041"}`, "/customer", halfPair),
		Entry("the first half, and a backslash", `{"customer":"\ud83d\\ude00"}`, "/customer", halfPair),
		Entry("the second half of a surrogate pair", `{"customer":"a\ude00"}`, "/customer", halfPair),
		Entry("half a pair in a time", `{"customer":"a","due":"\ud800"}`, "/due", halfPair),
		Entry("bytes in a map", "{\"customer\":\"a\",\"labels\":{\"x\":\"\xff\"}}", "/labels/x", notUTF8),
		Entry("bytes as a map's name", "{\"customer\":\"a\",\"labels\":{\"\xff\":\"b\"}}", "/labels", "a member's name: "+notUTF8),
		Entry("half a pair as a map's name", `{"customer":"a","labels":{"\udfff":"b"}}`, "/labels", "a member's name: "+halfPair),
		Entry("bytes as an object's name", "{\"customer\":\"a\",\"\xff\":1}", "", "a member's name: "+notUTF8),
		Entry("bytes in what nobody looks into", "{\"customer\":\"a\",\"extra\":[\"\xff\"]}", "/extra/0", notUTF8),
		Entry("text behind the body", "{\"customer\":\"a\"}\n x", "",
			`malformed JSON at line 2, column 2 (offset 18): expected nothing behind the value, got 'x'`),
		Entry("an unfinished body", `{"customer":"a"`, "", `malformed JSON at line 1, column 16 (offset 15): expected a comma or '}', got the end`),
		Entry("a trailing comma", `{"customer":"a",}`, "", `malformed JSON at line 1, column 17 (offset 16): expected a member's name in quotes, got '}'`),
		Entry("too many levels", `{"customer":"a","extra":`+strings.Repeat("[", 128)+strings.Repeat("]", 128)+`}`, "",
			`malformed JSON at line 1, column 152 (offset 151): expected at most 128 levels, got '['`),
	)

	It("takes whole surrogate pairs, and a backslash before what looks like an escape", func() {
		in, err := bindOrder(incoming("limit=1", `{"customer":"\ud83d\ude00\u00e9\\ud800\n\ud83d\udE00"}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(in.Customer).To(Equal("\U0001F600é\\ud800\n\U0001F600"))
	})

	It("gives two names of a map that are no text a fault each, and does not take them for one", func() {
		_, err := bindOrder(incoming("limit=1", "{\"customer\":\"a\",\"labels\":{\"\xff\":\"\",\"\xfe\":\"\"}}"))
		Expect(faultsOf(err)).To(Equal([]spec.Fault{bodyFault("/labels", "a member's name: "+notUTF8), bodyFault("/labels", "a member's name: "+notUTF8)}))
	})

	It("refuses parameters that are not UTF-8, and leaves raw handlers the bytes", func() {
		r := incoming("limit=1&host=%ff&s=%ff%fe&s=%E2%82", `{"customer":"a"}`, spec.Field{Name: "If-Match", Value: "caf\xe9"})
		r.params = []string{"\xe2\x82"}
		in, err := bindOrder(r)
		Expect(faultsOf(err)).To(Equal([]spec.Fault{
			{In: spec.InPath, Parameter: "id", Detail: notUTF8},
			{In: spec.InQuery, Parameter: "host", Detail: notUTF8},
			{In: spec.InHeader, Parameter: "If-Match", Detail: notUTF8},
		}))
		Expect(in.ID).To(BeEmpty())
		b, list := Bind(r), []string(nil)
		BindSlice(b.Query("s"), &list, BindString[string])
		Expect(faultsOf(b.Err())).To(Equal([]spec.Fault{
			{In: spec.InQuery, Parameter: "s", Detail: notUTF8}, {In: spec.InQuery, Parameter: "s", Detail: notUTF8},
		}))
		Expect(r.PathValue("id")).To(Equal("\xe2\x82"))
		Expect(r.Query()["s"]).To(Equal([]string{"\xff\xfe", "\xe2\x82"}))
	})

	It("names every required member where there is no body", func() {
		_, err := bindOrder(incoming("limit=1", ""))
		Expect(faultsOf(err)).To(Equal([]spec.Fault{
			bodyFault("", "required: expected a JSON object, got no body"), bodyFault("/customer", "required, but missing"),
		}))
	})

	It("lists at most 100 faults, and counts the others", func() {
		_, err := bindOrder(incoming("limit=1", `{"customer":"a","lines":[`+strings.Repeat("1,", 2999)+`1]}`))
		Expect(faultsOf(err)).To(HaveLen(100))
		Expect(err).To(MatchError(ContainSubstring("3000 faults")))
	})

	It("refuses a malformed query, and a required parameter that is missing", func() {
		_, err := bindOrder(incoming("a=%zz", `{"customer":"a"}`))
		Expect(faultsOf(err)).To(Equal([]spec.Fault{
			{In: spec.InQuery, Detail: `malformed query: invalid URL escape "%zz"`},
			{In: spec.InQuery, Parameter: "limit", Detail: "required, but missing"},
		}))
	})

	DescribeTable("the body's media type",
		func(name, value string, status int) {
			_, err := bindOrder(incoming("limit=1", `{"customer":"a"}`, spec.Field{Name: name, Value: value}))
			if status == 0 {
				Expect(err).NotTo(HaveOccurred())
				return
			}
			Expect(err).To(HaveField("Status", status))
			Expect(err).To(HaveField("Code", "unsupported_media_type"))
		},
		Entry("JSON", "Content-Type", "application/json", 0),
		Entry("JSON in UTF-8", "Content-Type", "Application/JSON; charset=UTF-8", 0),
		Entry("a kind of JSON", "Content-Type", "application/merge-patch+json", 0),
		Entry("text", "Content-Type", "text/plain", 415),
		Entry("another charset", "Content-Type", "application/json; charset=latin1", 415),
		Entry("nonsense", "Content-Type", "application", 415),
		Entry("a compressed body", "Content-Encoding", "gzip", 415),
		Entry("an encoding that is none", "Content-Encoding", "identity", 0),
	)

	It("answers 413 for a body over the endpoint's limit, and nothing else", func() {
		_, err := bindOrder(incoming("", `{"customer":"`+strings.Repeat("a", 64<<10)+`"}`))
		Expect(err).To(HaveField("Status", 413))
		Expect(err).To(HaveField("Code", "payload_too_large"))
	})

	DescribeTable("text that is no number",
		func(text string) {
			var f float64
			var i int
			var u uint
			for _, bind := range []func(*Param){
				func(p *Param) { BindFloat(p, &f) }, func(p *Param) { BindInt(p, &i) }, func(p *Param) { BindUint(p, &u) },
			} {
				b := Bind(incoming("", ""))
				bind(&Param{b: b, name: "x", in: spec.InHeader, values: []string{text}})
				Expect(faultsOf(b.Err())).To(HaveLen(1))
			}
			Expect([]any{f, i, u}).To(Equal([]any{0.0, 0, uint(0)}))
		},
		Entry("empty", ""), Entry("infinite", "inf"), Entry("not a number", "NaN"), Entry("hexadecimal", "0x10"), Entry("a space", " 1"),
		Entry("an underscore", "1_0"), Entry("too large", "1"+strings.Repeat("0", 400)), Entry("a sign alone", "-"),
	)

	It("counts the members of an object of more than 64", func() {
		var members []Member
		var text []string
		for i := range 70 {
			members = append(members, Member{Name: fmt.Sprint("m", i), Required: true})
			text = append(text, fmt.Sprintf(`"m%d":%d`, i, i))
		}
		b := Bind(incoming("", "{"+strings.Join(text[:69], ",")+`,"m68":0}`))
		Expect(b.Body(true)).To(BeTrue())
		sum := 0
		for o := b.Object(members); o.Next(); {
			var n int
			DecodeInt(b, &n)
			sum += n
		}
		Expect(sum).To(Equal(68 * 69 / 2))
		Expect(faultsOf(b.Err())).To(Equal([]spec.Fault{
			bodyFault("/m68", "member given twice"), bodyFault("/m69", "required, but missing"),
		}))
	})

	It("sets header fields of an answer, but for zero values", func() {
		w := new(Response)
		SetString(w, "A", "x")
		SetInt(w, "B", -1)
		SetUint(w, "C", uint8(3))
		SetBool(w, "D", true)
		SetStrings(w, "E", []string{"x", "y"})
		SetTime(w, "F", time.Date(2026, 1, 31, 16, 4, 5, 0, time.FixedZone("", 3600)))
		want := Header{{Name: "A", Value: "x"}, {Name: "B", Value: "-1"}, {Name: "C", Value: "3"}, {Name: "D", Value: "true"},
			{Name: "E", Value: "x"}, {Name: "E", Value: "y"}, {Name: "F", Value: "Sat, 31 Jan 2026 15:04:05 GMT"}}
		Expect(*w.Header()).To(Equal(want))
		SetString(w, "A", "")
		SetInt(w, "B", 0)
		SetUint(w, "C", uint8(0))
		SetBool(w, "D", false)
		SetStrings(w, "E", []string(nil))
		SetTime(w, "F", time.Time{})
		Expect(*w.Header()).To(Equal(want))
	})
})

// FuzzJSON compares the checker with encoding/json: it takes the same texts, but for those that nest too deep.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+3,"\u00e9\n",true,false,null,{}]}`, `[`, `{"a"}`, `"\x"`, `-`, `01`, `1.`, `1e`, "\"\x01\"", ` {} x`, `nul`, `"\ud8`,
		strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := jsonText(text).check()
		if valid := json.Valid(text); valid != (err == nil) && (!valid || !strings.Contains(err.want, "levels")) {
			t.Fatalf("encoding/json says %v, we say %+v", valid, err)
		}
		if err != nil && err.describe(text) == "" {
			t.Fatal("a fault without words")
		}
	})
}

// FuzzBody compares decoding with encoding/json: what we take, it takes, with the same result.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"customer":"a","lines":[{"amount":1,"count":2,"rate":3.5,"paid":true,"lines":[{"amount":1}]},null],"labels":{"a":"b"}}`,
		`{"customer":"\u00e9\ud83d\ude00","due":"2026-01-31T15:04:05Z","data":"aGk=","extra":[1,{"a":null}],"host":"::1"}`,
		`{"lines":3,"customer":null}`, `[]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want order
		b := Bind(incoming("", text))
		if !b.Body(true) {
			return
		}
		if decodeOrder(b, &got); b.Err() != nil {
			return
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("encoding/json refuses what we take: %v", err)
		}
		if !got.Due.Equal(want.Due) {
			t.Fatalf("due is %v, encoding/json has %v", got.Due, want.Due)
		}
		got.Due, want.Due = time.Time{}, time.Time{}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, encoding/json has %+v", got, want)
		}
	})
}

// BenchmarkBind binds a small body and three parameters.
func BenchmarkBind(b *testing.B) {
	body := `{"customer":"somebody","lines":[{"amount":100,"count":2,"rate":1.5,"paid":true},{"amount":7}],"labels":{"a":"b"}}`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bindOrder(incoming("limit=5&exact=true", body)); err != nil {
			b.Fatal(err)
		}
	}
}
