package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/generator/watch"
)

func TestWatch(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "watch")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

var _ = Describe("A watcher", func() {
	var (
		dir string
		w   *watch.Watcher
	)

	path := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }

	write := func(name, text string) {
		GinkgoHelper()
		Expect(os.MkdirAll(filepath.Dir(path(name)), 0o750)).To(Succeed())
		Expect(os.WriteFile(path(name), []byte(text), 0o600)).To(Succeed())
	}

	BeforeEach(func() {
		before := gleak.Goroutines()
		var err error
		dir, err = filepath.EvalSymlinks(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		write("go.mod", "module example.com/a\n")
		write("a.go", "package a\n")
		write("sub/b.go", "package sub\n")
		w, err = watch.New(dir, func(name string) bool { return filepath.Base(name) == "gen.go" })
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			Expect(w.Close()).To(Succeed())
			Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
		})
	})

	next := func() watch.Batch {
		GinkgoHelper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		batch, err := w.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		return batch
	}

	It("tells of edits, one batch for several", func() {
		write("a.go", "package a // 1\n")
		write("sub/b.go", "package sub // 1\n")
		write("a.go", "package a // 2\n")
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("a.go"), path("sub/b.go")}}))
	})

	It("knows an edit by rename, as editors make it, from a new file", func() {
		write("a.go.tmp", "package a // 1\n")
		Expect(os.Rename(path("a.go.tmp"), path("a.go"))).To(Succeed())
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("a.go")}}))
		write("c.go", "package a\n")
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("c.go")}, Structure: true}))
		Expect(os.Remove(path("c.go"))).To(Succeed())
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("c.go")}, Structure: true}))
	})

	It("follows folders that come and go", func() {
		write("new/deep/d.go", "package deep\n")
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("new/deep/d.go")}, Structure: true}))
		write("new/deep/d.go", "package deep // 1\n")
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("new/deep/d.go")}}))
		Expect(os.RemoveAll(path("new"))).To(Succeed())
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("new/deep/d.go")}, Structure: true}))
	})

	It("tells that the module's files have changed", func() {
		write("go.mod", "module example.com/b\n")
		Expect(next()).To(Equal(watch.Batch{Files: []string{path("go.mod")}, Structure: true}))
	})

	It("says nothing of what is ignored, left out, or not read", func() {
		write("gen.go", "package a\n")
		write(".git/x.go", "package x\n")
		write("testdata/x.go", "package x\n")
		write("notes.txt", "x")
		Expect(os.Chmod(path("a.go"), 0o640)).To(Succeed())
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		_, err := w.Next(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
	})
})
