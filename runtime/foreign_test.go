package stella

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// foreign is a struct as generated code cannot see into: one of another module.
type foreign struct {
	embedded

	Name   string             `json:"name"`
	Inner  *foreign           `json:"inner"`
	Pair   [2]uint8           `json:"pair"`
	Rates  []float32          `json:"rates"`
	Since  time.Time          `json:"since"`
	Quoted int                `json:"quoted,string"`
	Data   []byte             `json:"data"`
	Hidden string             `json:"-"`
	Flags  map[string]bool    `json:"flags"`
	Hosts  map[netip.Addr]int `json:"hosts"`
	Own    json.RawMessage    `json:"own"`
	Plain  int
}

type embedded struct {
	Kept int    `json:"kept"`
	Name []bool `json:"name"` // gives way to the outer one
}

// decodesTo decodes a text, and is what came of it and what is wrong with it.
func decodesTo[T any](text string) func() (any, []spec.Fault) {
	return func() (any, []spec.Fault) {
		var v T
		b := Bind(incoming("", text))
		if b.Body(true) {
			DecodeJSON(b, &v)
		}
		if b.Err() == nil {
			return v, nil
		}
		return v, faultsOf(b.Err())
	}
}

var _ = Describe("values that encoding/json decodes", func() {
	DescribeTable("are taken", func(decode func() (any, []spec.Fault), want any) {
		got, faults := decode()
		Expect(faults).To(BeEmpty())
		Expect(got).To(Equal(want))
	},
		Entry("an array", decodesTo[[2]int](` [1, 2] `), [2]int{1, 2}),
		Entry("a map by numbers", decodesTo[map[int8]string](`{"1":"a","-2":"b"}`), map[int8]string{1: "a", -2: "b"}),
		Entry("no map", decodesTo[map[uint]string](`null`), map[uint]string(nil)),
		Entry("a map by text", decodesTo[map[netip.Addr]int](`{"::1":1}`), map[netip.Addr]int{netip.IPv6Loopback(): 1}),
		Entry("anything", decodesTo[any](`[{"a":null,"b":[true]},{"a":1}]`),
			[]any{map[string]any{"a": nil, "b": []any{true}}, map[string]any{"a": 1.0}}),
		Entry("raw JSON", decodesTo[json.RawMessage](`{"a":[]}`), json.RawMessage(`{"a":[]}`)),
		Entry("a number of any size", decodesTo[json.Number](`-12e99999`), json.Number("-12e99999")),
		Entry("a type with UnmarshalText", decodesTo[netip.Addr](`"::1"`), netip.IPv6Loopback()),
		Entry("null for a pointer to one", decodesTo[*netip.Addr](`null`), (*netip.Addr)(nil)),
		Entry("a type with UnmarshalJSON", decodesTo[*big.Int](`123456789012345678901234567890`),
			func() *big.Int { n, _ := new(big.Int).SetString("123456789012345678901234567890", 10); return n }()),
		Entry("a struct", decodesTo[foreign](`{"name":"a","inner":{"Plain":-1,"rates":null},"pair":[0,255],"rates":[1.5],"kept":1,
			"since":"2026-01-31T15:04:05Z","quoted":"7","data":"aGk=","flags":{"x":true},"hosts":{"::1":1},"own":{"any":1}}`),
			foreign{
				embedded: embedded{Kept: 1}, Name: "a", Inner: &foreign{Plain: -1}, Pair: [2]uint8{0, 255}, Rates: []float32{1.5},
				Since: time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC), Quoted: 7, Data: []byte("hi"), Flags: map[string]bool{"x": true},
				Hosts: map[netip.Addr]int{netip.IPv6Loopback(): 1}, Own: json.RawMessage(`{"any":1}`),
			}),
	)

	DescribeTable("are refused", func(decode func() (any, []spec.Fault), pointer, detail string) {
		_, faults := decode()
		Expect(faults).To(Equal([]spec.Fault{bodyFault(pointer, detail)}))
	},
		Entry("an array that is too long", decodesTo[[2]int](`[1,2,3]`), "", "expected array of 2, got 3"),
		Entry("an array that is too short", decodesTo[[][2]int](`[[1,2],[1]]`), "/1", "expected array of 2, got 1"),
		Entry("null for an array", decodesTo[[2]int](`null`), "", "expected array, got null"),
		Entry("null within an array", decodesTo[[2]int](`[1,null]`), "/1", "expected integer, got null"),
		Entry("an integer that does not fit", decodesTo[[1]int8](`[128]`), "/0", "integer 128 is out of range"),
		Entry("an integer with a sign", decodesTo[[1]uint16](`[-1]`), "/0", `expected integer without sign, got "-1"`),
		Entry("a positive integer that does not fit", decodesTo[[1]uint16](`[65536]`), "/0", "integer 65536 is out of range"),
		Entry("a number that does not fit", decodesTo[[1]float32](`[1e39]`), "/0", "number 1e39 is out of range"),
		Entry("a map's key that is no number", decodesTo[map[int]string](`{"a":"b"}`), "/a", `expected a name that is a decimal int, got "a"`),
		Entry("a map's key that is out of range", decodesTo[map[uint8]string](`{"256":"b"}`), "/256", `expected a name that is a decimal uint8, got "256"`),
		Entry("a map's key twice", decodesTo[map[int]string](`{"1":"a","1":"b"}`), "/1", "member given twice"),
		Entry("a map's key twice, once in another form", decodesTo[map[int]string](`{"1":"a","01":"b"}`), "/01",
			`expected a name that is a decimal int, got "01"`),
		Entry("a map's key that is no such text", decodesTo[map[netip.Addr]int](`{"x":1}`), "/x", `not a valid name: ParseAddr("x"): unable to parse IP`),
		Entry("a map's text twice", decodesTo[map[netip.Addr]int](`{"::1":1,"::1":2}`), "/::1", "member given twice"),
		Entry("a map's key twice, in other words", decodesTo[map[netip.Addr]int](`{"::1":1,"0::1":2}`), "/0::1", "member given twice, in other words"),
		Entry("a member twice in anything", decodesTo[any](`{"a":1,"a":2}`), "/a", "member given twice"),
		Entry("a member twice, deep in anything", decodesTo[any](`[0,{"a/":{"b":1,"\u0062":2}}]`), "/1/a~1/b", "member given twice"),
		Entry("a member twice in raw JSON", decodesTo[json.RawMessage](`{"a":1,"a":2}`), "/a", "member given twice"),
		Entry("text that is a number", decodesTo[json.Number](`"12"`), "", "expected number, got string"),
		Entry("null that is a number", decodesTo[json.Number](`null`), "", "expected number, got null"),
		Entry("null for a type with UnmarshalText", decodesTo[netip.Addr](`null`), "", "expected string, got null"),
		Entry("null for a time", decodesTo[[1]time.Time](`[null]`), "/0", "expected string, got null"),
		Entry("half a surrogate pair in raw JSON", decodesTo[json.RawMessage](`{"a":"\ud800"}`), "/a", halfPair),
		Entry("a member that a struct does not have", decodesTo[foreign](`{"inner":{"more":1}}`), "/inner/more", "unknown member"),
		Entry("a member in another case", decodesTo[foreign](`{"Name":"a"}`), "/Name", "unknown member"),
		Entry("a member whose field is kept out", decodesTo[foreign](`{"Hidden":"a"}`), "/Hidden", "unknown member"),
		Entry("a struct's member twice", decodesTo[foreign](`{"name":"a","name":"b"}`), "/name", "member given twice"),
		Entry("null for a struct's text", decodesTo[foreign](`{"name":null}`), "/name", "expected string, got null"),
		Entry("null for a struct", decodesTo[foreign](`null`), "", "expected object, got null"),
		Entry("a wrong type in a struct", decodesTo[foreign](`{"flags":{"x":0}}`), "/flags/x", "expected boolean, got number"),
		Entry("wrong base64 in a struct", decodesTo[foreign](`{"data":"*"}`), "",
			"not a valid value: illegal base64 data at input byte 0"),
		Entry("a name that two fields have", decodesTo[struct {
			left
			right
		}](`{"Twin":1}`), "", `not a valid value: json: unknown field "Twin"`),
		Entry("what only encoding/json knows of", decodesTo[map[string]error](`{"x":1}`), "", "expected a value for Go's error, got number"),
	)
})

type (
	left  struct{ Twin int }
	right struct{ Twin int }
)
