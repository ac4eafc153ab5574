package spec

import (
	"errors"
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// Version is a strict semantic version: major.minor.patch, with an optional prerelease and build part, and
// without a leading "v". The zero value is no version. Versions are equal (==) when they are written alike, build
// part included: that is what invariant 2 means by equal. [Version.Compare] orders them.
type Version struct{ v semver.Version }

// ParseVersion reads a strict semantic version (semver.org, 2.0.0).
func ParseVersion(s string) (Version, error) {
	v, err := semver.StrictNewVersion(s)
	if err == nil && v.String() != s { // the parser takes an empty prerelease or build part for none
		err = errEmptyPart
	}
	if err != nil {
		return Version{}, fmt.Errorf("spec: version %.80q is not major.minor.patch of semver 2.0.0, such as 1.4.0: %w", s, err)
	}
	return Version{*v}, nil
}

var errEmptyPart = errors.New("nothing follows the dash or the plus")

// String is the version as it was read; empty for the zero Version.
func (v Version) String() string {
	if v.IsZero() {
		return ""
	}
	return v.v.String()
}

// IsZero reports whether v is no version.
func (v Version) IsZero() bool { return v == Version{} }

// Compare orders by semver precedence: negative, zero or positive. Build parts have no say in it, so that zero does
// not mean equal. The zero Version comes first.
func (v Version) Compare(w Version) int {
	switch {
	case v.IsZero() && w.IsZero():
		return 0
	case v.IsZero():
		return -1
	case w.IsZero():
		return 1
	}
	return v.v.Compare(&w.v)
}

// Stable reports whether v is not a prerelease.
func (v Version) Stable() bool { return !v.IsZero() && v.v.Prerelease() == "" }

// Major is the major number; 0 for the zero Version.
func (v Version) Major() uint64 { return v.v.Major() }
