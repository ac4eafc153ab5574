package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports"
)

// binaries is the directory with stellagen, stella-gateway, billing and echo; scratch is the suite's own.
var binaries, scratch string

// Times that the suite allows. What has to be prompt is checked against an explicit bound in its spec.
const (
	patience = 15 * time.Second       // for a process to start, to register, to end
	prompt   = 200 * time.Millisecond // for one end to learn what happened to the other
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	transports.Register(transports.Transport{Scheme: tapScheme, Dialer: tappedLinks})
	RunSpecs(t, "end to end")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	scratch = GinkgoT().TempDir()
	commands := []string{"./e2e/fixture/cmd/fixture"}
	binaries = os.Getenv("E2E_BIN")
	if binaries == "" {
		binaries = scratch
		commands = append(commands, "./generator/cmd/stellagen", "./gateway/cmd/stella-gateway",
			"./examples/billing/cmd/billing", "./examples/echo/cmd/echo")
	}
	// As the Makefile builds, so that nothing is compiled a second time.
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-o", scratch + "/"}, commands...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}, NodeTimeout(5*time.Minute))

// binary is the path of a binary of the product.
func binary(name string) string {
	path := filepath.Join(binaries, name)
	Expect(path).To(BeARegularFile(), "run make build, or leave E2E_BIN unset")
	return path
}
