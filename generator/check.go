package generator

import (
	"bytes"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"

	"github.com/stella-ops/router/generator/diagnostic"
)

// Check compares and writes nothing. The zero value is ready.
type Check struct{ Stale []Stale }

// Stale is a file that is not as it should be.
type Stale struct {
	Name  string
	State State
	Old   []byte // what it holds; nil if it is missing
	New   []byte // what it should hold; nil if it should not be there
}

// State says how a file differs.
type State string

// The states.
const (
	Missing  State = "missing"  // it is not there
	Outdated State = "stale"    // it holds something else: the source changed, or it was edited by hand
	Orphaned State = "orphaned" // its package has no directives any more
)

// Put notes a file that is missing or differs.
func (c *Check) Put(name string, content []byte) error {
	switch old, err := os.ReadFile(name); { //nolint:gosec // a file of the package that is generated for
	case errors.Is(err, fs.ErrNotExist):
		c.Stale = append(c.Stale, Stale{name, Missing, nil, content})
	case err != nil:
		return fmt.Errorf("generator: reading %s: %w", name, err)
	case !bytes.Equal(old, content):
		c.Stale = append(c.Stale, Stale{name, Outdated, old, content})
	}
	return nil
}

// Remove notes a file that is still there.
func (c *Check) Remove(name string) error {
	switch old, err := os.ReadFile(name); { //nolint:gosec // a file of the package that was generated for
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("generator: reading %s: %w", name, err)
	default:
		c.Stale = append(c.Stale, Stale{name, Orphaned, old, nil})
	}
	return nil
}

// Findings are about the files that are not as they should be, in the order in which they were noted.
func (c *Check) Findings() []diagnostic.Finding {
	var list []diagnostic.Finding
	for _, s := range c.Stale {
		f := diagnostic.Finding{Pos: token.Position{Filename: s.Name}}
		switch s.State {
		case Missing:
			f.Rule, f.Message = diagnostic.MissingFile, "missing: it has not been generated"
		case Outdated:
			f.Rule, f.Message = diagnostic.OutdatedFile, "stale: the source has changed since it was generated, or it was edited by hand"
		case Orphaned:
			f.Rule, f.Message = diagnostic.OrphanedFile, "orphaned: nothing that it would be generated from is left"
		}
		list = append(list, f)
	}
	return list
}
