package breaking

import (
	"fmt"

	"github.com/Masterminds/semver/v3"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// Advice is what the versions of two manifests should be to each other.
type Advice struct {
	Baseline  string // what it is compared with
	Service   string
	Was, Is   string // the versions
	Suggested string // the lowest version that says what changed; Was if nothing did
}

// breaks reports whether a change needs another major version: callers notice it, and nobody has waived it. Granted
// access, deprecation and promises do not stop a call that worked.
func breaks(c Change) bool {
	rule, ok := Find(string(c.Rule))
	if !ok || c.Severity != diagnostic.Error {
		return false
	}
	switch rule.Category {
	case Wire, HTTP, JSON, Ops:
		return true
	}
	return c.Rule == EndpointRemovedBeforeSunset
}

// advise compares the versions, given whether callers break.
func advise(before, now *spec.Manifest, broken bool) (Advice, []Change) {
	a := Advice{Service: now.Service, Was: before.Version, Is: now.Version, Suggested: before.Version}
	was, err := semver.StrictNewVersion(before.Version)
	if err != nil {
		return a, nil // it has been checked
	}
	is, err := semver.StrictNewVersion(now.Version)
	if err != nil {
		return a, nil
	}
	changed := before.ContractDigest != now.ContractDigest
	a.Suggested = next(was, changed, broken).String()
	version := func(rule diagnostic.ID, text string) []Change {
		return []Change{{
			Rule: rule, Where: "version", Old: before.Version, New: now.Version, Text: text, Hint: "suggested: " + a.Suggested,
		}}
	}
	switch {
	case is.Compare(was) < 0:
		return a, version(VersionDecreased, fmt.Sprintf("the version was %s and is %s, which is lower", a.Was, a.Is))
	case changed && a.Was == a.Is:
		return a, version(VersionNotBumped, "the contract changed, and the version is still "+a.Is)
	case broken && was.Prerelease() == "" && !another(was, is):
		return a, version(MajorNotBumped, fmt.Sprintf("callers break, and the version is %s after %s", a.Is, a.Was))
	}
	return a, nil
}

// next is the lowest version after one that says what changed.
func next(was *semver.Version, changed, broken bool) semver.Version {
	switch {
	case !changed && !broken:
		return *was
	case was.Prerelease() != "": // nothing was promised of what is still to be released
		return was.IncPatch()
	case broken && was.Major() == 0, !broken && was.Major() > 0:
		return was.IncMinor()
	case broken:
		return was.IncMajor()
	}
	return was.IncPatch()
}

// another reports whether a later version may break callers: it has another major number, or minor number at 0.x.
func another(was, is *semver.Version) bool {
	return is.Major() > was.Major() || was.Major() == 0 && is.Minor() > was.Minor()
}
