package scan_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/scan"
)

var _ = Describe("A cache", func() {
	const handler = "// Package shop sells.\n//\n//stella:service shop version=1.0.0\npackage shop\n\nimport \"context\"\n\n" +
		"// Buy sells.\n//\n//stella:endpoint POST /buy\n//stella:public \"a shop\"\nfunc Buy(context.Context) error { return nil }\n"

	var (
		dir, file string
		cache     *scan.Cache
		env       []string
	)

	write := func(name, text string) {
		GinkgoHelper()
		Expect(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)).To(Succeed())
	}

	paths := func() (found []string) {
		GinkgoHelper()
		var list diagnostic.List
		result, _, err := scan.Scan(context.Background(), scan.Config{Dir: dir, Env: env, Patterns: []string{"./..."}, Cache: cache}, &list)
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Sorted()).To(BeEmpty())
		for _, s := range result.Services {
			for _, e := range s.Endpoints() {
				found = append(found, e.Method+" "+e.Path)
			}
		}
		return found
	}

	// withoutGo is an environment in which nothing can be listed.
	withoutGo := func() []string {
		return []string{"PATH=" + dir, "HOME=" + dir, "GOROOT=" + dir, "GOFLAGS=-mod=nonsense"}
	}

	BeforeEach(func() {
		var err error
		dir, err = filepath.EvalSymlinks(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		write("go.mod", "module example.com/shop\n\ngo 1.26\n")
		write("shop.go", handler)
		file = filepath.Join(dir, "shop.go")
		cache, env = scan.NewCache(), append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off")
		Expect(paths()).To(Equal([]string{"POST /buy"}))
	})

	It("sees an edit, and asks the go command nothing for it", func() {
		write("shop.go", strings.Replace(handler, "/buy", "/sell", 1))
		cache.Changed(file)
		env = withoutGo()
		Expect(paths()).To(Equal([]string{"POST /sell"}))
		Expect(paths()).To(Equal([]string{"POST /sell"}))
	})

	It("sees what stella.yaml says, and asks the go command nothing for it", func() {
		timeout := func() int64 {
			GinkgoHelper()
			var list diagnostic.List
			result, _, err := scan.Scan(context.Background(), scan.Config{Dir: dir, Env: env, Patterns: []string{"./..."}, Cache: cache}, &list)
			Expect(err).NotTo(HaveOccurred())
			Expect(list.Sorted()).To(BeEmpty())
			return result.Services[0].Own.Endpoints[0].Limits.TimeoutMS
		}
		env = withoutGo()
		for text, want := range map[string]int64{"5s": 5000, "7s": 7000} {
			write("stella.yaml", "defaults: {timeout: "+text+"}\n")
			cache.Changed(filepath.Join(dir, "stella.yaml"))
			Expect(timeout()).To(Equal(want))
		}
	})

	It("begins anew when a file may belong elsewhere", func() {
		write("shop.go", "//go:build never\n\npackage shop\n")
		write("other.go", strings.Replace(handler, "/buy", "/sell", 1))
		cache.Changed(file)
		Expect(paths()).To(Equal([]string{"POST /sell"}))
	})

	It("begins anew when it is told to", func() {
		write("more/more.go", strings.NewReplacer("package shop", "package more", "service shop", "service more", "/buy", "/more").Replace(handler))
		Expect(paths()).To(Equal([]string{"POST /buy"}))
		cache.Forget()
		Expect(paths()).To(ConsistOf("POST /buy", "POST /more"))
	})

	It("sees through many edits", func() {
		for i := range 3000 {
			path := "/buy" + strings.Repeat("x", i%7)
			write("shop.go", strings.Replace(handler, "/buy", path, 1))
			cache.Changed(file)
			if i%100 == 0 || i > 2995 {
				Expect(paths()).To(Equal([]string{"POST " + path}))
			}
		}
	})
})
