package generator_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
)

var _ = Describe("a target", func() {
	var dir, name string
	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		name = filepath.Join(dir, "file")
	})

	entries := func() []string {
		list, err := os.ReadDir(dir)
		Expect(err).NotTo(HaveOccurred())
		var names []string
		for _, e := range list {
			names = append(names, e.Name())
		}
		return names
	}

	It("on disk replaces a file whole, for all to read, and leaves an equal one alone", func() {
		var disk generator.Disk
		Expect(disk.Put(name, []byte("a"))).To(Succeed())
		first, err := os.Stat(name)
		Expect(err).NotTo(HaveOccurred())
		Expect(first.Mode().Perm()).To(Equal(os.FileMode(0o644)))
		Expect(disk.Put(name, []byte("a"))).To(Succeed())
		Expect(disk.Written).To(Equal([]string{name}))
		Expect(disk.Put(name, []byte("b"))).To(Succeed())
		second, err := os.Stat(name)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.SameFile(first, second)).To(BeFalse(), "a reader of the old file keeps it")
		Expect(disk.Written).To(HaveLen(2))
		Expect(disk.Remove(name)).To(Succeed())
		Expect(disk.Remove(name)).To(Succeed())
		Expect(disk.Removed).To(Equal([]string{name}))
		Expect(entries()).To(BeEmpty())
	})

	It("on disk leaves no temporary file behind when it cannot write or remove", func() {
		Expect(os.MkdirAll(filepath.Join(name, "below"), 0o750)).To(Succeed())
		var disk generator.Disk
		Expect(disk.Put(name, []byte("a"))).To(MatchError(ContainSubstring(name)))
		Expect(disk.Put(filepath.Join(dir, "nowhere", "file"), nil)).To(MatchError(ContainSubstring("nowhere")))
		Expect(disk.Remove(name)).To(MatchError(ContainSubstring(name)))
		Expect(disk.Written).To(BeEmpty())
		Expect(disk.Removed).To(BeEmpty())
		Expect(entries()).To(Equal([]string{"file"}))
	})

	It("that checks tells missing, stale and orphaned files apart, and touches none", func() {
		Expect(os.WriteFile(name, []byte("a"), 0o600)).To(Succeed())
		var check generator.Check
		Expect(check.Put(name, []byte("a"))).To(Succeed())
		Expect(check.Remove(name + "2")).To(Succeed())
		Expect(check.Stale).To(BeEmpty())
		Expect(check.Put(name, []byte("b"))).To(Succeed())
		Expect(check.Put(name+"2", nil)).To(Succeed())
		Expect(check.Remove(name)).To(Succeed())
		Expect(check.Stale).To(Equal([]generator.Stale{
			{Name: name, State: generator.Outdated, Old: []byte("a"), New: []byte("b")},
			{Name: name + "2", State: generator.Missing}, {Name: name, State: generator.Orphaned, Old: []byte("a")},
		}))
		var rules []diagnostic.ID
		for _, f := range check.Findings() {
			rules = append(rules, f.Rule)
		}
		Expect(rules).To(Equal([]diagnostic.ID{diagnostic.OutdatedFile, diagnostic.MissingFile, diagnostic.OrphanedFile}))
		Expect(check.Put(dir, nil)).To(MatchError(ContainSubstring(dir)))
		Expect(entries()).To(Equal([]string{"file"}))
	})
})
