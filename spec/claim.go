package spec

import (
	"errors"
	"fmt"
	"strings"
)

// Claim is one thing an authenticated caller may assert. A claim with several values is several Claims.
type Claim struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// ClaimRequirement is one claim that a caller must hold. An empty Value asks for the claim's presence only.
type ClaimRequirement struct {
	Type  string `json:"type"`
	Value string `json:"value,omitempty"`
}

func (r ClaimRequirement) String() string {
	if r.Value == "" {
		return r.Type
	}
	return r.Type + "=" + r.Value
}

// Satisfied reports whether one of claims fulfils r.
func (r ClaimRequirement) Satisfied(claims []Claim) bool {
	for _, c := range claims {
		if c.Type == r.Type && (r.Value == "" || c.Value == r.Value) {
			return true
		}
	}
	return false
}

// Covers reports whether whoever fulfils r fulfils the other one, too: the same, or a narrower one.
func (r ClaimRequirement) Covers(other ClaimRequirement) bool {
	return r.Type == other.Type && (other.Value == "" || other.Value == r.Value)
}

// Check says what is wrong with a requirement.
func (r ClaimRequirement) Check() error {
	if err := r.check(); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	return nil
}

func (r ClaimRequirement) check() error {
	if r.Type == "" {
		return errors.New("claim without a type")
	}
	if strings.ContainsFunc(r.Type+r.Value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Errorf("claim %q has a control character", r.String())
	}
	return nil
}

// ParseClaimRequirement reads a requirement as it is written behind //stella:claim: a type and, behind a space, a value.
func ParseClaimRequirement(text string) (ClaimRequirement, error) {
	kind, value, valued := strings.Cut(text, " ")
	r := ClaimRequirement{Type: kind, Value: value}
	if kind == "" || valued && (value == "" || strings.TrimSpace(value) != value) {
		return ClaimRequirement{}, fmt.Errorf("spec: claim %.80q: expected TYPE, or TYPE VALUE with one space between, such as scope orders:read", text)
	}
	if err := r.check(); err != nil {
		return ClaimRequirement{}, fmt.Errorf("spec: %w", err)
	}
	return r, nil
}
