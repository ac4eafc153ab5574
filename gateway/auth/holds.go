package auth

import (
	"strings"

	"github.com/stella-ops/router/spec"
)

// Holds reports whether claims satisfy a requirement: one of its type, with its value if it names one. A scope that ends in
// :* is every scope below it: orders:* is orders:read, and orders:items:read. It does not allocate.
func Holds(claims []spec.Claim, r spec.ClaimRequirement) bool {
	if r.Satisfied(claims) {
		return true
	}
	if r.Type != scopeClaim || r.Value == "" {
		return false
	}
	for _, c := range claims {
		if c.Type != scopeClaim || !strings.HasSuffix(c.Value, ":*") {
			continue
		}
		below := c.Value[:len(c.Value)-1]
		if len(r.Value) > len(below) && strings.HasPrefix(r.Value, below) {
			return true
		}
	}
	return false
}
