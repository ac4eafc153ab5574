package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stella-ops/router/internal/fault"
)

var errKind = errors.New("kind")

func TestLeaves(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct {
		name string
		err  error
		want [][2]string // setting and text
	}{
		{"none", nil, nil},
		{"one that says nothing of a setting", plain, [][2]string{{"", "plain"}}},
		{"one of a setting", fault.At("a.b", plain), [][2]string{{"a.b", "plain"}}},
		{"several", errors.Join(fault.At("a", plain), nil, plain), [][2]string{{"a", "plain"}, {"", "plain"}}},
		{"several of which some say more", fault.At("a", errors.Join(fault.At("a.b", plain), plain)), [][2]string{{"a.b", "plain"}, {"a", "plain"}}},
		{"one of a kind, whose sentence stays whole", fault.At("a", fmt.Errorf("%w: at: %w: do this", errKind, plain)),
			[][2]string{{"a", "kind: at: plain: do this"}}},
		{"one that says it inside", fmt.Errorf("reading: %w", fault.At("a.b", plain)), [][2]string{{"a.b", "reading: plain"}}},
	} {
		var got [][2]string
		for _, leaf := range fault.Leaves(c.err) {
			got = append(got, [2]string{leaf.Setting, leaf.Err.Error()})
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if fault.At("a", nil) != nil {
		t.Error("nil does not stay nil")
	}
	if !errors.Is(fault.At("a", fmt.Errorf("%w: b", errKind)), errKind) {
		t.Error("what an error wraps is lost")
	}
}
