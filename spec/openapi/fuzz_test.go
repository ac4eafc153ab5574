package openapi_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

// TestEveryManifest holds that what passes ParseManifest can be written.
func TestEveryManifest(t *testing.T) { rapid.Check(t, holdsOfManifest) }

// FuzzEveryManifest is the same, for make fuzz.
func FuzzEveryManifest(f *testing.F) { f.Fuzz(rapid.MakeFuzz(holdsOfManifest)) }

func holdsOfManifest(t *rapid.T) {
	a, b := drawManifest(t), drawManifest(t)
	if a == nil || b == nil {
		t.Skip("endpoints that are one")
	}
	for _, v := range both {
		raw, err := openapi.Document(a, openapi.Options{Version: v})
		if err != nil {
			t.Fatal(err)
		}
		wholeOpenAPI(t, raw, len(a.Endpoints), a)
		raw, conflicts, err := openapi.Merge(openapi.Info{Title: "both"}, []*spec.Manifest{a, b}, openapi.Options{Version: v})
		if err != nil {
			t.Fatal(err)
		}
		wholeOpenAPI(t, raw, len(a.Endpoints)+len(b.Endpoints)-len(conflicts), a, b)
		again, _, err := openapi.Merge(openapi.Info{Title: "both"}, []*spec.Manifest{b, a}, openapi.Options{Version: v})
		if err != nil || string(again) != string(raw) {
			t.Fatalf("the order of manifests counts (error %v)", err)
		}
	}
	raw, err := openapi.JSONSchema(a)
	if err != nil {
		t.Fatal(err)
	}
	resolves(t, raw)
}

// wholeOpenAPI holds that a document has so many operations beside the gateway's, under different ids, that its paths
// and parameters agree, and that every reference leads somewhere.
func wholeOpenAPI(t *rapid.T, raw []byte, operations int, manifests ...*spec.Manifest) {
	resolves(t, raw)
	ids, shapes := map[string]bool{}, map[string]bool{}
	paths, _ := decodedBy(t, raw).at("paths").(map[string]any)
	for path, item := range paths {
		var shape []string
		declared := map[string]bool{}
		for s := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(s, "{") {
				declared[strings.Trim(s, "{}")] = true
				s = "{}"
			}
			shape = append(shape, s)
		}
		if key := strings.Join(shape, "/"); shapes[key] {
			t.Fatalf("%s is there twice", path)
		} else {
			shapes[key] = true
		}
		methods, _ := item.(map[string]any)
		for method, op := range methods {
			id, _ := tree{op}.at("operationId").(string)
			if id == "" || ids[id] {
				t.Fatalf("%s %s: operationId %q is empty or there twice", method, path, id)
			}
			ids[id] = true
			parameters, _ := tree{op}.at("parameters").([]any)
			inPath := map[string]bool{}
			for _, p := range parameters {
				if (tree{p}).at("in") == spec.InPath {
					inPath[fmt.Sprint(tree{p}.at("name"))] = true
				}
			}
			if !maps.Equal(inPath, declared) {
				t.Fatalf("%s %s has parameters %v", method, path, inPath)
			}
		}
	}
	if slices.ContainsFunc(manifests, func(m *spec.Manifest) bool {
		return slices.ContainsFunc(m.Endpoints, func(e spec.Endpoint) bool { return e.Queue != nil })
	}) && ids["stellaJob"] {
		operations += 2
	}
	if len(ids) != operations {
		t.Fatalf("%d operations, expected %d", len(ids), operations)
	}
}

// resolves holds that every $ref of a document leads somewhere in it.
func resolves(t *rapid.T, raw []byte) {
	root := decodedBy(t, raw)
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				visit(e)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				path, _ := strings.CutPrefix(ref, "#/")
				if root.at(strings.Split(path, "/")...) == nil {
					t.Fatalf("%s leads nowhere", ref)
				}
			}
			for _, e := range v {
				visit(e)
			}
		}
	}
	visit(root.any)
}

func decodedBy(t *rapid.T, raw []byte) tree {
	v, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// drawManifest draws a manifest and parses what it is encoded to; nil where the draw has the same endpoint twice.
func drawManifest(t *rapid.T) *spec.Manifest {
	m := &spec.Manifest{
		Service: rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9._-]{0,4}`).Draw(t, "service"),
		Version: rapid.SampledFrom([]string{"1.0.0", "1.10.0", "1.9.0-rc.1", "2.0.0+b"}).Draw(t, "version"),
		Doc:     rapid.String().Draw(t, "doc"),
	}
	schemaName := rapid.OneOf(rapid.SampledFrom([]string{"a.A", "P[a]", "P<a>", "stella.Problem"}), rapid.StringN(1, 5, 20))
	schemaNames := rapid.SliceOfNDistinct(schemaName, 1, 5, rapid.ID).Draw(t, "schemas")
	m.Schemas = map[string]*spec.Schema{}
	for _, name := range schemaNames {
		m.Schemas[name] = drawSchema(t, schemaNames, 2)
	}
	for range rapid.IntRange(0, 8).Draw(t, "endpoints") {
		m.Endpoints = append(m.Endpoints, drawEndpoint(t, schemaNames))
	}
	raw, err := m.Encode()
	if err != nil {
		if strings.Contains(err.Error(), "are one endpoint") {
			return nil
		}
		t.Fatalf("the test draws no whole manifest: %v", err)
	}
	parsed, err := spec.ParseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func drawEndpoint(t *rapid.T, schemas []string) spec.Endpoint {
	segment := rapid.SampledFrom([]string{"a", "b", "{}", "{}", "a-b"})
	var path strings.Builder
	for i, s := range rapid.SliceOfN(segment, 0, 3).Draw(t, "segments") {
		if s == "{}" {
			s = "{" + rapid.SampledFrom([]string{"id", "key", "rest1"}).Draw(t, "name") + strconv.Itoa(i) + "}"
		}
		path.WriteString("/" + s)
	}
	if path.Len() == 0 || rapid.Bool().Draw(t, "rest") {
		path.WriteString(rapid.SampledFrom([]string{"/{rest...}", "/{rest1...}"}).Draw(t, "last"))
	}
	optional := func(label string) *spec.Schema {
		if rapid.Bool().Draw(t, label) {
			return drawSchema(t, schemas, 2)
		}
		return nil
	}
	e := spec.Endpoint{
		Method: rapid.SampledFrom(spec.Methods).Draw(t, "method"), Path: path.String(), Public: "test", Limits: spec.DefaultLimits,
		Handler:  rapid.OneOf(rapid.SampledFrom([]string{"S.Get", "T.Get", "m.example/x.S.Get", "StellaJob"}), rapid.StringN(1, 10, 40)).Draw(t, "handler"),
		Kind:     rapid.SampledFrom([]spec.Kind{spec.KindTyped, spec.KindRaw, spec.KindStream, spec.KindHTTP}).Draw(t, "kind"),
		Stream:   rapid.SampledFrom([]spec.Streaming{spec.StreamNone, spec.StreamRequest, spec.StreamResponse, spec.StreamBoth}).Draw(t, "stream"),
		Status:   rapid.SampledFrom([]int{200, 201, 204, 299, 304, 404, 599}).Draw(t, "status"),
		Request:  optional("request"),
		Response: optional("response"),
		Tags:     rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "tags"),
		Doc:      rapid.String().Draw(t, "doc"),
		SLO:      rapid.SampledFrom([]string{"", "99.9", "0"}).Draw(t, "slo"),
	}
	if rapid.Bool().Draw(t, "claimed") {
		e.Public, e.Claims = "", []spec.ClaimRequirement{{Type: "scope", Value: "x"}}
	}
	if rapid.Bool().Draw(t, "statuses") && e.Status != 202 {
		e.Statuses = []int{202}
	}
	if q := (spec.Endpoint{
		Method: e.Method, Idempotent: true, Stream: e.Stream, Kind: e.Kind, Limits: e.Limits, Queue: &spec.DefaultQueueing,
	}); len(q.QueueFaults()) == 0 && rapid.Bool().Draw(t, "queue") {
		e.Queue, e.Idempotent = q.Queue, true
	}
	if e.Request != nil {
		e.Consumes = rapid.SampledFrom([]string{"", spec.MediaForm, spec.MediaMultipart}).Draw(t, "consumes")
	}
	for _, in := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{spec.InQuery, spec.InHeader, spec.InCookie}), 0, 3, rapid.ID).Draw(t, "params") {
		e.Params = append(e.Params, spec.Param{Name: "p", In: in, Schema: drawSchema(t, schemas, 1)})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "errors") {
		e.Errors = append(e.Errors, spec.ErrorAnswer{
			Code: "e" + strconv.Itoa(i), Status: rapid.SampledFrom([]int{400, 401, 404, 599}).Draw(t, "error"), Details: optional("details"),
		})
	}
	if rapid.Bool().Draw(t, "headers") {
		e.Headers = []spec.Param{{Name: "X", In: spec.InHeader, Schema: drawSchema(t, schemas, 1)}}
	}
	return e
}

func drawSchema(t *rapid.T, schemas []string, depth int) *spec.Schema {
	s := &spec.Schema{Nullable: rapid.Bool().Draw(t, "nullable"), Doc: rapid.SampledFrom([]string{"", "doc"}).Draw(t, "doc")}
	kind := rapid.SampledFrom([]string{"ref", "", "string", "integer", "number", "boolean", "array", "object"}).Draw(t, "type")
	if kind == "ref" {
		s.Ref = rapid.SampledFrom(schemas).Draw(t, "ref")
		return s
	}
	s.Type = kind
	s.Format = rapid.SampledFrom([]string{"", "byte", "binary", "x"}).Draw(t, "format")
	number := rapid.SampledFrom([]string{"", "0", "-1.5", "3", strings.Repeat("9", 400)})
	switch kind {
	case spec.TypeString:
		s.Enum = rapid.SliceOfNDistinct(rapid.String(), 0, 3, rapid.ID).Draw(t, "enum")
		s.MinLength = rapid.IntRange(0, 2).Draw(t, "minLength")
	case spec.TypeInteger, spec.TypeNumber:
		s.Minimum, s.Maximum = number.Draw(t, "minimum"), number.Draw(t, "maximum")
		s.Above, s.Below = number.Draw(t, "above"), number.Draw(t, "below")
		if rapid.Bool().Draw(t, "default") {
			s.Default = new("7")
		}
	case spec.TypeArray:
		if depth > 0 {
			s.Items = drawSchema(t, schemas, depth-1)
		}
	case spec.TypeObject:
		if depth > 0 {
			s.Properties = map[string]*spec.Schema{}
			for _, name := range rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "properties") {
				s.Properties[name] = drawSchema(t, schemas, depth-1)
				s.Required = []string{name}
			}
		}
	}
	return s
}
