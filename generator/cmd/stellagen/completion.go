package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/generator/directive"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c *completionCommand) Run(out *output, parser *kong.Kong) error { //nolint:unparam // kong calls it, and wants an error
	switch c.Shell {
	case "fish":
		fishCompletion(out.stdout, parser.Model.Node)
	case "zsh":
		_, _ = fmt.Fprint(out.stdout, "autoload -U +X bashcompinit && bashcompinit\n")
		fallthrough
	default:
		bashCompletion(out.stdout, parser.Model.Node)
	}
	return nil
}

// operands are what a command takes beside its flags, where that is one of a list.
func operands(command *kong.Node) []string {
	switch command.Name {
	case "explain":
		return explainable()
	case "export":
		return append(artifactNames(), allKinds)
	}
	var words []string
	for _, child := range command.Children {
		words = append(words, child.Name)
	}
	for _, p := range command.Positional {
		words = append(words, enum(p)...)
	}
	return words
}

// enum are a value's possible values.
func enum(v *kong.Value) []string {
	switch {
	case v.Name == "format":
		return formatNames()
	case v.Enum == "":
		return nil
	}
	return strings.Split(v.Enum, ",")
}

// flags are a command's own flags, and those that every command has.
func flags(command, root *kong.Node) []*kong.Flag {
	all := slices.Concat(command.Flags, root.Flags)
	for _, child := range command.Children {
		all = append(all, child.Flags...)
	}
	return all
}

// commandNames are the commands, in the order of the help.
func commandNames(root *kong.Node) []string {
	var names []string
	for _, command := range root.Children {
		names = append(names, command.Name)
	}
	return names
}

// bashCompletion prints a function that completes by the first word that is a command.
func bashCompletion(w io.Writer, root *kong.Node) {
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	printf("_stellagen() {\n\tlocal word command= words=\n\tlocal current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n")
	printf("\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n\t\tcase \"$word\" in\n")
	printf("\t\t%s) command=\"$word\"; break ;;\n\t\tesac\n\tdone\n", strings.Join(commandNames(root), "|"))
	printf("\tcase \"$previous\" in\n")
	seen := map[string]bool{}
	for _, command := range root.Children {
		for _, f := range flags(command, root) {
			if values := enum(f.Value); len(values) > 0 && !seen[f.Name] {
				seen[f.Name] = true
				printf("\t--%s) COMPREPLY=($(compgen -W %s -- \"$current\")); return ;;\n", f.Name, shellQuote(strings.Join(values, " ")))
			}
		}
	}
	printf("\tesac\n\tcase \"$command\" in\n")
	for _, command := range root.Children {
		words := operands(command)
		for _, f := range flags(command, root) {
			words = append(words, "--"+f.Name)
		}
		printf("\t%s) words=%s ;;\n", command.Name, shellQuote(strings.Join(words, " ")))
	}
	var words []string
	for _, f := range root.Flags {
		words = append(words, "--"+f.Name)
	}
	printf("\t*) words=%s ;;\n\tesac\n", shellQuote(strings.Join(append(commandNames(root), words...), " ")))
	printf("\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\ncomplete -o default -F _stellagen stellagen\n")
}

// fishCompletion prints a line for each word, with its help.
func fishCompletion(w io.Writer, root *kong.Node) {
	line := func(condition, what, help string) {
		_, _ = fmt.Fprintf(w, "complete -c stellagen -n %s %s -d %s\n", shellQuote(condition), what, shellQuote(help))
	}
	for _, command := range root.Children {
		line("__fish_use_subcommand", "-f -a "+command.Name, command.Help)
		condition := "__fish_seen_subcommand_from " + command.Name
		for _, f := range flags(command, root) {
			what := "-l " + f.Name
			if values := enum(f.Value); len(values) > 0 {
				what += " -x -a " + shellQuote(strings.Join(values, " "))
			} else if !f.IsBool() {
				what += " -r"
			}
			line(condition, what, f.Help)
		}
		for _, word := range operands(command) {
			line(condition, "-f -a "+shellQuote(word), operandHelp(word))
		}
	}
}

// operandHelp says what a word is that explain takes.
func operandHelp(word string) string {
	for _, r := range ruleTables() {
		if string(r.ID) == word || r.Name == word {
			return r.Title
		}
	}
	if d, ok := directive.Lookup(word); ok {
		return d.Doc
	}
	return ""
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
