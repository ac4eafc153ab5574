package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// actionFail is what a test or package ends with that has failed.
const actionFail = "fail"

// event is a line of `go test -json` (go doc cmd/test2json).
type event struct {
	Action  string `json:"action"`
	Package string `json:"package"`
	Test    string `json:"test"`
	Output  string `json:"output"`
}

// summary counts specs and tests.
type summary struct {
	passed, failed int
}

// ginkgo's totals, without colour: "Ran 12 of 12 Specs in 0.2 seconds" and "FAIL! -- 11 Passed | 1 Failed | ...".
var (
	ranLine    = regexp.MustCompile(`^Ran \d+ of \d+ Specs? in `)
	totalsLine = regexp.MustCompile(`^(?:SUCCESS!|FAIL!).* -- (\d+) Passed \| (\d+) Failed`)
)

// packageState is what is known of a package while it is tested.
type packageState struct {
	output []string        // all of it, to be shown when the package fails
	suites map[string]bool // test functions that ran ginkgo specs
	parent map[string]bool // tests that have subtests
	ended  map[string]bool // tests that have ended, and whether they passed
	failed bool
	specs  summary
}

// read reads events from r until its end, writes what a person wants to see to w, and counts.
func read(r io.Reader, w io.Writer) (summary, error) {
	var total summary
	packages := map[string]*packageState{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil { // what go test says before there is a test
				_, _ = w.Write(line)
			} else if sum, done := take(packages, e, w); done {
				total.passed += sum.passed
				total.failed += sum.failed
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, fmt.Errorf("reading go test's events: %w", err)
		}
	}
}

// take notes one event; done says that it was its package's last one.
func take(packages map[string]*packageState, e event, w io.Writer) (sum summary, done bool) {
	if e.Action == "build-output" {
		_, _ = io.WriteString(w, e.Output)
		return summary{}, false
	}
	if e.Package == "" {
		return summary{}, false
	}
	p := packages[e.Package]
	if p == nil {
		p = &packageState{suites: map[string]bool{}, parent: map[string]bool{}, ended: map[string]bool{}}
		packages[e.Package] = p
	}
	switch e.Action {
	case "output":
		p.print(e, w)
	case "pass", actionFail, "skip":
		if e.Test != "" {
			p.ended[e.Test] = e.Action != actionFail
			return summary{}, false
		}
		p.failed = e.Action == actionFail
		if p.failed {
			_, _ = io.WriteString(w, strings.Join(p.output, ""))
		}
		delete(packages, e.Package)
		return p.count(), true
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			p.parent[e.Test[:i]] = true
		}
	}
	return summary{}, false
}

func (p *packageState) print(e event, w io.Writer) {
	p.output = append(p.output, e.Output)
	if m := totalsLine.FindStringSubmatch(e.Output); m != nil {
		passed, _ := strconv.Atoi(m[1]) // the expression allows digits only
		failed, _ := strconv.Atoi(m[2])
		p.specs.passed += passed
		p.specs.failed += failed
		p.suites[e.Test] = true
	}
	closing := e.Test == "" && (strings.HasPrefix(e.Output, "ok  \t") || strings.HasPrefix(e.Output, "FAIL\t") || strings.HasPrefix(e.Output, "panic:"))
	if closing || ranLine.MatchString(e.Output) || totalsLine.MatchString(e.Output) {
		_, _ = io.WriteString(w, e.Output)
	}
}

// count counts specs, and of the tests that ran none those without subtests.
func (p *packageState) count() summary {
	sum := p.specs
	for name, passed := range p.ended {
		switch {
		case p.suites[name] || p.parent[name]:
		case passed:
			sum.passed++
		default:
			sum.failed++
		}
	}
	if p.failed && sum.failed == 0 { // it did not compile, panicked, or failed outside of a test
		sum.failed++
	}
	return sum
}
