package spec

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the generated parts of PROTOCOL.md")

const protocolFile = "PROTOCOL.md"

// TestProtocolIsCurrent compares the generated parts of PROTOCOL.md with the code.
func TestProtocolIsCurrent(t *testing.T) {
	old, err := os.ReadFile(protocolFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(old)
	for name, table := range map[string]string{
		"types": typesTable(), "codes": codesTable(t), "static": staticTable(), "limits": limitsTable(t),
	} {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- /generated -->"
		before, rest, ok := strings.Cut(text, begin)
		if !ok {
			t.Fatalf("%s has no mark %q", protocolFile, begin)
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			t.Fatalf("%s: nothing ends %q", protocolFile, begin)
		}
		text = before + begin + "\n" + table + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile(protocolFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != string(old) {
		t.Errorf("%s differs from the code: run go test ./spec -run Protocol -update, and look at what changed", protocolFile)
	}
}

func (f Flags) list() string {
	names := []string{"END", "INLINE_BODY", "IDEMPOTENT", "RETRY", "BLOCKED"}
	var set []string
	for i, name := range names {
		if f&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ", ")
}

func typesTable() string {
	aux := map[auxUse]string{
		auxZero: "0", auxDeadline: "deadline", auxSequence: "sequence", auxCredit: "credit", auxCode: "code", auxOpaque: "opaque",
	}
	bytes := func(n uint32) string {
		if n == 0 {
			return ""
		}
		return thousands(int64(n))
	}
	var b strings.Builder
	b.WriteString("| number | type | travels on | flags | metadata, at most | body, at most | aux |\n|---|---|---|---|---|---|---|\n")
	for i, r := range rules {
		if r.name == "" {
			continue
		}
		on := "a stream"
		switch {
		case r.session && r.stream:
			on = "the session, a stream"
		case r.session:
			on = "the session"
		}
		flags := r.flags.list()
		if r.must != 0 {
			flags += ", always"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s |\n", i, r.name, on, flags, bytes(r.meta), bytes(r.body), aux[r.aux])
	}
	return b.String()
}

// codeMeanings says for every code what it means, who sends it, and what the HTTP client sees.
var codeMeanings = map[Code][3]string{
	CodeNoError:    {"no failure: stop sending, nothing more is needed; or confirms a CANCEL", "either", "the answer"},
	CodeClientGone: {"the HTTP client left", "gateway", "nothing: it is gone"},
	CodeDeadline:   {"the call's time is up", "either", "504"},
	CodeLimit:      {"a body over its limit", "either", "413"},
	CodeRefused: {
		"not taken on: lease spent, or draining; safe to retry. On stream 0, instead of WELCOME: too many register at once", "either",
		"the answer of another instance; else 503, retryable",
	},
	CodeStale:        {"unknown manifest generation or endpoint; safe to retry", "service", "the answer of another instance; else 503, retryable"},
	CodeSlowConsumer: {"the reader stalled and the memory budget is spent", "either", "502"},
	CodeShutdown:     {"the sender is going away: GOAWAY, or the grace is over", "either", "502"},
	CodeInternal:     {"a fault of the sender", "either", "502"},
	CodeProtocol:     {"the peer broke the protocol", "either", "502"},
	CodeFlow:         {"the peer overran its credit, or sends too much of what is of no use", "either", "502"},
	CodeUnauthorized: {"no right to the service name, or no proof of the gateway's; opening only", "either", "-"},
	CodeConflict:     {"another registration excludes this one; opening only", "gateway", "-"},
	CodeUnsupported:  {"a critical feature that is not known; opening only", "gateway", "-"},
	CodeOperator:     {"ended by an operator", "gateway", "502"},
	CodeStalled:      {"the request's body stopped arriving", "gateway", "408"},
	CodeIdle:         {"the stream was silent for longer than its idle limit", "gateway", "504"},
	CodeTooLarge:     {"an answer that the link cannot carry", "service", "502"},
}

func codesTable(t *testing.T) string {
	t.Helper()
	if len(codeMeanings) != len(codeNames) {
		t.Fatalf("%d codes have a meaning, there are %d", len(codeMeanings), len(codeNames))
	}
	var b strings.Builder
	b.WriteString("| number | code | meaning | sent by | client sees |\n|---|---|---|---|---|\n")
	for i, name := range codeNames {
		m := codeMeanings[Code(i)]
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", i, name, m[0], m[1], m[2])
	}
	return b.String()
}

func staticTable() string {
	const columns = 4
	rows := (len(staticNames) + columns - 1) / columns
	var b strings.Builder
	b.WriteString(strings.Repeat("| | name ", columns) + "|\n" + strings.Repeat("|---|---", columns) + "|\n")
	for row := range rows {
		for column := range columns {
			if i := column*rows + row; i < len(staticNames) {
				fmt.Fprintf(&b, "| %d | %s ", i+1, staticNames[i])
			} else {
				b.WriteString("| | ")
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// limits has the value of every constant of limits.go, hello.go, manifest.go and queueing.go that is a limit, in the order of the page.
var limits = []struct {
	name  string
	value any
	what  string
}{
	{"HeaderSize", HeaderSize, "a frame's header"},
	{"MaxFrameHello", MaxFrameHello, "payload of a frame before WELCOME"},
	{"MaxFrameDefault", MaxFrameDefault, "payload of a frame after WELCOME, unless it says otherwise"},
	{"MaxFrameHard", MaxFrameHard, "the largest payload limit that WELCOME may name"},
	{"MaxMetadata", MaxMetadata, "a frame's metadata"},
	{"MaxInlineBody", MaxInlineBody, "the body in a REQUEST or RESPONSE"},
	{"MaxChunk", MaxChunk, "the body of a data frame"},
	{"MaxReason", MaxReason, "the reason in CANCEL and GOAWAY"},
	{"StreamWindow", StreamWindow, "default of streamWindow: the credit that each half starts with"},
	{"MaxSessionWindow", int64(MaxSessionWindow), "the credit that a session may have at any time"},
	{"MaxStreamWindow", MaxStreamWindow, "the credit that a half may have at any time"},
	{"MaxManifest", MaxManifest, "a manifest"},
	{"MaxFields", MaxFields, "header fields, path parameters and claims, each, of one REQUEST, RESPONSE or TRAILERS (count)"},
	{"MaxAttempts", MaxAttempts, "attempts at a job (count)"},
	{"MaxLeaseMS", MaxLeaseMS, "the longest lease of an attempt at a job (ms)"},
	{"MinLeaseMS", MinLeaseMS, "the shortest lease of an attempt at a job (ms)"},
	{"MaxJobBody", MaxJobBody, "the body of a job"},
	{"MaxSignedFrames", MaxSignedFrames, "frames that one MAC covers (count)"},
	{"MaxSignedBytes", MaxSignedBytes, "frames that one MAC covers, headers included"},
	{"MaxFeatures", MaxFeatures, "features in HELLO, and features and gateways in WELCOME, each (count)"},
	{"MaxLease", MaxLease, "a lease (count)"},
	{"MaxStreamID", MaxStreamID, "the last stream id (number)"},
	{"RenewStreamID", RenewStreamID, "the stream id from which on a service renews its session (number)"},
	{"HelloTimeout", HelloTimeout, "from an open link to HELLO, and from HELLO to WELCOME"},
	{"HeartbeatInterval", HeartbeatInterval, "default of heartbeatMs"},
	{"DeadAfter", DeadAfter, "silent intervals until a peer is dead (count)"},
	{"WriteStall", WriteStall, "a write without progress, until the link ends"},
	{"CancelHold", CancelHold, "a cancelled call's slot waits for its confirmation"},
	{"ManifestTimeout", ManifestTimeout, "from RESYNC, or the first ENDPOINTS, to the last"},
}

func limitsTable(t *testing.T) string {
	t.Helper()
	exported := exportedConstants(t, "limits.go")
	var b strings.Builder
	b.WriteString("| limit | value | of |\n|---|---|---|\n")
	for _, l := range limits {
		delete(exported, l.name)
		value := fmt.Sprint(l.value)
		if _, isTime := l.value.(time.Duration); !isTime {
			value = thousands(reflect.ValueOf(l.value).Int())
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.name, value, l.what)
	}
	for name := range exported {
		t.Errorf("limits.go has the constant %s, which the table of limits lacks", name)
	}
	return b.String()
}

// exportedConstants are the names of a file's exported constants.
func exportedConstants(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range parsed.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			values, ok := s.(*ast.ValueSpec)
			if !ok {
				t.Fatalf("%s: a constant is a %T", file, s)
			}
			for _, name := range values.Names {
				if name.IsExported() {
					names[name.Name] = true
				}
			}
		}
	}
	return names
}

// thousands writes n with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// TestProtocolExamples holds the numbers that PROTOCOL.md gives in its text.
func TestProtocolExamples(t *testing.T) {
	text, err := os.ReadFile(protocolFile)
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(text)), " ")
	for _, want := range []string{
		fmt.Sprintf("| maxFrame | integer | %s (the largest metadata with the largest inline body) to %s |",
			thousands(MaxMetadata+MaxInlineBody), thousands(MaxFrameHard)),
		fmt.Sprintf("| lease | integer | 1 to %s |", thousands(MaxLease)),
		fmt.Sprintf("| features | array, at most %d,", MaxFeatures),
		fmt.Sprintf("Inline bodies are at most %d KiB.", MaxInlineBody>>10),
		fmt.Sprintf("Data frames are at most %d KiB;", MaxChunk>>10),
		fmt.Sprintf("The payload limit is %d KiB until WELCOME", MaxFrameHello>>10),
		fmt.Sprintf("not whole %d s after", HelloTimeout/time.Second),
		fmt.Sprintf("or for %d s.", CancelHold/time.Second),
		fmt.Sprintf("by default %d KiB", StreamWindow>>10),
		fmt.Sprintf("| attempts | integer | 1 to %s |", thousands(MaxAttempts)),
		fmt.Sprintf("| leaseMs | integer | %s to %s |", thousands(MinLeaseMS), thousands(MaxLeaseMS)),
		"`maxBodyBytes` is at most " + thousands(MaxJobBody),
		fmt.Sprintf("No endpoint's path is `%s` or begins with `%[1]s/`", ReservedPath),
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("%s lacks %q", protocolFile, want)
		}
	}
}

// TestRulesNameTheirTests holds section 13 of PROTOCOL.md: every rule there names a test that exists, by its function's
// name or by the text of its spec, and every section that has rules is there.
func TestRulesNameTheirTests(t *testing.T) {
	text, err := os.ReadFile(protocolFile)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n## 13. ")
	if !ok {
		t.Fatalf("%s has no section 13", protocolFile)
	}
	tests := testNames(t)
	sections := map[string]bool{}
	for _, section := range []string{"2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "3", "4", "5", "5.1", "5.2", "6", "7", "8", "9", "11"} {
		sections[section] = false
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || !strings.HasPrefix(cells[0], "| ") || cells[0] == "| section" {
			continue
		}
		sections[strings.TrimPrefix(cells[0], "| ")] = true
		names := strings.Split(strings.TrimSuffix(cells[2], " |"), "`")
		if len(names) < 3 {
			t.Errorf("section 13: the rule %q names no test", cells[1])
		}
		for i := 1; i < len(names); i += 2 {
			if !tests[names[i]] {
				t.Errorf("section 13: the rule %q names %q, which no test is called", cells[1], names[i])
			}
		}
	}
	for section, there := range sections {
		if !there {
			t.Errorf("section 13 has no rule of section %s", section)
		}
	}
}

// testNames are the names of all tests of this module: of functions, and the texts of specs, entries and containers.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				names[n.Name.Name] = true
			case *ast.CallExpr:
				if name, ok := specText(n); ok {
					names[name] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// specText is the text of a call of It, Entry, Describe and the like.
func specText(n *ast.CallExpr) (string, bool) {
	called, ok := n.Fun.(*ast.Ident)
	if !ok || len(n.Args) == 0 {
		return "", false
	}
	switch called.Name {
	case "It", "Entry", "Describe", "DescribeTable", "Context", "When", "everyForm", "inForms":
	default:
		return "", false
	}
	first, ok := n.Args[0].(*ast.BasicLit)
	if !ok {
		if sum, isSum := n.Args[0].(*ast.BinaryExpr); isSum { // "text over " + name
			first, ok = sum.X.(*ast.BasicLit)
		}
	}
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(first.Value)
	return strings.TrimSpace(text), err == nil
}
