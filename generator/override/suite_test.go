package override_test

import (
	"flag"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var update = flag.Bool("update", false, "write the files of testdata, and the reference made from the tables")

func TestOverride(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "override")
}
