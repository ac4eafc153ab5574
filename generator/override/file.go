package override

import (
	"go/token"
	"maps"
	"slices"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// FileName is the name of the file, beside the package that says //stella:service.
const FileName = "stella.yaml"

// File is the overrides of one service. A nil File has none.
type File struct {
	Name     string
	Defaults Set      // of endpoints that say nothing themselves, neither in the code nor in an entry
	Entries  []*Entry // in the order in which they stand; one for each identity
	Broken   bool     // there are findings: something may be missing

	byIdentity map[string]*Entry
}

// Entry is the overrides of one endpoint.
type Entry struct {
	Set

	Method, Path string
	Identity     string // see spec.Endpoint
	Pos          token.Position
	Width        int
}

// Set is what is said in one place. It says nothing of keys that it does not have.
type Set struct {
	Values map[string]directive.Value // by the names of Keys
	Claims []Claim                    // all that callers must hold
}

// Claim is one claim that callers must hold.
type Claim struct {
	spec.ClaimRequirement

	Pos   token.Position
	Width int
}

// Text is a claim as authors write it.
func (c Claim) Text() string { return SpellClaim(c.ClaimRequirement) }

// Entry returns the overrides of an endpoint; nil if there are none.
func (f *File) Entry(method, path string) *Entry {
	if f == nil || len(f.Entries) == 0 {
		return nil
	}
	return f.byIdentity[identity(method, path)]
}

// IsBroken reports whether there are findings about the file.
func (f *File) IsBroken() bool { return f != nil && f.Broken }

// Said returns the names of the keys that a set has, without claims, in the order of the alphabet.
func (s *Set) Said() []string { return slices.Sorted(maps.Keys(s.Values)) }

// identity is empty for a path that is none.
func identity(method, path string) string {
	e := spec.Endpoint{Method: method, Path: path}
	id, err := e.Identity()
	if err != nil {
		return ""
	}
	return id
}
