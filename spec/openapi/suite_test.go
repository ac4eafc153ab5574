package openapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

var update = flag.Bool("update", false, "write the files of testdata")

func TestOpenAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "openapi")
}

// document is a document of m, decoded.
func document(m *spec.Manifest, v openapi.Version) tree {
	GinkgoHelper()
	raw, err := openapi.Document(m, openapi.Options{Version: v})
	Expect(err).NotTo(HaveOccurred())
	return decoded(raw)
}

func decoded(raw []byte) tree {
	GinkgoHelper()
	t, err := decode(raw)
	Expect(err).NotTo(HaveOccurred())
	return t
}

func decode(raw []byte) (tree, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var t map[string]any
	err := dec.Decode(&t)
	return tree{t}, err
}

// tree is decoded JSON.
type tree struct{ any }

// at is what stands under these keys; nil where nothing does.
func (t tree) at(keys ...string) any {
	v := t.any
	for _, k := range keys {
		o, _ := v.(map[string]any)
		v = o[k]
	}
	return v
}

// body is JSON to compare with what at returns.
func body(text string) any {
	GinkgoHelper()
	return decoded([]byte(`{"body":` + text + `}`)).at("body")
}

// checkGolden compares with a file of testdata, or writes it with -update.
func checkGolden(name string, got []byte) {
	GinkgoHelper()
	path := filepath.Join("testdata", name)
	if *update {
		Expect(os.WriteFile(path, got, 0o600)).To(Succeed())
	}
	want, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(got)).To(Equal(string(want)), "run go test ./spec/openapi -update, and look at what changed")
}

// service is a manifest of these endpoints, which are made whole.
func service(name, version string, schemas map[string]*spec.Schema, endpoints ...spec.Endpoint) *spec.Manifest {
	GinkgoHelper()
	m := &spec.Manifest{Service: name, Version: version, Schemas: schemas}
	for _, e := range endpoints {
		if e.Kind == "" {
			e.Kind = spec.KindTyped
		}
		if e.Stream == "" {
			e.Stream = spec.StreamNone
		}
		if e.Status == 0 {
			e.Status = 200
		}
		if e.Handler == "" {
			e.Handler = "Do"
		}
		if len(e.Claims) == 0 {
			e.Public = "test"
		}
		e.Limits = e.Limits.WithDefaults()
		m.Endpoints = append(m.Endpoints, e)
	}
	_, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return m
}
