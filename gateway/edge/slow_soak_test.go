//go:build soak

package edge_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// TestSoakSlowClients runs the specs of slow clients with ten times as many, and holds a good client's waiting to twice what
// it was before.
func TestSoakSlowClients(t *testing.T) {
	slowClients, slowStall, slowTwice = 2000, 5*time.Second, true
	RegisterFailHandler(Fail)
	suite, report := GinkgoConfiguration()
	suite.LabelFilter = "slow"
	RunSpecs(t, "slow clients", suite, report)
}
