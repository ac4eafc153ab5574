package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("scripts/newcomer.sh", Label("curl"), func() {
	It("comes from an empty folder to an answer, and with a chi service to a bridged one in few commands", func(ctx SpecContext) {
		cmd := exec.CommandContext(ctx, "bash", filepath.Join("..", "scripts", "newcomer.sh"))
		cmd.Env = append(os.Environ(), "LIMIT=300") // seconds of processor time: with an empty build cache most of them are the compiler's
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = patience
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		Expect(cmd.Run()).To(Succeed(), out.String())
		Expect(out.String()).To(And(
			ContainSubstring("first answer\n"), ContainSubstring("of processor time"), MatchRegexp("answers through the gateway, after [1-9] commands")))
		AddReportEntry("the steps", out.String())
	}, SpecTimeout(5*time.Minute))
})
