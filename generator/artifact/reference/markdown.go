package reference

import (
	"bytes"
	"fmt"
	"go/doc/comment"
	"strings"
	"text/template"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/templates"
)

// Markdown writes the reference as GitHub's Markdown. url is where callers reach the gateway.
func Markdown(m *spec.Manifest, url string) ([]byte, error) {
	p, err := newPage(m, url)
	if err != nil {
		return nil, err
	}
	const name = "api.md.tmpl"
	t, err := template.New(name).Funcs(template.FuncMap{
		"text": inline, "code": code, "type": markdownType, "doc": markdownDoc, "cells": markdownConstraints, "fence": fence,
	}).ParseFS(templates.FS, "reference/"+name)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return out.Bytes(), nil
}

// specials are what means something to Markdown within a line, or in a table.
var specials = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `&lt;`, ">", `&gt;`, "&", `&amp;`, "|", `\|`, "#", `\#`, "~", `\~`,
)

// inline is text on one line, as it stands.
func inline(text string) string { return specials.Replace(strings.Join(strings.Fields(text), " ")) }

// code is text in a fixed width. In tables a bar has to be escaped even there.
func code(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	if text == "" {
		return ""
	}
	ticks := "`"
	for strings.Contains(text, ticks) {
		ticks += "`"
	}
	if len(ticks) > 1 { // a space keeps them apart from those of the text
		return ticks + " " + text + " " + ticks
	}
	return ticks + text + ticks
}

// fence is a block of code.
func fence(language, text string) string {
	ticks := "```"
	for strings.Contains(text, ticks) {
		ticks += "`"
	}
	return ticks + language + "\n" + text + "\n" + ticks
}

func markdownType(t typeText) string {
	var b strings.Builder
	for _, p := range t {
		if p.ID == "" {
			b.WriteString(specials.Replace(p.Text)) // with the spaces that part it from its neighbours
			continue
		}
		fmt.Fprintf(&b, "[%s](#%s)", inline(p.Text), p.ID)
	}
	return b.String()
}

func markdownConstraints(list []string) string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = inline(c)
	}
	return strings.Join(out, "; ")
}

// markdownDoc is a doc comment of Go. Names in brackets are Go's, and lead nowhere here.
func markdownDoc(text string) string {
	var p comment.Parser
	printer := &comment.Printer{HeadingLevel: deepest, HeadingID: noID, DocLinkURL: noURL}
	return strings.TrimSpace(string(printer.Markdown(p.Parse(text))))
}

// deepest is the level of headings within documentation.
const deepest = 4

func noID(*comment.Heading) string { return "" }

func noURL(*comment.DocLink) string { return "" }
