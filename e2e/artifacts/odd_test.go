package artifacts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// oddNames are names that a language, or what every client has, might take for something else. encoding/json takes them all.
var oddNames = []string{
	"class", "constructor", "__proto__", "toString", "a-b", "a_b", "aB", "A B", "type", "func", "interface", "String", "Error", "Unwrap", "Problem",
	"Client", "Job", "Fake", "Optional", "ünïcode", "\u65e5\u672c", "1st", "1", "id", "ID", "_", "*/", "//", "$", "${x}", "Some", "New", "Request", "Promise", "ctx",
	"body", "query", "headers", "options", "input", "call",
}

// oddlyNamed is a manifest in which everything has an odd name, types refer to themselves, and comments try to end.
func oddlyNamed() *spec.Manifest {
	GinkgoHelper()
	text := &spec.Schema{Type: spec.TypeString, Doc: "*/ alert(1); /*\n+build ignore\n//go:embed x\n`"}
	object := &spec.Schema{Type: spec.TypeObject, Properties: map[string]*spec.Schema{}}
	m := &spec.Manifest{Service: "odd", Version: "1.0.0", Doc: "*/ alert(1)\n\n+build ignore\n", Schemas: map[string]*spec.Schema{
		"x.Circle": {Ref: "x.Circle"}, "x.There": {Ref: "x.Back"}, "x.Back": {Ref: "x.There"},
		"x.List": {Type: spec.TypeArray, Items: &spec.Schema{Ref: "x.List"}}, "x.Map": {Type: spec.TypeObject, Values: &spec.Schema{Ref: "x.Map"}},
		"x.Odd": object, "y.Odd": {Ref: "x.Odd"},
		"x.Node": {Type: spec.TypeObject, Required: []string{"self"}, Properties: map[string]*spec.Schema{
			"self": {Ref: "x.Node"}, "maybe": {Ref: "x.Node", Nullable: true}, "in": {Type: spec.TypeObject, Properties: map[string]*spec.Schema{"out": {Ref: "x.Node"}}},
		}},
	}}
	var params []spec.Param
	var codes []spec.ErrorAnswer
	for _, name := range oddNames {
		object.Properties[name] = text
		m.Schemas[name] = &spec.Schema{Type: spec.TypeString, Enum: oddNames}
		params = append(params, spec.Param{Name: name, In: spec.InQuery, Schema: &spec.Schema{Ref: name}})
		codes = append(codes, spec.ErrorAnswer{Code: name, Status: 404, Details: &spec.Schema{Ref: name}})
	}
	slices.SortFunc(codes, func(a, b spec.ErrorAnswer) int { return slices.Compare([]byte(a.Code), []byte(b.Code)) })
	for i, name := range append(slices.Clone(oddNames), oddNames...) {
		e := spec.Endpoint{
			Method: "POST", Path: "/e" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "/{body}", Handler: "x." + name, Kind: spec.KindTyped, Status: 200,
			Stream: spec.StreamNone, Public: text.Doc, Limits: spec.DefaultLimits, Idempotent: true, Doc: text.Doc, Deprecated: text.Doc,
			Params: params, Errors: codes, Request: &spec.Schema{Ref: "x.Odd"}, Response: &spec.Schema{Ref: "x.Node"},
		}
		switch i % 4 {
		case 1:
			e.Consumes = spec.MediaMultipart
		case 2:
			e.Queue = &spec.DefaultQueueing
		case 3:
			e.Kind, e.Stream, e.Request, e.Events = spec.KindStream, spec.StreamResponse, nil, i%8 == 3
		}
		m.Endpoints = append(m.Endpoints, e)
	}
	_, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return m
}

var _ = Describe("clients of odd names", func() {
	It("compile in Go", func() {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module odd\n\ngo 1.26\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "client.go"), export("goclient", oddlyNamed()), 0o600)).To(Succeed())
		cmd := exec.Command("go", "vet", ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
	})

	It("pass tsc --strict", func() {
		said, ok := node(tsc, "--strict", "--noEmit", "--noUnusedLocals", "--target", "es2022", "--lib", "es2022,dom", file("client.ts", export("tsclient", oddlyNamed())))
		Expect(ok).To(BeTrue(), said)
	})
})
