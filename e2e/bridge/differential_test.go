package bridge

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/stella-ops/router/spec"
)

// requests is how many of them are generated, unless -rapid.checks says otherwise.
const requests = 500

// largest is the largest body that is generated, in bytes. Without full duplex, net/http reads up to 256 KiB of what a handler
// has left before it answers, and drops the connection where there is more.
const largest = 200 << 10

// TestDifferential asks a net/http server and the gateway the same, of a handler that does the same, and compares what clients
// get and what the handler has seen. What may differ is in the functions expectedView and compareAnswers, and in docs/bridge.md.
// A failure is made smaller by rapid, and prints how to play it again: -rapid.seed=N.
func TestDifferential(t *testing.T) {
	setChecks(t, requests)
	compare(t)
}

// TestDifferentialBehindMiddleware does so with middleware around the handler: before the bridge, that is an interceptor.
func TestDifferentialBehindMiddleware(t *testing.T) {
	setChecks(t, requests/5)
	compare(t, counting, counting)
}

// setChecks has rapid make n checks, unless -rapid.checks says how many.
func setChecks(t *testing.T, n int) {
	t.Helper()
	said := flag.Lookup("rapid.checks")
	if said.Value.String() != said.DefValue {
		return
	}
	t.Cleanup(func() {
		if err := flag.Set(said.Name, said.DefValue); err != nil {
			t.Error(err)
		}
	})
	if err := flag.Set(said.Name, strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, around ...middleware) {
	t.Helper()
	h := new(stage)
	p := serve(t, h, all(), around...)
	policy := readPolicy(t)
	played := map[action]int{}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		c := generate(t)
		for _, s := range c.Steps {
			played[s.Do]++
		}
		if differences := c.differences(t.Context(), h, p, policy, strconv.Itoa(n)); len(differences) > 0 {
			t.Fatalf("%s\n%s", &c, strings.Join(differences, "\n"))
		}
	})
	t.Logf("%d requests, steps of their handlers: %v", n, played)
}

// exchange is a request and what the handler does with it.
type exchange struct {
	Ask       ask
	Steps     []step
	Canonical bool // the target is in the form that the gateway passes on
}

func (c *exchange) String() string { return fmt.Sprintf("%s\n%v", &c.Ask, c.Steps) }

// fails reports whether the handler panics.
func (c *exchange) fails() bool {
	return slices.ContainsFunc(c.Steps, func(s step) bool { return s.Do == abort || s.Do == fail })
}

// differences are those that there must not be.
func (c *exchange) differences(ctx context.Context, h *stage, p *pair, policy *policy, name string) []string {
	played := h.put(name, c.Steps)
	defer h.drop(name)
	asked := c.Ask
	asked.Header = append(slices.Clone(asked.Header), caseHeader+": "+name)
	direct, endDirect, err := asked.send(ctx, p.direct)
	if err != nil {
		return []string{"net/http: " + err.Error()}
	}
	defer endDirect()
	through, endThrough, err := asked.send(ctx, p.gateway)
	if err != nil {
		return []string{"the gateway: " + err.Error()}
	}
	defer endThrough()
	if by := through.Header.Get("Proxy-Status"); by != "" && !direct.Broken && !c.fails() { // the answer is the gateway's own
		return []string{fmt.Sprintf("the gateway refused: %s\n%s", by, through)}
	}
	want, err := outcome(played.direct)
	if err != nil {
		return []string{"net/http: " + err.Error()}
	}
	got, err := outcome(played.observed)
	if err != nil {
		return []string{fmt.Sprintf("the bridge: %v\n%s", err, through)}
	}
	var found []string
	if !through.Broken && !through.Last && !asked.Expect && !c.fails() { // one that fails ends with its connection
		if next, err := through.again(name); err != nil || string(next.Body) != again {
			found = append(found, fmt.Sprintf("the gateway's connection is not good for another request: %v\n%s\n%s", err, through, next))
		}
	}
	if !c.Canonical { // the gateway passes the path on in another form, which means the same
		want.view.RawPath, want.view.URI, got.view.RawPath, got.view.URI = "", "", "", ""
	}
	if d := cmp.Diff(c.expectedView(want.view, policy), got.view, cmpopts.EquateEmpty()); d != "" {
		found = append(found, "the request (- net/http, + the bridge):\n"+d)
	}
	excess := false
	for i, told := range got.steps { // what is copied right to the connection net/http does not count, and sends too much
		if i < len(want.steps) && strings.HasSuffix(told, http.ErrContentLength.Error()) && (strings.HasPrefix(told, "copy from") || strings.HasPrefix(told, "echo")) {
			want.steps, got.steps, excess = want.steps[:i], got.steps[:i], true
			break
		}
	}
	if d := cmp.Diff(want.steps, got.steps); d != "" && !direct.Broken { // what a handler is told that breaks the answer may come sooner or later
		found = append(found, "what the handler was told (- net/http, + the bridge):\n"+d)
	}
	if excess {
		return found
	}
	return append(found, compareAnswers(c, direct, through, want.wrote, policy)...)
}

// expectedView is what the bridge shows where net/http shows v.
func (c *exchange) expectedView(v view, policy *policy) view {
	v.Close = false
	if v.Length == 0 && len(v.Encoding) == 0 { // no length and a length of 0 are the same to the gateway
		v.Header.Del("Content-Length")
	}
	hop := map[string]bool{}
	for _, value := range v.Header["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			hop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	length := v.Header["Content-Length"]
	for name := range v.Header {
		if policy.drops(name) || hop[name] || strings.Contains(name, "_") {
			delete(v.Header, name)
		}
	}
	if length != nil { // it reaches the service in typed metadata, and the bridge gives it back
		v.Header["Content-Length"] = length
	}
	return v
}

// compareAnswers says what differs. wrote is how many bytes of body the handler has written.
func compareAnswers(c *exchange, direct, through *answer, wrote int64, policy *policy) []string {
	complain := func(format string, args ...any) []string {
		return []string{fmt.Sprintf(format, args...) + fmt.Sprintf("\nnet/http:\n%s\nthe gateway:\n%s", direct, through)}
	}
	if c.fails() || direct.Broken { // a gateway always tells of a failure, by a problem as long as nothing has been sent
		switch {
		case through.Broken && (direct.Status == 0 || through.Status == direct.Status):
			return nil
		case through.Status >= http.StatusInternalServerError && through.Header.Get("Content-Type") == spec.ProblemType:
			return nil
		case direct.Broken:
			return complain("net/http breaks the answer off, and the gateway neither does nor answers with a problem")
		}
	}
	var found []string
	if through.Broken || through.Status != direct.Status {
		return complain("the status differs")
	}
	if d := cmp.Diff(policy.answer(direct.Header), policy.answer(through.Header), cmpopts.EquateEmpty()); d != "" {
		found = append(found, complain("the header differs (- net/http, + the gateway):\n%s", d)...)
	}
	if string(direct.Body) != string(through.Body) {
		found = append(found, complain("the body differs")...)
	}
	// net/http loses trailers that were not announced where it has found the length of the answer.
	lost := direct.Length >= 0 && !c.sets("Content-Length") && c.sets("X-Late") && through.Length < 0
	switch {
	case through.Length == direct.Length, lost:
	case direct.Length < 0 && through.Length == wrote && wrote <= spec.MaxInlineBody: // the bridge finds the length of more answers
	default:
		found = append(found, complain("the length differs")...)
	}
	if d := cmp.Diff(direct.trails(), through.trails(), cmpopts.EquateEmpty()); d != "" && !lost {
		found = append(found, complain("the trailers differ (- net/http, + the gateway):\n%s", d)...)
	}
	if through.Header.Get("Date") == "" || through.Header.Get("X-Request-Id") == "" {
		found = append(found, complain("the gateway's own fields are missing")...)
	}
	for _, status := range through.Informal {
		if status != http.StatusContinue || !c.Ask.Expect {
			found = append(found, complain("an informational answer that is not 100, or was not asked for")...)
		}
	}
	return found
}

// policy is what becomes of header fields at the gateway, as docs/reference/headers.md tells clients and authors.
type policy struct {
	request, response []string // names, canonical; a star at the end stands for anything
}

// readPolicy reads the page.
func readPolicy(t *testing.T) *policy {
	t.Helper()
	page, err := os.ReadFile("../../docs/reference/headers.md")
	if err != nil {
		t.Fatal(err)
	}
	item := regexp.MustCompile("(?m)^- `(.*)`$")
	section := func(title string) (names []string) {
		_, text, found := strings.Cut(string(page), "\n## "+title+"\n")
		if !found {
			t.Fatalf("the page has no section %q", title)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		for _, m := range item.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		if len(names) < 10 {
			t.Fatalf("section %q has the names %q: too few to be all", title, names)
		}
		return names
	}
	return &policy{request: append(section("Reserved"), section("Dropped")...), response: section("Dropped from answers")}
}

func named(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		prefix, star := strings.CutSuffix(n, "*")
		return n == name || star && strings.HasPrefix(name, prefix)
	})
}

// drops reports whether a field of requests is dropped.
func (p *policy) drops(name string) bool { return named(p.request, name) }

// answer is a header of an answer without what is the gateway's to say.
func (p *policy) answer(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		if !named(p.response, name) {
			kept[name] = values
		}
	}
	delete(kept, "Trailer") // see trails
	return kept
}
