package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, events string
		want         summary
		shows        []string
		hides        []string
	}{
		{
			name: "a suite counts by its specs, and shows its totals",
			events: `{"Action":"run","Package":"p","Test":"TestSpecs"}
{"Action":"output","Package":"p","Test":"TestSpecs","Output":"Running Suite: p\n"}
{"Action":"output","Package":"p","Test":"TestSpecs","Output":"Ran 7 of 7 Specs in 0.010 seconds\n"}
{"Action":"output","Package":"p","Test":"TestSpecs","Output":"SUCCESS! -- 7 Passed | 0 Failed | 0 Pending | 0 Skipped\n"}
{"Action":"pass","Package":"p","Test":"TestSpecs"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`,
			want: summary{passed: 7}, shows: []string{"Ran 7 of 7 Specs", "ok  \tp"}, hides: []string{"Running Suite"},
		},
		{
			name: "a test counts by its subtests",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/one"}
{"Action":"run","Package":"p","Test":"TestA/two"}
{"Action":"output","Package":"p","Test":"TestA/two","Output":"two is wrong\n"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA/two"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
`,
			want: summary{passed: 2, failed: 1}, shows: []string{"two is wrong"},
		},
		{
			name: "a failing suite counts both, and shows all",
			events: `{"Action":"output","Package":"p","Test":"TestSpecs","Output":"[FAIL] rule\n"}
{"Action":"output","Package":"p","Test":"TestSpecs","Output":"FAIL! -- 6 Passed | 1 Failed | 0 Pending | 0 Skipped\n"}
{"Action":"fail","Package":"p","Test":"TestSpecs"}
{"Action":"fail","Package":"p"}
`,
			want: summary{passed: 6, failed: 1}, shows: []string{"[FAIL] rule"},
		},
		{
			name: "a package that does not compile has failed",
			events: `{"Action":"build-output","ImportPath":"p","Output":"p.go:1:1: no\n"}
{"Action":"fail","Package":"p"}
`,
			want: summary{failed: 1}, shows: []string{"p.go:1:1"},
		},
		{name: "what is no event is shown as it is", events: "go: no module\n", shows: []string{"go: no module"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			got, err := read(strings.NewReader(c.events), &out)
			if err != nil || got != c.want {
				t.Errorf("read: %+v, %v, expected %+v", got, err, c.want)
			}
			for _, s := range c.shows {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%q is missing in:\n%s", s, out.String())
				}
			}
			for _, s := range c.hides {
				if strings.Contains(out.String(), s) {
					t.Errorf("%q should not be in:\n%s", s, out.String())
				}
			}
		})
	}
}

func TestSplit(t *testing.T) {
	args := []string{"--", "go", "test", "./a", "--", "env", "X=1", "go", "test", "./b", "--", "-args"}
	want := [][]string{{"go", "test", "./a"}, {"env", "X=1", "go", "test", "./b", "--", "-args"}}
	if diff := cmp.Diff(want, split(args)); diff != "" {
		t.Errorf("split: -want +got\n%s", diff)
	}
}
