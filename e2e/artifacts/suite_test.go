package artifacts

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/artifact"
	"github.com/stella-ops/router/spec"
)

func TestArtifacts(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "artifacts")
}

// manifests are those whose artifacts are judged.
var manifests = map[string]string{
	"billing":    "../../examples/billing/stella.manifest.json",
	"everything": "../../spec/openapi/testdata/everything.manifest.json",
}

// manifest reads one of manifests.
func manifest(name string) *spec.Manifest {
	GinkgoHelper()
	raw, err := os.ReadFile(manifests[name])
	Expect(err).NotTo(HaveOccurred())
	m, err := spec.ParseManifest(raw)
	Expect(err).NotTo(HaveOccurred())
	return m
}

// export renders an artifact as stellagen export does.
func export(kind string, m *spec.Manifest) []byte {
	GinkgoHelper()
	k, known := artifact.Find(kind)
	Expect(known).To(BeTrue(), "there is no artifact of kind %s", kind)
	text, err := k.Render(m, artifact.Options{})
	Expect(err).NotTo(HaveOccurred())
	return text
}

// node runs a script of this folder with the tools of package.json, and returns what it printed and whether it ended with 0.
func node(script string, args ...string) (said string, ok bool) {
	GinkgoHelper()
	_, err := os.Stat(filepath.Join("node_modules", ".package-lock.json"))
	Expect(errors.Is(err, fs.ErrNotExist)).To(BeFalse(), "e2e/artifacts/node_modules is missing: run make npm-tools, which runs npm ci there")
	Expect(err).NotTo(HaveOccurred())
	out, err := exec.Command("node", append([]string{script}, args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		Expect(err).NotTo(HaveOccurred(), "node cannot be run: install nodejs 18.17 or newer")
	}
	return string(out), err == nil
}

// file writes text into a folder of the spec's own, and returns its path.
func file(name string, text []byte) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), name)
	Expect(os.WriteFile(path, text, 0o600)).To(Succeed())
	return path
}
