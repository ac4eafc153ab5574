package diagnostic

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
)

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure"`
	Skipped *junitSkipped `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

// writeJUnit makes errors and warnings failed tests, what is waived skipped ones, and the rest passed ones with output.
// Without findings there is one test, which has passed: a suite without tests is an error to some readers.
func writeJUnit(out *bytes.Buffer, r *Report, _ Style) error {
	suite := junitSuite{Name: toolName}
	for _, f := range r.Findings {
		c := junitCase{Class: cmp.Or(r.file(f.Pos.Filename), toolName), Name: string(f.Rule) + " " + f.Message}
		text := withHint(f)
		if f.Pos.IsValid() {
			c.Name += " (" + r.place(f.Pos) + ")"
			text = r.place(f.Pos) + ": " + text
		}
		switch {
		case f.Waiver != "":
			c.Skipped = &junitSkipped{f.Waiver}
			suite.Skipped++
		case f.Severity == Info:
			c.Output = text
		default:
			c.Failure = &junitFailure{f.Severity.String(), f.Message, text}
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	if len(suite.Cases) == 0 {
		suite.Cases = []junitCase{{Class: toolName, Name: "no findings"}}
	}
	suite.Tests = len(suite.Cases)
	out.WriteString(xml.Header)
	enc := xml.NewEncoder(out)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Suite: suite}); err != nil {
		return fmt.Errorf("making XML: %w", err)
	}
	out.WriteByte('\n')
	return nil
}
