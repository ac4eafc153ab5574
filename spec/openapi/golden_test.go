package openapi_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

const gatewayURL = "http://127.0.0.1:8080"

var _ = DescribeTable("the documents", func(name string, manifest func() *spec.Manifest) {
	for _, v := range []struct {
		version openapi.Version
		file    string
	}{{openapi.V31, ".openapi.json"}, {openapi.V30, ".openapi30.json"}} {
		got, err := openapi.Document(manifest(), openapi.Options{Version: v.version, URL: gatewayURL})
		Expect(err).NotTo(HaveOccurred())
		checkGolden(name+v.file, got)
		for range 20 { // maps have another order each time
			again, err := openapi.Document(manifest(), openapi.Options{Version: v.version, URL: gatewayURL})
			Expect(err).NotTo(HaveOccurred())
			Expect(string(again)).To(Equal(string(got)))
		}
	}
	got, err := openapi.JSONSchema(manifest())
	Expect(err).NotTo(HaveOccurred())
	checkGolden(name+".schema.json", got)
},
	Entry("of everything", "everything", everything),
	Entry("of billing", "billing", billing),
)
