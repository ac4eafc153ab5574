package diagnostic_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"go/token"
	"io"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stella-ops/router/generator/diagnostic"
)

// written is a report in a format.
func written(name string, r diagnostic.Report, style diagnostic.Style) string {
	GinkgoHelper()
	format, known := diagnostic.FindFormat(name)
	Expect(known).To(BeTrue(), name)
	var out bytes.Buffer
	Expect(format.Write(&out, &r, style)).To(Succeed())
	return out.String()
}

const shopSource = "package shop\n\n\t// é: %, |\n//stella:endpoint PUT /a timeout=5\nfunc A() {}\n"

// everything is a report that has one of all that a finding can have.
func everything() diagnostic.Report {
	at := func(line, column int) token.Position {
		offset := column - 1
		for _, l := range strings.SplitAfter(shopSource, "\n")[:line-1] {
			offset += len(l)
		}
		return token.Position{Filename: "/src/shop/a b.go", Line: line, Column: column, Offset: offset}
	}
	rules := map[diagnostic.ID]diagnostic.Rule{
		"STL1001": {
			ID: "STL1001", Name: "TIMEOUT_MISSING", Category: "limits", Severity: diagnostic.Warning,
			Title: "no timeout", Text: "An endpoint says how long it may take.",
		},
		"STL2001": {ID: "STL2001", Name: "ENDPOINT_REMOVED", Category: "HTTP", Title: "endpoint removed", Text: "Callers get 404."},
	}
	return diagnostic.Report{
		Base: "/src", Tail: "nothing was written", Version: "v1.2.3",
		Source: func(name string) ([]byte, error) {
			if name != "/src/shop/a b.go" {
				return nil, errors.New("no such file")
			}
			return []byte(shopSource), nil
		},
		Rule: func(id diagnostic.ID) (diagnostic.Rule, bool) {
			if rule, ok := rules[id]; ok {
				return rule, true
			}
			return diagnostic.Find(id)
		},
		Findings: []diagnostic.Finding{
			{Rule: "STL0002", Message: "a pattern: 100%,\nand a <second> | line", Hint: "look"},
			{
				Rule: "STL0010", Pos: at(4, 34), Width: 1, Endpoint: "PUT /a", Message: `timeout is "5": missing unit, did you mean 5s?`,
				Related: []diagnostic.Related{{Pos: at(5, 6), Message: "of this handler"}},
				Fixes:   []diagnostic.Fix{{Message: "write 5s", Edits: []diagnostic.Edit{{Pos: at(4, 35), End: at(4, 35), New: "s"}}}},
			},
			{Rule: "STL1001", Severity: diagnostic.Warning, Pos: at(3, 5), Width: 2, Message: "after é", Waiver: "until next week"},
			{Rule: "STL1001", Severity: diagnostic.Info, Pos: token.Position{Filename: "/src/shop"}, Message: "a folder"},
			{Rule: "STL2001", Pos: token.Position{Filename: "/other/b.go", Line: 1, Column: 1}, Message: "elsewhere", Fingerprint: "fromreview"},
			{Rule: "STL2001", Pos: token.Position{Filename: "/other/b.go", Line: 2, Column: 1}, Message: "again", Fingerprint: "fromreview"},
		},
	}
}

// many is a report of n findings of each severity, the least first.
func many(n int) diagnostic.Report {
	var list []diagnostic.Finding
	for _, s := range []diagnostic.Severity{diagnostic.Info, diagnostic.Warning, diagnostic.Error} {
		for i := range n {
			list = append(list, diagnostic.Finding{
				Rule: "STL0010", Severity: s, Message: fmt.Sprintf("number %d %s", i, strings.Repeat("x", 100)),
				Pos: token.Position{Filename: "/src/a.go", Line: i + 1, Column: 1},
			})
		}
	}
	return diagnostic.Report{Findings: list, Base: "/src"}
}

var update = flag.Bool("update", false, "write what the formats make into testdata")

var _ = Describe("the formats", func() {
	It("write one report as the archive has it", func() {
		const file = "testdata/formats.txtar"
		archive, err := txtar.ParseFile(file)
		Expect(err).NotTo(HaveOccurred())
		var files []txtar.File
		for _, f := range diagnostic.Formats() {
			Expect(f.Doc).NotTo(BeEmpty())
			files = append(files, txtar.File{Name: f.Name, Data: []byte(written(f.Name, everything(), diagnostic.Style{}))})
			files = append(files, txtar.File{Name: f.Name + "-of-nothing", Data: []byte(written(f.Name, diagnostic.Report{}, diagnostic.Style{}))})
		}
		if *update {
			Expect(os.WriteFile(file, txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: files}), 0o600)).To(Succeed())
			return
		}
		Expect(files).To(Equal(archive.Files))
	})

	It("are found by name", func() {
		_, known := diagnostic.FindFormat("yaml")
		Expect(known).To(BeFalse())
	})

	It("say what they could not write", func() {
		format, _ := diagnostic.FindFormat("json")
		err := format.Write(failing{}, &diagnostic.Report{}, diagnostic.Style{})
		Expect(err).To(MatchError("diagnostic: writing json: " + io.ErrClosedPipe.Error()))
	})

	It("leave out what is above the limit, and say so", func() {
		r := everything()
		r.Limit(2)
		Expect(r.Findings).To(HaveLen(2))
		Expect(written("text", r, diagnostic.Style{})).To(HaveSuffix("6 findings, 4 not shown; nothing was written\n"))
		Expect(written("markdown", r, diagnostic.Style{})).To(ContainSubstring("Left out: 4 more findings."))
		Expect(written("github", r, diagnostic.Style{})).To(ContainSubstring("4 more findings: 4 not listed."))
		Expect(written("json", r, diagnostic.Style{})).To(ContainSubstring(`"omitted": 4`))
		Expect(written("sarif", r, diagnostic.Style{})).To(ContainSubstring(`"omitted": 4`))
	})
})

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

var _ = Describe("text", func() {
	It("is framed and coloured on a terminal", func() {
		r := everything()
		r.Findings = r.Findings[1:2]
		Expect(written("text", r, diagnostic.Style{Frame: diagnostic.Unicode})).To(ContainSubstring(
			"\n 4 │ //stella:endpoint PUT /a timeout=5\n   │                                  ^\n"))
		Expect(written("text", r, diagnostic.Style{Frame: diagnostic.ASCII})).To(ContainSubstring(
			"\n 4 | //stella:endpoint PUT /a timeout=5\n   |                                  ^\n"))
		Expect(written("text", r, diagnostic.Style{Color: true})).To(HavePrefix(
			"\x1b[1mshop/a b.go:4:34:\x1b[0m \x1b[1;31mSTL0010:\x1b[0m timeout is"))
	})

	It("shows of a long line what is around the caret, and nothing that steers a terminal", func() {
		line := strings.Repeat("a", 10_000) + "\x1b[31mhere" + strings.Repeat("b", 10_000)
		var list diagnostic.List
		list.Addf("STL0010", token.Position{Filename: "/a.go", Line: 1, Column: 10_006}, 4, "%s", strings.Repeat("m", 5000)+"\x1b")
		got := written("text", diagnostic.Report{
			Findings: list.Sorted(), Source: func(string) ([]byte, error) { return []byte(line), nil },
		}, diagnostic.Style{})
		Expect(len(got)).To(BeNumerically("<", 3000))
		Expect(got).To(ContainSubstring("mmm...\n"))
		Expect(got).To(ContainSubstring("here"))
		Expect(got).NotTo(ContainSubstring("\x1b"))
		shown, caret := "", ""
		for l := range strings.Lines(got) {
			if strings.Contains(l, "^") {
				caret = l
			} else if caret == "" {
				shown = l
			}
		}
		Expect(shown[strings.Index(caret, "^")+2:]).To(HavePrefix("here"), "two: an escape character is shown by three bytes")
	})
})

var _ = Describe("json", func() {
	It("is a list of the same objects that ndjson has line by line", func() {
		var whole struct {
			Findings []json.RawMessage `json:"findings"`
			Summary  map[string]int    `json:"summary"`
		}
		Expect(json.Unmarshal([]byte(written("json", everything(), diagnostic.Style{})), &whole)).To(Succeed())
		lines := strings.Split(strings.TrimSpace(written("ndjson", everything(), diagnostic.Style{})), "\n")
		Expect(lines).To(HaveLen(len(whole.Findings)))
		for i, line := range lines {
			Expect(line).To(MatchJSON(whole.Findings[i]))
		}
		Expect(whole.Summary).To(Equal(map[string]int{"errors": 4, "warnings": 0, "infos": 1, "waived": 1, "omitted": 0}))
	})
})

var _ = Describe("fingerprints", func() {
	prints := func(r diagnostic.Report) (all []string) {
		for line := range strings.Lines(written("ndjson", r, diagnostic.Style{})) {
			var f struct {
				Fingerprint string `json:"fingerprint"`
			}
			Expect(json.Unmarshal([]byte(line), &f)).To(Succeed())
			all = append(all, f.Fingerprint)
		}
		return all
	}

	It("stay when a line moves, a message is reworded, or the module is elsewhere", func() {
		before := prints(everything())
		moved := everything()
		moved.Base = "/elsewhere"
		for i := range moved.Findings {
			f := &moved.Findings[i]
			f.Pos.Filename = strings.Replace(f.Pos.Filename, "/src", "/elsewhere", 1)
			f.Message += ", really"
			if f.Pos.Line > 0 {
				f.Pos.Line += 2
			}
		}
		moved.Source = func(name string) ([]byte, error) {
			src, err := everything().Source(strings.Replace(name, "/elsewhere", "/src", 1))
			return append([]byte("// one\n\n"), src...), err
		}
		Expect(prints(moved)).To(Equal(before))
	})

	It("are all different, and follow the line's text", func() {
		before := prints(everything())
		seen := map[string]bool{}
		for _, p := range before {
			Expect(seen).NotTo(HaveKey(p))
			seen[p] = true
		}
		edited := everything()
		edited.Source = func(string) ([]byte, error) { return []byte(strings.Replace(shopSource, "/a", "/b", 1)), nil }
		Expect(prints(edited)[1]).NotTo(Equal(before[1]))
	})
})

var _ = Describe("github", func() {
	It("shows 10 errors and 10 warnings, and says how many more there are", func() {
		got := written("github", many(4000), diagnostic.Style{})
		Expect(strings.Count(got, "\n")).To(Equal(21))
		Expect(strings.Count(got, "::error ")).To(Equal(10))
		Expect(strings.Count(got, "::warning ")).To(Equal(10))
		Expect(got).To(HavePrefix("::error file=a.go,line=1,col=1,"))
		Expect(got).To(HaveSuffix("::notice title=stellagen::11980 more findings: 3990 errors, 3990 warnings, 4000 info. " +
			"The text, json and sarif formats have all.\n"))
	})

	It("says nothing of more if there are none", func() {
		r := many(2)
		r.Findings = r.Findings[2:]
		Expect(written("github", r, diagnostic.Style{})).NotTo(ContainSubstring("::notice"))
	})
})

var _ = Describe("markdown", func() {
	It("stays below a megabyte, and says how much is left out", func() {
		got := written("markdown", many(4000), diagnostic.Style{})
		Expect(len(got)).To(And(BeNumerically("<", 1_000_000), BeNumerically(">", 900_000)))
		shown := strings.Count(got, "| STL0010 |")
		Expect(got).To(ContainSubstring(fmt.Sprintf("Left out: %d more findings.", 12_000-shown)))
	})
})

var _ = Describe("junit", func() {
	It("counts what it lists", func() {
		var suites struct {
			Suite struct {
				Tests    int `xml:"tests,attr"`
				Failures int `xml:"failures,attr"`
				Skipped  int `xml:"skipped,attr"`
				Cases    []struct {
					Failure *struct{} `xml:"failure"`
					Skipped *struct{} `xml:"skipped"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		Expect(xml.Unmarshal([]byte(written("junit", everything(), diagnostic.Style{})), &suites)).To(Succeed())
		failures, skipped := 0, 0
		for _, c := range suites.Suite.Cases {
			if c.Failure != nil {
				failures++
			}
			if c.Skipped != nil {
				skipped++
			}
		}
		Expect([]int{suites.Suite.Tests, suites.Suite.Failures, suites.Suite.Skipped}).To(Equal([]int{6, 4, 1}))
		Expect([]int{len(suites.Suite.Cases), failures, skipped}).To(Equal([]int{6, 4, 1}))
	})
})
