package generator_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stella-ops/router/generator"
)

// compileTimeout bounds compiling the runtime and a service on a busy machine without a build cache.
const compileTimeout = 3 * time.Minute

var _ = Describe("generated code", func() {
	DescribeTable("compiles outside of this module, and its dispatchers do what their handlers say", func(ctx SpecContext, name string, tests ...string) {
		archive, err := txtar.ParseFile(filepath.Join("testdata", name))
		Expect(err).NotTo(HaveOccurred())
		driver, err := txtar.ParseFile(filepath.Join("testdata", "driver", name))
		Expect(err).NotTo(HaveOccurred())
		archive.Files = append(archive.Files, driver.Files...)
		dir := unpack(archive)
		useThisModule(dir)

		findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: compiling(), Patterns: []string{"./..."}}, &generator.Disk{})
		Expect(err).NotTo(HaveOccurred())
		Expect(findings.List).To(BeEmpty())
		goCommand(ctx, dir, "vet", "./...")
		out := goCommand(ctx, dir, "test", "-v", "./...")
		for _, test := range tests {
			Expect(out).To(ContainSubstring("--- PASS: " + test))
		}
	},
		Entry("with constraints of every kind", NodeTimeout(compileTimeout), "constraints.txtar",
			"TestGoodBody", "TestBadBody", "TestParameters", "TestBodyThatNeedNotCome"),
		Entry("with inputs that may be absent, and check themselves", NodeTimeout(compileTimeout), "inputs.txtar",
			"TestOptional", "TestValidate", "TestUnknown", "TestStatus"),
		Entry("with errors that are declared", NodeTimeout(compileTimeout), "errors.txtar", "TestDeclaredErrors", "TestDeclaredErrorInStream"),
		Entry("with forms, files and cookies", NodeTimeout(compileTimeout), "forms.txtar", "TestForm", "TestFiles", "TestFileFaults"),
		Entry("with events, and header fields of results", NodeTimeout(compileTimeout), "events.txtar", "TestEvents", "TestResultHeader"),
		Entry("with types of every kind", NodeTimeout(compileTimeout), "types.txtar", "TestBody", "TestFaults", "TestParameters", "TestNoMembers"),
		Entry("with handlers of every shape", NodeTimeout(compileTimeout), "shapes.txtar",
			"TestStreams", "TestRefusedStreams", "TestBrokenStream", "TestEndlessStream", "TestHTTPHandlers", "TestNilHandlers"),
		Entry("in several packages", NodeTimeout(compileTimeout), "parts.txtar", "TestParts", "TestNilHandlers", "TestMissingPart", "TestExtraPart"),
		Entry("refined by stella.yaml", NodeTimeout(compileTimeout), "overrides.txtar", "TestUnknownMembers"),
		Entry("whose calls are jobs", NodeTimeout(compileTimeout), "queues.txtar", "TestJobs"),
		Entry("that change to another protocol", NodeTimeout(compileTimeout), "upgrades.txtar", "TestUpgrades", "TestRefusedUpgrade"),
		Entry("before their package is whole", NodeTimeout(compileTimeout), "incomplete.txtar", "TestEcho"),
		Entry("of the design", NodeTimeout(compileTimeout), "billing.txtar", "TestInvoices"),
	)

	It("is compiled and run here, whichever archive has some", func() {
		archives, err := filepath.Glob("testdata/*.txtar")
		Expect(err).NotTo(HaveOccurred())
		self, err := os.ReadFile("compile_test.go")
		Expect(err).NotTo(HaveOccurred())
		for _, name := range archives {
			text, err := os.ReadFile(name)
			Expect(err).NotTo(HaveOccurred())
			if strings.Contains(string(text), "\n-- "+wantPrefix) && strings.Contains(string(text), "stella_gen.go --\n"+"// Code") {
				Expect(filepath.Join("testdata", "driver", filepath.Base(name))).To(BeARegularFile())
				Expect(string(self)).To(ContainSubstring(`"` + filepath.Base(name) + `"`))
			}
		}
	})

	It("stops compiling when a handler's signature has changed since", func(ctx SpecContext) {
		archive, err := txtar.ParseFile("testdata/billing.txtar")
		Expect(err).NotTo(HaveOccurred())
		dir := unpack(archive)
		useThisModule(dir)
		findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: compiling(), Patterns: []string{"./..."}}, &generator.Disk{})
		Expect(err).NotTo(HaveOccurred())
		Expect(findings.List).To(BeEmpty())
		name := filepath.Join(dir, "billing", "billing.go")
		src, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		changed := strings.Replace(string(src), "func Ping(context.Context) error", "func Ping(context.Context, *GetInvoice) error", 1)
		Expect(changed).NotTo(Equal(string(src)))
		Expect(os.WriteFile(name, []byte(changed), 0o600)).To(Succeed())
		out, err := command(ctx, dir, "vet", "./...").CombinedOutput()
		Expect(err).To(HaveOccurred())
		Expect(string(out)).To(ContainSubstring("stella_gen.go"))
		Expect(string(out)).To(ContainSubstring("Ping"))
	}, NodeTimeout(compileTimeout))
})

// useThisModule gives a module the runtime of this checkout, and the versions that it needs.
func useThisModule(dir string) {
	GinkgoHelper()
	Expect(requireThisModule(dir)).To(Succeed())
}

// requireThisModule lets a module require this one, with all that this one requires.
func requireThisModule(dir string) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	_, requires, _ := strings.Cut(string(mod), "\nrequire (")
	name := filepath.Join(dir, "go.mod")
	own, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(own) + "\nrequire github.com/stella-ops/router v0.0.0\nreplace github.com/stella-ops/router => " + root + "\nrequire (" + requires
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600)
}

// compiling lets the go command complete go.mod, still without the network.
func compiling() []string { return append(environment(), "GOFLAGS=-mod=mod") }

func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = compiling()
	return cmd
}

func goCommand(ctx context.Context, dir string, args ...string) string {
	out, err := command(ctx, dir, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}
