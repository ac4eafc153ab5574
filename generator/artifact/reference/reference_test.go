package reference_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stella-ops/router/generator/artifact/reference"
	"github.com/stella-ops/router/spec"
)

const url = "http://127.0.0.1:8080"

// hostile is text that means something to HTML, to Markdown, and to a table.
const hostile = "</script><script>alert(1)</script> | `code` *b* [a](https://example.com/x) {{.}} <img src=https://example.com/p.png onerror=alert(1)>\n| second"

// evil is a manifest with hostile text wherever there may be text.
func evil() *spec.Manifest {
	s := &spec.Schema{Type: "string", Doc: hostile, Enum: []string{hostile}, Default: new(hostile)}
	return &spec.Manifest{
		Service: "evil", Version: "1.0.0", Doc: hostile, Owner: hostile,
		Schemas: map[string]*spec.Schema{hostile: {Type: "object", Doc: hostile, Properties: map[string]*spec.Schema{hostile: s}}},
		Endpoints: []spec.Endpoint{{
			Method: "POST", Path: "/x", Handler: "X", Kind: spec.KindTyped, Status: 200, Stream: spec.StreamNone, Public: hostile,
			Limits: spec.DefaultLimits, Doc: hostile, Deprecated: hostile, Tags: []string{hostile},
			Params:  []spec.Param{{Name: hostile, In: "query", Doc: hostile, Schema: s}},
			Request: &spec.Schema{Ref: hostile}, Response: &spec.Schema{Ref: hostile},
			Errors: []spec.ErrorAnswer{{Code: hostile, Status: 400, Doc: hostile, Details: &spec.Schema{Ref: hostile}}},
		}},
	}
}

func htmlOf(t *testing.T, m *spec.Manifest) string {
	t.Helper()
	got, err := reference.HTML(m, url)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// values are those of attributes: none has a quote in it.
var values = regexp.MustCompile(`="[^"]*"`)

var tag = regexp.MustCompile(`<(/?[a-zA-Z]+)((?:\s+[a-zA-Z-]+(?:="[^"]*")?)*)\s*/?>`)

// TestHTMLEscapes holds that no text of a manifest is a tag, an attribute or script of the page.
func TestHTMLEscapes(t *testing.T) {
	page := htmlOf(t, evil())
	for _, m := range tag.FindAllStringSubmatch(values.ReplaceAllString(page, `=""`), -1) {
		if name := strings.ToLower(m[1]); name == "img" || strings.Contains(m[2], "onerror") {
			t.Errorf("text became a tag: %s", m[0])
		}
	}
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("the page has %d scripts, expected its own", n)
	}
	if n := strings.Count(page, "<img"); n != 0 {
		t.Errorf("the page has %d pictures", n)
	}
}

// TestHTMLAsksForNothing holds that the page names nothing that a browser would fetch, and that its policy forbids that.
func TestHTMLAsksForNothing(t *testing.T) {
	raw, err := os.ReadFile("../../../spec/openapi/testdata/everything.manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := spec.ParseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	page := htmlOf(t, m)
	for _, fetches := range []string{`src=`, `@import`, `url(`, `fetch(`, `XMLHttpRequest`, `import(`, `href="http`, `href="//`, `<iframe`, `<object`, `<form`} {
		if strings.Contains(page, fetches) {
			t.Errorf("the page has %s", fetches)
		}
	}
	for _, link := range regexp.MustCompile(`<link[^>]*>`).FindAllString(page, -1) {
		if link != `<link rel="icon" href="data:,">` {
			t.Errorf("the page links %s", link)
		}
	}
	if !strings.Contains(page, `http-equiv="Content-Security-Policy" content="default-src 'none';`) {
		t.Error("the page has no policy that forbids what it does not need")
	}
}

// TestMarkdownKeepsTablesWhole holds that text of a manifest neither ends a cell nor becomes a tag.
func TestMarkdownKeepsTablesWhole(t *testing.T) {
	got, err := reference.Markdown(evil(), url)
	if err != nil {
		t.Fatal(err)
	}
	columns, fenced := 0, false
	for i, line := range strings.Split(string(got), "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		if !strings.HasPrefix(line, "|") {
			columns = 0
			if strings.Contains(strings.ReplaceAll(line, `\<`, ""), "<script") {
				t.Errorf("line %d has a tag: %s", i+1, line)
			}
			continue
		}
		bars := strings.Count(line, "|") - strings.Count(line, `\|`)
		if columns != 0 && bars != columns {
			t.Errorf("line %d has %d bars, its table has %d: %s", i+1, bars, columns, line)
		}
		columns = bars
	}
}

// TestContrast holds text to a contrast of 4.5 to 1 (WCAG 2.2, 1.4.3), in both colour schemes.
func TestContrast(t *testing.T) {
	page := htmlOf(t, &spec.Manifest{Service: "x", Version: "1.0.0"})
	schemes := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllStringSubmatch(page, -1)
	if len(schemes) != 2 {
		t.Fatalf("the page has %d colour schemes, expected 2", len(schemes))
	}
	for _, scheme := range schemes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+): #(\w{6})`).FindAllStringSubmatch(scheme[1], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, text := range []string{"text", "soft", "link", "mark"} {
			for _, back := range []string{"back", "panel"} {
				light, dark := max(colours[text], colours[back]), min(colours[text], colours[back])
				if ratio := (light + 0.05) / (dark + 0.05); ratio < 4.5 {
					t.Errorf("%s on %s has a contrast of %.1f in %s", text, back, ratio, strings.TrimSpace(scheme[1]))
				}
			}
		}
	}
}

// luminance is what WCAG calls relative luminance.
func luminance(t *testing.T, rgb string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(rgb[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// TestReferenceHasEverything holds that what a manifest says of an endpoint is in both forms.
func TestReferenceHasEverything(t *testing.T) {
	m := &spec.Manifest{
		Service: "shop", Version: "1.2.3", Owner: "team", Doc: "Package shop sells.",
		Schemas: map[string]*spec.Schema{"shop.Item": {Type: "object", Required: []string{"name"}, Properties: map[string]*spec.Schema{
			"name": {Type: "string", MinLength: 2, Doc: "as it is sold"}, "next": {Ref: "shop.Item", Nullable: true},
			"deep": {Type: "array", Items: &spec.Schema{Type: "object", Properties: map[string]*spec.Schema{"inner": {Type: "boolean"}}}},
		}}},
		Endpoints: []spec.Endpoint{
			{
				Method: "GET", Path: "/items", Handler: "List", Kind: spec.KindStream, Status: 200, Stream: spec.StreamResponse, Events: true,
				Claims: []spec.ClaimRequirement{{Type: "scope", Value: "shop:read"}}, Limits: spec.Limits{MaxBodyBytes: 1, TimeoutMS: 7000, IdleMS: 90_000},
				Idempotent: true, Response: &spec.Schema{Ref: "shop.Item"}, SLO: "99.5", Stability: spec.StabilityBeta,
				Params: []spec.Param{{Name: "q", In: "query", Required: true, Doc: "what is looked for", Schema: &spec.Schema{Type: "string", Pattern: "^a"}}},
				Errors: []spec.ErrorAnswer{{Code: "sold_out", Status: 409, Doc: "none is left", Details: &spec.Schema{Ref: "shop.Item"}}},
			},
			{
				Method: "POST", Path: "/items", Handler: "Make", Kind: spec.KindTyped, Status: 200, Stream: spec.StreamNone, Public: "a toy",
				Limits: spec.Limits{MaxBodyBytes: 4096, TimeoutMS: 1000, IdleMS: 1000}, Idempotent: true, Queue: &spec.Queueing{Attempts: 4, LeaseMS: 120_000},
				Request: &spec.Schema{Ref: "shop.Item"}, Deprecated: "buy", Sunset: "2030-01-31", Tags: []string{"toys"},
				Headers: []spec.Param{{Name: "ETag", In: "header", Schema: &spec.Schema{Type: "string"}}},
			},
		},
	}
	md, err := reference.Markdown(m, url)
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(`\`, "", "`", "").Replace(string(md))
	page := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(strings.NewReplacer("&lt;", "<", "&#39;", "'").Replace(htmlOf(t, m)), "")
	for _, want := range []string{
		"shop", "1.2.3", "Owner: team", "sells.", url, "GET", "/items", "scope=shop:read", "7s", "1m30s", "99.5 %", "Beta", "what is looked for", "matches ^a",
		"stream, each item a ", "with an id and a name", "sold_out", "409", "none is left", "a toy", "4KiB", "up to 4 attempts", "2m",
		"Deprecated: buy (it may go after 2030-01-31)", "toys", "ETag", "deep[].inner", "at least 2 characters", "as it is sold", "202", "Jobs",
	} {
		for form, text := range map[string]string{"Markdown": plain, "HTML": page} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", form, want)
			}
		}
	}
	for _, link := range []string{`[shop.Item](#type-shop-item)`, `<a id="type-shop-item"></a>`} {
		if !strings.Contains(string(md), link) {
			t.Errorf("Markdown lacks %s", link)
		}
	}
	if want := fmt.Sprintf(`<a href="#%s">shop.Item</a>`, "type-shop-item"); !strings.Contains(htmlOf(t, m), want) {
		t.Errorf("HTML lacks %s", want)
	}
}
