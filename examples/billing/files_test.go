package billing

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("An upload", func() {
	var (
		dir string
		f   *files
	)

	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		var err error
		f, err = openFiles(dir)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(f.close)
	})

	begin := func() *upload {
		GinkgoHelper()
		up, err := f.begin("inv-1")
		Expect(err).NotTo(HaveOccurred())
		_, err = up.Write([]byte("half of it"))
		Expect(err).NotTo(HaveOccurred())
		return up
	}

	It("that is broken off leaves nothing", func() {
		Expect(begin().discard()).To(Succeed())
		Expect(os.ReadDir(filepath.Join(dir, "inv-1"))).To(BeEmpty())
	})

	It("that is broken off leaves what it was to replace", func() {
		Expect(begin().commit("a")).To(Succeed())
		Expect(begin().discard()).To(Succeed())
		Expect(os.ReadFile(filepath.Join(dir, "inv-1", "a"))).To(Equal([]byte("half of it")))
	})

	It("stays when it is discarded after it was committed", func() {
		up := begin()
		Expect(up.commit("a")).To(Succeed())
		Expect(up.discard()).To(Succeed())
		Expect(os.ReadDir(filepath.Join(dir, "inv-1"))).To(HaveLen(1))
	})

	It("cannot leave the directory, not even by a symbolic link", func() {
		outside := GinkgoT().TempDir()
		Expect(os.Symlink(outside, filepath.Join(dir, "inv-2"))).To(Succeed())
		_, err := f.begin("inv-2")
		Expect(err).To(MatchError(ContainSubstring("escapes")))
		_, err = f.begin("../inv-3")
		Expect(err).To(HaveOccurred())
		Expect(os.ReadDir(outside)).To(BeEmpty())
	})
})
