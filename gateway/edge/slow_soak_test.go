//go:build soak

package edge_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// TestSoakSlowClients runs the specs of slow clients with ten times as many. Without the race detector it holds a good client's
// waiting to twice what it was before; with it, two thousand timers that fire at once keep a small machine busy for a second.
func TestSoakSlowClients(t *testing.T) {
	slowClients, slowStall, slowRequests, slowTwice = 2000, 5*time.Second, 500, !raced
	RegisterFailHandler(Fail)
	suite, report := GinkgoConfiguration()
	suite.LabelFilter = "slow"
	RunSpecs(t, "slow clients", suite, report)
}
