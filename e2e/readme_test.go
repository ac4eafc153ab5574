package e2e

import (
	"os"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

// block is a fenced block of a Markdown file.
type block struct {
	language, text string
}

// blocks are the fenced blocks of a file, in order.
func blocks(path string) []block {
	GinkgoHelper()
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	var found []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, block{m[1], m[2]})
	}
	return found
}

// Every sh block is run, line by line, in the repository's root: but `make test`, which runs this, and `make run`,
// which is what the others talk to. A text block right behind one is what it prints: every line of it in this order,
// where an ellipsis stands for anything.
var _ = Describe("README.md", Label("curl", "docs"), func() {
	It("has commands that do what it says", func() {
		var r *running
		ran := 0
		watches := map[*gexec.Session]string{} // and what they have to print until the end
		found := blocks("../README.md")
		for i, b := range found {
			if b.language != "sh" {
				continue
			}
			text := ""
			if i+1 < len(found) && found[i+1].language == "text" {
				text = found[i+1].text
			}
			var out strings.Builder
			for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", "")) {
				line, _, _ = strings.Cut(strings.TrimSpace(line), "   # ")
				switch line {
				case "", "make test", "make check", "make build":
					continue
				case "make run":
					r = makeRun()
					r.ready()
				default:
					Expect(r).NotTo(BeNil(), "README.md tells to run %q before make run", line)
					line = strings.NewReplacer("127.0.0.1:8080", r.http, "127.0.0.1:5190", r.admin, ".run/", r.dir+"/").Replace(line)
					if follows(line) {
						watches[follow(line)] = expected(text)
						text = ""
					} else {
						out.WriteString(shell(line))
					}
				}
				ran++
			}
			if text != "" {
				Expect(out.String()).To(MatchRegexp(expected(text)))
			}
		}
		Expect(ran).To(BeNumerically(">=", 2))
		for w, text := range watches {
			Eventually(printed(w)).Should(MatchRegexp(text))
		}
		r.endsWell()
	})
})

// expected turns a text block into a regular expression.
func expected(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" {
			lines = append(lines, strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
		}
	}
	return "(?s)" + strings.Join(lines, `\s*(?:.*\n\s*)?`)
}
