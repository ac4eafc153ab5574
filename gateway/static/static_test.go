package static_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/static"
)

func TestStatic(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Static")
}

// site makes a folder with some files, each of which has its name in it, and a secret beside it.
func site(t interface{ TempDir() string }) string {
	outer := t.TempDir()
	dir := filepath.Join(outer, "web")
	for _, name := range []string{
		"web/index.html", "web/main.js", "web/a b.txt", "web/über.css", "web/docs/index.html", "web/docs/one.html", "web/empty/x.txt",
		"web/.env", "web/.git/config", "web/.well-known/security.txt", "secret.txt",
	} {
		full := filepath.Join(outer, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			panic(err)
		}
		if err := os.WriteFile(full, []byte(name), 0o600); err != nil {
			panic(err)
		}
	}
	return dir
}

// found is what is in the file for a path, or where the path leads, or what is wrong.
func found(d *static.Dir, path string, page bool) string {
	slash := len(path) > 1 && strings.HasSuffix(path, "/")
	if slash {
		path = strings.TrimSuffix(path, "/")
	}
	f, folder, err := d.Open(path, slash, page)
	if err != nil {
		return err.Error()
	}
	if folder != "" {
		return "-> " + folder
	}
	defer func() { Expect(f.Close()).To(Succeed()) }()
	b, err := io.ReadAll(f)
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimPrefix(string(b), "web/")
}

const none = "static: no such file"

var _ = Describe("a folder", func() {
	DescribeTable("has the file of a path", func(at, path, want string) {
		Expect(found(&static.Dir{Path: at, Dir: site(GinkgoT())}, path, true)).To(Equal(want))
	},
		Entry("its own", "/", "/", "index.html"),
		Entry("its own, below a path", "/app", "/app/", "index.html"),
		Entry("that lacks the slash", "/app", "/app", "-> ./app/"),
		Entry("of one", "/app", "/app/main.js", "main.js"),
		Entry("with a space", "/", "/a%20b.txt", "a b.txt"),
		Entry("of other letters", "/", "/%C3%BCber.css", "über.css"),
		Entry("of a folder within", "/", "/docs/", "docs/index.html"),
		Entry("of a folder within that lacks the slash", "/", "/docs", "-> ./docs/"),
		Entry("of one in that", "/", "/docs/one.html", "docs/one.html"),
		Entry("for everybody", "/", "/.well-known/security.txt", ".well-known/security.txt"),
	)

	DescribeTable("has none for", func(path string) {
		Expect(found(&static.Dir{Path: "/", Dir: site(GinkgoT())}, path, true)).To(Equal(none))
	},
		Entry("what is missing", "/other.js"),
		Entry("a file as a folder", "/main.js/"),
		Entry("what would be in a file", "/main.js/x"),
		Entry("a folder without an index", "/empty/"),
		Entry("a folder without an index that lacks the slash", "/empty"),
		Entry("a name with a dot before it", "/.env"),
		Entry("a folder with a dot before it", "/.git/config"),
		Entry("the same, encoded", "/%2Egit/config"),
		Entry("what is above", "/../secret.txt"),
		Entry("what is above, encoded", "/%2E%2E/secret.txt"),
		Entry("what is above, with an encoded slash", "/docs%2F..%2F..%2Fsecret.txt"),
		Entry("what is above, with another slash", "/docs/..%5C..%5Csecret.txt"),
		Entry("an octet that ends names", "/main.js%00.html"),
		Entry("what is no encoding", "/main%zz.js"),
		Entry("an empty part", "/docs//one.html"),
	)

	It("gives away nothing that a link leads to outside of it, but what one leads to within", func() {
		dir := site(GinkgoT())
		Expect(os.Symlink("../secret.txt", filepath.Join(dir, "out.txt"))).To(Succeed())
		Expect(os.Symlink(filepath.Join(dir, "..", "secret.txt"), filepath.Join(dir, "abs.txt"))).To(Succeed())
		Expect(os.Symlink("..", filepath.Join(dir, "up"))).To(Succeed())
		Expect(os.Symlink("main.js", filepath.Join(dir, "in.js"))).To(Succeed())
		d := &static.Dir{Path: "/", Dir: dir}
		Expect(found(d, "/out.txt", true)).To(Equal(none))
		Expect(found(d, "/abs.txt", true)).To(Equal(none))
		Expect(found(d, "/up/secret.txt", true)).To(Equal(none))
		Expect(found(d, "/in.js", true)).To(Equal("main.js"))
	})

	It("is another one as soon as the link to it is", func() {
		outer := GinkgoT().TempDir()
		link := filepath.Join(outer, "current")
		Expect(os.Symlink(site(GinkgoT()), link)).To(Succeed())
		d := &static.Dir{Path: "/", Dir: link}
		Expect(found(d, "/main.js", true)).To(Equal("main.js"))
		other := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(other, "main.js"), []byte("newer"), 0o600)).To(Succeed())
		Expect(os.Symlink(other, link+".new")).To(Succeed())
		Expect(os.Rename(link+".new", link)).To(Succeed())
		Expect(found(d, "/main.js", true)).To(Equal("newer"))
	})

	DescribeTable("with a fallback", func(path string, page bool, want string) {
		d := &static.Dir{Path: "/app", Dir: site(GinkgoT()), Fallback: "index.html"}
		Expect(found(d, path, page)).To(Equal(want))
	},
		Entry("has it for a page of the front end's own", "/app/users/7", true, "index.html"),
		Entry("has it for one with a dot", "/app/users/john.doe", true, "index.html"),
		Entry("has none for what is no page", "/app/main.old.js", false, none),
		Entry("has it for a folder without an index", "/app/empty/", true, "index.html"),
		Entry("has a file where there is one", "/app/docs/one.html", true, "docs/one.html"),
		Entry("does not tell what it does not serve from what is missing", "/app/.env", false, none),
	)
})

var _ = Describe("a file", func() {
	open := func(d *static.Dir, path string) *static.File {
		GinkgoHelper()
		f, folder, err := d.Open(path, false, true)
		Expect(err).NotTo(HaveOccurred())
		Expect(folder).To(BeEmpty())
		DeferCleanup(f.Close)
		return f
	}

	It("has a tag that changes with it, and none where its time tells nothing", func() {
		d := &static.Dir{Path: "/", Dir: site(GinkgoT())}
		name := filepath.Join(d.Dir, "main.js")
		first := open(d, "/main.js")
		Expect(first.Tag()).To(MatchRegexp(`^"[0-9a-z]+-[0-9a-z]+"$`))
		Expect(os.Chtimes(name, time.Time{}, first.Modified().Add(time.Nanosecond))).To(Succeed())
		Expect(open(d, "/main.js").Tag()).NotTo(Equal(first.Tag()))
		Expect(os.Chtimes(name, time.Time{}, time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC))).To(Succeed())
		Expect(open(d, "/main.js").Tag()).To(BeEmpty())
		Expect(open(d, "/main.js").Modified().IsZero()).To(BeTrue())
	})

	It("may be kept as long as is said, but for pages", func() {
		d := &static.Dir{Path: "/", Dir: site(GinkgoT()), Fallback: "main.js", MaxAge: time.Hour}
		Expect(d.CacheControl(open(d, "/main.js"))).To(Equal("public, max-age=3600"))
		Expect(d.CacheControl(open(d, "/docs/one.html"))).To(Equal("no-cache"))
		Expect(d.CacheControl(open(d, "/nothing"))).To(Equal("no-cache"), "the fallback is not what the path names")
		d.MaxAge = 0
		Expect(d.CacheControl(open(d, "/main.js"))).To(Equal("no-cache"))
	})
})

var _ = Describe("the check of a folder", func() {
	DescribeTable("says what is wrong", func(dir, fallback, want string) {
		d := &static.Dir{Path: "/app", Dir: filepath.Join(site(GinkgoT()), dir), Fallback: fallback}
		if want == "" {
			Expect(d.Check()).To(Succeed())
			return
		}
		Expect(d.Check()).To(MatchError(ContainSubstring(want)))
	},
		Entry("nothing", "", "", ""),
		Entry("nothing of a fallback", "", "docs/one.html", ""),
		Entry("that there is none", "nothing", "", "the folder of /app cannot be opened"),
		Entry("that it is a file", "main.js", "", "the folder of /app cannot be opened"),
		Entry("that there is no fallback", "", "page.html", "the fallback page.html of /app"),
		Entry("that the fallback is outside", "", "../secret.txt", "the fallback ../secret.txt of /app"),
	)
})

// FuzzOpen holds that no path leads to a file whose name begins with a dot or that is outside the folder.
func FuzzOpen(f *testing.F) {
	for _, path := range []string{
		"/", "/main.js", "/docs", "/docs/", "/.env", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/a%20b.txt", "/.well-known/", "//", "/a//b", "/%",
	} {
		f.Add(path, true)
		f.Add(path, false)
	}
	dir := site(f)
	if err := os.Symlink("..", filepath.Join(dir, "up")); err != nil {
		f.Fatal(err)
	}
	d := &static.Dir{Path: "/", Dir: dir}
	f.Fuzz(func(t *testing.T, path string, slash bool) {
		file, folder, err := d.Open("/"+strings.TrimPrefix(path, "/"), slash, true)
		if err != nil || folder != "" {
			if !strings.HasPrefix(folder, "./") && err == nil {
				t.Errorf("%q leads to %q", path, folder)
			}
			return
		}
		defer func() { _ = file.Close() }()
		b, err := io.ReadAll(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(string(b), "web/")
		if name == "secret.txt" || strings.HasPrefix(name, ".") && !strings.HasPrefix(name, ".well-known/") {
			t.Errorf("%q is answered with %s", path, name)
		}
	})
}
