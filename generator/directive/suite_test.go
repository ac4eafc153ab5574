package directive_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestDirective(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "directive")
}
