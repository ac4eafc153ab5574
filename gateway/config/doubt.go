package config

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/internal/strictyaml"
)

// refused are the places in a document that cannot be read as they stand, and whether the setting was found that is there.
type refused map[strictyaml.Place]*bool

func refusedIn(faults []strictyaml.Fault) refused {
	places := refused{}
	for _, f := range faults {
		at := f.Place
		if f.First != nil { // of a key that is given twice the first is in the document
			at = *f.First
		}
		places[at] = new(bool)
	}
	return places
}

// look notes which of the nodes at a path have been refused: what is there is in doubt.
func (r *reader) look(path string, nodes ...*strictyaml.Node) {
	for _, n := range nodes {
		if found := r.refused[n.Place]; found != nil {
			*found = true
			r.doubt(path)
		}
	}
}

// unread reports whether a node has no value because that was refused, which has been said.
func (r *reader) unread(n *strictyaml.Node) bool {
	return n.Kind == strictyaml.Null && r.refused[n.Place] != nil
}

// doubt notes that a setting, or what is below it, may not be what was meant: what hangs on it cannot be said. Of the file as a
// whole that is never so: what it has beside its settings may be those that it has not, and no others.
func (r *reader) doubt(path string) {
	if path != "" {
		r.doubtful = append(r.doubtful, path)
	}
}

// hangs lists, by the beginnings of paths, what else faults hang on that are found there.
var hangs = []struct {
	path string
	on   []string
}{
	{"certificates", []string{listenersPath}},                   // whether clients are asked for any
	{"cors", []string{"cors"}},                                  // others' paths
	{legacyPath, []string{httpPath, listenersPath, legacyPath}}, // the gateway's own addresses; the upstreams' names, other routes
	{"limits.priorities", []string{"limits.priorities"}},        // others' endpoints
	{"node", []string{transportsPath}},                          // what services are told
	{"services", []string{routingPath}},                         // what they have from there
	{"static", []string{"static"}},                              // others' paths
	{transportsPath, []string{transportsPath}},                  // tokens, for listeners
}

// alone begins the paths of settings whose faults hang on nothing beside them.
const alone = "issuers"

// hidden reports whether a fault may be another one's consequence: one of the same section, or of the same item of a list or
// table, or of what it hangs on.
func (r *reader) hidden(path string) bool {
	if path == "" {
		return len(r.doubtful) > 0
	}
	group, _, ok := strings.Cut(path, "]")
	if ok {
		group += "]"
	} else {
		group, _, _ = strings.Cut(path, ".")
	}
	if within(path, alone) {
		group = path
	}
	groups := []string{group}
	for _, h := range hangs {
		if within(path, h.path) {
			groups = append(groups, h.on...)
		}
	}
	return slices.ContainsFunc(groups, func(group string) bool {
		return slices.ContainsFunc(r.doubtful, func(doubtful string) bool { return within(doubtful, group) || within(group, doubtful) })
	})
}

// within reports whether a path is another one, or below it.
func within(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// free are addresses that collide with no other, and that other machines do not reach.
const (
	freeAddress = "127.0.0.1:0"
	freeListen  = "tcp://" + freeAddress
)

// gateway has the parts of a gateway look for faults.
func (r *reader) gateway() {
	cfg := r.loaded.Gateway(io.Discard, new(slog.LevelVar))
	// The defaults that now stand for addresses with faults may collide with others.
	if r.hidden(httpPath) && cfg.HTTP != "" {
		cfg.HTTP = freeAddress
	}
	if r.hidden("admin.address") {
		cfg.Admin = freeAddress
	}
	if slices.Contains(r.doubtful, "transports.listen") {
		cfg.Listen = []string{freeListen}
	}
	for i := range cfg.Limits.Rules { // whether it counts the same as another one cannot be said
		if r.hidden(fmt.Sprintf("limits.rules[%d]", i)) {
			cfg.Limits.Rules[i] = limit.Rule{}
		}
	}
	for _, f := range r.loaded.faults(gateway.Check(cfg), gateway.ErrConfig) {
		if !r.hidden(f.Path) {
			r.faults = append(r.faults, f)
		}
	}
}
