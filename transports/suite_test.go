package transports_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
)

func TestTransports(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Transports")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before)) })
})
