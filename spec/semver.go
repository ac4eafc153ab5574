package spec

import (
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// Version is a strict semantic version: major.minor.patch, with an optional prerelease and build part, and
// without a leading "v". The zero value is no version.
type Version struct{ v *semver.Version }

// ParseVersion reads a strict semantic version (semver.org, 2.0.0).
func ParseVersion(s string) (Version, error) {
	v, err := semver.StrictNewVersion(s)
	if err != nil {
		return Version{}, fmt.Errorf("spec: version %q is not major.minor.patch of semver 2.0.0, such as 1.4.0: %w", s, err)
	}
	return Version{v}, nil
}

func (v Version) String() string {
	if v.v == nil {
		return ""
	}
	return v.v.String()
}

// IsZero reports whether v is no version.
func (v Version) IsZero() bool { return v.v == nil }

// Compare orders by semver precedence: negative, zero or positive. The zero Version comes first.
func (v Version) Compare(w Version) int {
	switch {
	case v.v == nil && w.v == nil:
		return 0
	case v.v == nil:
		return -1
	case w.v == nil:
		return 1
	}
	return v.v.Compare(w.v)
}

// Stable reports whether v is not a prerelease.
func (v Version) Stable() bool { return v.v != nil && v.v.Prerelease() == "" }

// Major is the major number; 0 for the zero Version.
func (v Version) Major() uint64 {
	if v.v == nil {
		return 0
	}
	return v.v.Major()
}
