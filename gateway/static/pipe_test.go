//go:build unix

package static_test

import (
	"path/filepath"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/static"
)

var _ = It("a folder has nothing for a pipe, which would block", func() {
	dir := site(GinkgoT())
	Expect(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)).To(Succeed())
	Expect(found(&static.Dir{Path: "/", Dir: dir}, "/pipe", true)).To(Equal(none))
})
