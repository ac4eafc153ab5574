package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
)

var update = flag.Bool("update", false, "write the pages of docs/reference that are made from tables")

// TestReference compares the pages of docs/reference with the tables of this program.
func TestReference(t *testing.T) {
	for name, page := range map[string]func(*strings.Builder){
		"directives": directivesPage, "rules": rulesPage, "exit-codes": exitCodesPage, "commands": func(b *strings.Builder) { commandsPage(t, b) },
	} {
		var b strings.Builder
		b.WriteString("<!-- Generated from generator: go test ./generator/cmd/stellagen -run Reference -update -->\n\n")
		page(&b)
		file := filepath.Join("../../../docs/reference", name+".md")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(old) != b.String() {
			t.Errorf("docs/reference/%s.md differs from the tables: run go test ./generator/cmd/stellagen -run Reference -update, and look at what changed", name)
		}
	}
}

// cell keeps text within a cell of a table.
var cell = strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;", ">", "&gt;")

func directivesPage(b *strings.Builder) {
	b.WriteString("# Directives\n\nA directive is a line comment that begins exactly with `//stella:`. Positional arguments come first, then\n" +
		"`key=value` and flags in any order; `stellagen fmt` writes them in the order below. A value with spaces or commas is quoted\n" +
		"as in Go. `stellagen explain` prints the same for one directive or key.\n")
	for _, d := range directive.Registry() {
		fmt.Fprintf(b, "\n## %s\n\n`%s`\n\n%s It stands in %s", d.Name, directiveUsage(d), cell.Replace(d.Doc), d.Place)
		if d.Repeatable {
			b.WriteString(", as often as needed")
		}
		b.WriteString(".\n")
		if d.Name == "with" {
			b.WriteString("\nIts keys are those of `endpoint`.\n")
			continue
		}
		if len(d.Args)+len(d.Keys) == 0 {
			continue
		}
		b.WriteString("\n| argument | needed | what it says |\n|---|---|---|\n")
		for _, k := range slices.Concat(d.Args, d.Keys) {
			needed := map[bool]string{true: "yes"}[k.Required]
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", strings.ReplaceAll(k.Usage(), "|", "\\|"), needed, cell.Replace(k.Doc))
		}
	}
}

func rulesPage(b *strings.Builder) {
	b.WriteString("# Rules\n\nWhat stellagen can find. An id never changes its meaning and is never used again. `stellagen rules` lists them,\n" +
		"`stellagen explain ID` prints one.\n\n")
	byCategory := map[string][]diagnostic.Rule{}
	var categories []string
	for _, r := range ruleTables() {
		category := categoryOf(r)
		if byCategory[category] == nil {
			categories = append(categories, category)
		}
		byCategory[category] = append(byCategory[category], r)
	}
	for _, category := range categories {
		fmt.Fprintf(b, "- [%s](#%s)\n", category, strings.ToLower(category))
	}
	for _, category := range categories {
		fmt.Fprintf(b, "\n## %s\n", category)
		for _, r := range byCategory[category] {
			fmt.Fprintf(b, "\n### %s\n\n", r.ID)
			if r.Name != "" {
				fmt.Fprintf(b, "`%s`, ", r.Name)
			}
			fmt.Fprintf(b, "%s: %s\n\n%s\n", r.Severity, cell.Replace(r.Title), cell.Replace(r.Text))
			if r.Ignorable {
				fmt.Fprintf(b, "\n`//stella:ignore %s reason` silences it.\n", r.ID)
			}
		}
	}
}

func exitCodesPage(b *strings.Builder) {
	b.WriteString("# Exit codes\n\nThey are the same for every command. `go run` turns all of them into 1: use `go tool stellagen`.\n" +
		"`--fail-on` says how grave a finding has to be for 20, 21 and 22; wrong input fails whatever it says.\n\n" +
		"| code | meaning | what to do |\n|---|---|---|\n")
	for _, m := range exitMeanings {
		fmt.Fprintf(b, "| %d | %s | %s |\n", m.code, cell.Replace(m.meaning), cell.Replace(m.todo))
	}
	b.WriteString("\nA panic inside Go's own parser or type checker is about the package that was read, and ends with 2. A panic of stellagen's\n" +
		"own ends with 1. Neither prints a stack trace, unless `" + debugVariable + "` is set.\n")
}

func commandsPage(t *testing.T, b *strings.Builder) {
	t.Helper()
	parser, err := newParser(new(commands), &output{stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString("# Commands of stellagen\n\nStandard output has data: what was asked for, or findings in a form for machines. Standard error has everything\n" +
		"else. See [exit codes](exit-codes.md).\n\n## Flags of every command\n\n")
	flagTable(b, parser.Model.Flags)
	b.WriteString("\nColour follows, in this order, `--color`, `NO_COLOR`, `CLICOLOR_FORCE` and `FORCE_COLOR`, `TERM=dumb`, and whether the stream is\n" +
		"a terminal.\n\n## Formats\n\n`--format` may be given several times, as `--format text --format sarif:out.sarif`. One format for machines goes to standard\n" +
		"output; `NAME:FILE` writes to a file. Commands that print data, such as `list`, print it as JSON with `--format json`.\n\n" +
		"| format | what it is |\n|---|---|\n")
	for _, f := range diagnostic.Formats() {
		fmt.Fprintf(b, "| `%s` | %s |\n", f.Name, cell.Replace(f.Doc))
	}
	for _, command := range parser.Model.Children {
		commandSection(b, command)
	}
}

func commandSection(b *strings.Builder, command *kong.Node) {
	if len(command.Children) > 0 {
		for _, child := range command.Children {
			commandSection(b, child)
		}
		return
	}
	words := []string{command.FullPath()}
	for _, p := range command.Positional {
		words = append(words, p.Summary())
	}
	_, title, _ := strings.Cut(command.FullPath(), " ")
	fmt.Fprintf(b, "\n## %s\n\n`%s`\n\n%s\n", title, strings.Join(words, " "), cell.Replace(command.Help))
	if len(command.Positional)+len(command.Flags) == 0 {
		return
	}
	b.WriteString("\n")
	flagTable(b, command.Flags, command.Positional...)
}

func flagTable(b *strings.Builder, flags []*kong.Flag, positional ...*kong.Value) {
	b.WriteString("| argument | what it does |\n|---|---|\n")
	for _, p := range positional {
		fmt.Fprintf(b, "| `%s` | %s |\n", p.Summary(), cell.Replace(p.Help))
	}
	for _, f := range flags {
		if f.Name == "help" {
			continue
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name = fmt.Sprintf("-%c, %s", f.Short, name)
		}
		if !f.IsBool() {
			name += "=" + cmp.Or(f.PlaceHolder, f.Default, strings.ToUpper(f.Name))
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, cell.Replace(f.Help))
	}
}
