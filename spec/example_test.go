package spec_test

import (
	"fmt"

	"github.com/stella-ops/router/spec"
)

func ExampleEndpoint_Identity() {
	for _, path := range []string{"/invoices/{id}", "/invoices/{number}"} {
		e := spec.Endpoint{Method: "GET", Path: path}
		id, err := e.Identity()
		fmt.Println(id, err)
	}
	// Output:
	// GET /invoices/{} <nil>
	// GET /invoices/{} <nil>
}

func ExamplePattern_Fill() {
	p, err := spec.ParsePattern("/invoices/{id}/files/{path...}")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Params())
	fmt.Println(p.Fill([]string{"4711", "2026/scan 1.pdf"}))
	// Output:
	// [id path]
	// /invoices/4711/files/2026/scan%201.pdf
}

func ExampleManifest_Encode() {
	m := spec.Manifest{
		Service: "echo", Version: "1.0.0",
		Endpoints: []spec.Endpoint{{
			Method: "POST", Path: "/echo", Handler: "Echo", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone,
			Public: "it only repeats what it is told", Limits: spec.Limits{}.WithDefaults(),
		}},
	}
	b, err := m.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := spec.ParseManifest(b)
	fmt.Println(again.Endpoints[0].Method, again.Endpoints[0].Path, err)
	fmt.Println(again.ContractDigest == m.ContractDigest)
	// Output:
	// POST /echo <nil>
	// true
}

func ExampleAppendFrame() {
	b, err := spec.AppendFrame(nil, spec.Header{Type: spec.TypeCancel, Stream: 2, Aux: uint32(spec.CodeClientGone)}, []byte("left"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	h, payload, n, err := spec.DecodeFrame(b, spec.MaxFrameDefault)
	fmt.Println(h.Type, h.Stream, spec.Code(h.Aux), string(payload), n, err)
	// Output: CANCEL 2 CLIENT_GONE left 20 <nil>
}

func ExampleVersion_Compare() {
	a, _ := spec.ParseVersion("1.10.0")
	b, _ := spec.ParseVersion("1.9.0")
	fmt.Println(a.Compare(b) > 0, a == b)
	_, err := spec.ParseVersion("v1.10")
	fmt.Println(err)
	// Output:
	// true false
	// spec: version "v1.10" is not major.minor.patch of semver 2.0.0, such as 1.4.0: invalid semantic version
}

func ExampleCanonical() {
	b, err := spec.Canonical(map[string]any{"b": []int{1, 2}, "a": "<text>"})
	fmt.Println(string(b), err)
	// Output:
	// {
	//   "a": "<text>",
	//   "b": [
	//     1,
	//     2
	//   ]
	// }
	//  <nil>
}
