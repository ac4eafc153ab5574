package routing

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stella-ops/router/spec"
)

// TestGroundAgreesWithTheTree compares, for all small patterns, what the ground says of two services' patterns with
// what the tree of routed patterns makes of all small paths.
func TestGroundAgreesWithTheTree(t *testing.T) {
	patterns := words([]string{"a", "b", "{p}"}, 3)
	for _, w := range words([]string{"a", "{p}"}, 2) {
		patterns = append(patterns, strings.TrimSuffix(w, "/")+"/{rest...}")
	}
	paths := words([]string{"a", "b", "c"}, 4)
	offers := make([]*offer, len(patterns))
	matches := make([]map[string]bool, len(patterns))
	for i, text := range patterns {
		n := 0
		for strings.Contains(text, "{p}") { // names must differ
			text = strings.Replace(text, "{p}", "{p"+string(rune('0'+n))+"}", 1)
			n++
		}
		p, err := spec.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		offers[i] = &offer{Endpoint: &spec.Endpoint{Method: "GET", Path: text}, pattern: p, identity: "GET " + p.Identity()}
		matches[i] = map[string]bool{}
		s := build(nil, []*release{bare("one", *offers[i])}, ladder{}, nil)
		for _, path := range paths {
			if s.Match("GET", path, nil).Endpoint != nil {
				matches[i][path] = true
			}
		}
	}
	for i, one := range offers {
		g := new(ground)
		g.claim(&release{service: "one", offers: []offer{*one}})
		for j, other := range offers {
			common := 0
			for path := range matches[i] {
				if matches[j][path] {
					common++
				}
			}
			part := common == min(len(matches[i]), len(matches[j])) && len(matches[i]) != len(matches[j])
			reason := g.contested("other", other)
			if free := common == 0 || part; free != (reason == "") {
				t.Errorf("%s beside %s: %d, %d and %d paths in common, reason %q", other.Path, one.Path, len(matches[j]), len(matches[i]), common, reason)
			}
			if equal := i == j; equal != strings.Contains(reason, "belongs to") {
				t.Errorf("%s beside %s: equal %v, reason %q", other.Path, one.Path, equal, reason)
			}
			if part {
				wins(t, one, other, len(matches[i]) < len(matches[j]), matches[i], matches[j])
			}
		}
	}
}

// bare is a release without instances.
func bare(service string, offers ...offer) *release {
	return &release{service: service, offers: offers, policy: prepare(Policy{}, Policy{}), capacity: new(atomic.Int64)}
}

// wins checks that the narrower of two patterns gets all that it matches.
func wins(t *testing.T, one, other *offer, first bool, ofOne, ofOther map[string]bool) {
	t.Helper()
	s := build(nil, []*release{bare("one", *one), bare("other", *other)}, ladder{}, nil)
	want, paths := "other", ofOther
	if first {
		want, paths = "one", ofOne
	}
	for path := range paths {
		if got := s.Match("GET", path, nil).Endpoint.Service; got != want {
			t.Errorf("%s: %s of one and %s of other: goes to %s", path, one.Path, other.Path, got)
		}
	}
}

// words lists all paths of up to so many segments.
func words(segments []string, length int) []string {
	all, last := []string{"/"}, []string{""}
	for range length {
		var next []string
		for _, w := range last {
			for _, s := range segments {
				next = append(next, w+"/"+s)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// BenchmarkContested measures the decision on one service of 50 endpoints beside 1,000 others that share their first
// segments.
func BenchmarkContested(b *testing.B) {
	g := new(ground)
	names := words([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 3)[1:]
	add := func(service string, f func(*offer)) {
		for _, path := range names[:50] {
			path = "/api/" + service + path + "/{id}"
			p, err := spec.ParsePattern(path)
			if err != nil {
				b.Fatal(err)
			}
			f(&offer{Endpoint: &spec.Endpoint{Method: "GET", Path: path}, pattern: p})
		}
	}
	for _, name := range words([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 3)[1:] {
		name = strings.ReplaceAll(name[1:], "/", "-")
		add(name, func(o *offer) { g.insert(name, o) })
	}
	var newcomer []*offer
	add("new", func(o *offer) { newcomer = append(newcomer, o) })
	b.ReportAllocs()
	for b.Loop() {
		for _, o := range newcomer {
			if reason := g.contested("new", o); reason != "" {
				b.Fatal(reason)
			}
		}
	}
}
