package brokertest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when the test binary dies without a cleanup.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
