package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// ownSpecs are the pages whose commands need more around them than a clone: the spec of the same name runs them, and
// TestMigrateDocs of generator/cmd/stellagen those of docs/migrate.md.
var ownSpecs = []string{"README.md", "docs/tutorial.md", "docs/queues.md", "docs/migrate.md"}

// command is a block of commands of a page.
type command struct {
	line  int    // of the page
	text  string // commands, a line each
	in    string // the folder of the repository in which they run
	noRun string // why they do not
}

// commands are the sh blocks of a page of the repository. What is said in a comment right above one: <!-- in: FOLDER --> and
// <!-- no-run: REASON -->. Code that is indented, where a reader would take commands for what they are and a test would not,
// is an error.
func commands(page string) []command {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", page))
	Expect(err).NotTo(HaveOccurred())
	var found []command
	var c *command
	fence, before := false, ""
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			if fence = !fence; !fence {
				if c != nil {
					found = append(found, *c)
				}
				c = nil
			} else if line == "```sh" {
				c = &command{line: i + 1, in: remark(before, "in"), noRun: remark(before, "no-run")}
			} else {
				Expect(before).NotTo(ContainSubstring("no-run:"), "%s:%d: no commands follow", page, i+1)
			}
		case c != nil:
			c.text += line + "\n"
		case !fence && before == "" && strings.HasPrefix(line, "    "):
			Fail(fmt.Sprintf("%s:%d: indented code: write ```sh, or another language, around it", page, i+1))
		}
		before = line
	}
	Expect(fence).To(BeFalse(), "%s: a block does not end", page)
	return found
}

// remark is what a comment says of a name.
func remark(comment, name string) string {
	if m := regexp.MustCompile(`^<!-- ` + name + `: (.+) -->$`).FindStringSubmatch(comment); m != nil {
		return m[1]
	}
	return ""
}

// pages are all Markdown files of the repository that users read.
func pages() []string {
	GinkgoHelper()
	found := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	for _, folder := range []string{"docs", "examples"} {
		Expect(filepath.WalkDir(filepath.Join("..", folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
				found = append(found, strings.TrimPrefix(filepath.ToSlash(path), "../"))
			}
			return err
		})).To(Succeed())
	}
	return found
}

// desk is where a reader sits who follows a page: in a clone, with what make build made in PATH, and with servers at addresses
// of their own.
type desk struct {
	root, home string
	addresses  *strings.Replacer
	env        []string
	serves     bool // a server was started: what asks it may have to wait for it
}

func newDesk() *desk {
	GinkgoHelper()
	d := &desk{root: filepath.Join(GinkgoT().TempDir(), "router"), home: GinkgoT().TempDir()}
	git := func(args ...string) []byte {
		GinkgoHelper()
		cmd := exec.Command("git", args...)
		cmd.Dir = d.root
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "git %q\n%s", args, out)
		return out
	}
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	cmd.Dir = ".."
	list, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred())
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		from, to := filepath.Join("..", string(name)), filepath.Join(d.root, string(name))
		text, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(os.MkdirAll(filepath.Dir(to), 0o750)).To(Succeed())
		info, err := os.Stat(from)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(to, text, info.Mode().Perm())).To(Succeed())
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("-c", "user.name=reader", "-c", "user.email=reader@example.com", "commit", "-q", "-m", "as it is")
	git("tag", "v1.4.0")

	http, listen, admin, shop := address(), address(), address(), address()
	d.addresses = strings.NewReplacer("127.0.0.1:8080", http, "127.0.0.1:5100", listen, "127.0.0.1:5190", admin, "127.0.0.1:9000", shop)
	front := filepath.Join(d.root, "examples", "migration", "gateway.yaml") // names the shop's address
	text, err := os.ReadFile(front)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(front, []byte(d.addresses.Replace(string(text))), 0o600)).To(Succeed())
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "STELLA_") && !strings.HasPrefix(v, "PATH=") && !strings.HasPrefix(v, "HOME=") {
			d.env = append(d.env, v)
		}
	}
	d.env = append(d.env, "PATH="+filepath.Dir(binary("stellagen"))+":"+os.Getenv("PATH"), "HOME="+d.home,
		"GOPROXY=off", "CGO_ENABLED=0", "GOFLAGS=-trimpath", // as the Makefile builds, so that nothing is compiled again
		"GOPATH="+goEnv("GOPATH"), "GOCACHE="+goEnv("GOCACHE"), "GOMODCACHE="+goEnv("GOMODCACHE"),
		"STELLA_HTTP="+http, "STELLA_LISTEN=tcp://"+listen, "STELLA_ADMIN="+admin, "STELLA_GATEWAYS=tcp://"+listen, "BILLING_DATA="+d.home, "SHOP_ADDRESS="+shop)
	return d
}

func goEnv(name string) string {
	GinkgoHelper()
	out, err := exec.Command("go", "env", name).Output()
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(out))
}

// server is a line that goes on until it is stopped.
var server = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:stella-gateway run|billing|echo|go run)\b(.*)$`)

// run runs the lines of a block.
func (d *desk) run(page string, c *command) {
	GinkgoHelper()
	for line := range strings.Lines(strings.ReplaceAll(c.text, "\\\n", "")) {
		line = d.addresses.Replace(strings.TrimSpace(line))
		if line == "" {
			continue
		}
		if server.MatchString(line) {
			d.serves = true
			d.start(line, filepath.Join(d.root, c.in))
			continue
		}
		again := time.Duration(0)
		if d.serves { // a reader whose server is not up yet tries again
			again = patience
		}
		Eventually(func(g Gomega) {
			cmd := exec.Command("bash", "-c", "set -o pipefail; "+line)
			cmd.Dir, cmd.Env = filepath.Join(d.root, c.in), d.env
			out, err := cmd.CombinedOutput()
			g.Expect(err).NotTo(HaveOccurred(), "%s:%d: %s\n%s", page, c.line, line, out)
		}).WithTimeout(again).WithPolling(20 * time.Millisecond).Should(Succeed())
	}
}

// start runs a server in the background, until the spec ends.
func (d *desk) start(line, dir string) {
	GinkgoHelper()
	cmd := exec.Command("bash", "-c", "exec env "+line)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, d.env, GinkgoWriter, GinkgoWriter
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run has a child
	cmd.WaitDelay = patience
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
}

var _ = Describe("the pages of the documentation", Label("docs", "curl"), func() {
	It("have commands that run", func() {
		ran, own, not := 0, 0, []string{}
		for _, page := range pages() {
			found := commands(page)
			if slices.Contains(ownSpecs, page) {
				Expect(found).NotTo(BeEmpty(), "%s has no commands, and needs no spec of its own", page)
				own += len(found)
				continue
			}
			var d *desk
			for i := range found {
				c := &found[i]
				if c.noRun != "" {
					not = append(not, fmt.Sprintf("%s:%d: %s", page, c.line, c.noRun))
					continue
				}
				if d == nil {
					d = newDesk()
				}
				By(fmt.Sprintf("%s:%d", page, c.line))
				d.run(page, c)
				ran++
			}
		}
		fmt.Printf("\ndocs-check: %d blocks of commands run here, %d by the specs of %s, %d not:\n  %s\n",
			ran, own, strings.Join(ownSpecs, ", "), len(not), strings.Join(not, "\n  "))
		Expect(ran).To(BeNumerically(">", 5))
	})
})

// link is a link of Markdown, but for those of pictures.
var link = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)

var _ = Describe("the documentation", Label("docs"), func() {
	It("has no link that leads nowhere, and needs no network to be read", func() {
		heads := map[string][]string{}
		for _, page := range append(pages(), "llms.txt", "spec/PROTOCOL.md", "spec/INVARIANTS.md") {
			text, err := os.ReadFile(filepath.Join("..", page))
			Expect(err).NotTo(HaveOccurred())
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				path, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(path, "://") {
					continue
				}
				target := filepath.Join("..", filepath.Dir(page), path)
				if path == "" {
					target = filepath.Join("..", page)
				}
				Expect(target).To(BeAnExistingFile(), "%s links to %s", page, m[1])
				if anchor != "" {
					if heads[target] == nil {
						heads[target] = headings(target)
					}
					Expect(heads[target]).To(ContainElement(anchor), "%s links to %s", page, m[1])
				}
			}
		}
	})

	It("lists every page in its index and in llms.txt", func() {
		for _, index := range []string{"docs/README.md", "llms.txt"} {
			text, err := os.ReadFile(filepath.Join("..", index))
			Expect(err).NotTo(HaveOccurred())
			linked := []string{}
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				linked = append(linked, filepath.ToSlash(filepath.Join(filepath.Dir(index), m[1])))
			}
			for _, page := range pages() {
				if strings.HasPrefix(page, "docs/") && page != index {
					Expect(linked).To(ContainElement(page), "%s lists no %s", index, page)
				}
			}
		}
	})
})

// headings are the anchors of a page's headings, as GitHub makes them.
func headings(file string) []string {
	GinkgoHelper()
	text, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	found := []string{""}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		head := strings.ToLower(regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(m[1], ""))
		found = append(found, strings.ReplaceAll(head, " ", "-"))
	}
	return found
}
