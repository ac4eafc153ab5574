package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/config"
)

// The formats beside text; the latter two are checks'.
const (
	formatJSON       = "json"
	formatNagios     = "nagios"
	formatPrometheus = "prometheus"
)

type checkCmd struct {
	File string `arg:"" help:"The configuration file." optional:""`

	Config string `help:"The same, as run has it." placeholder:"FILE"`
}

// Run reads a file as run would, with the variables of this process above it, and takes no address.
func (c *checkCmd) Run(s streams) error {
	name := cmp.Or(c.File, c.Config)
	if name == "" || c.File != "" && c.Config != "" {
		return usagef("check: expected one configuration file: FILE or --config FILE")
	}
	if _, err := checkFile(name); err != nil {
		return err
	}
	return s.printf("%s is right\n", name)
}

// checkFile reads a file, with the variables of this process above it, and says everything that is wrong with that.
func checkFile(name string) (*config.Loaded, error) {
	source, err := (&settings{Config: name}).source()
	if err != nil {
		return nil, err
	}
	loaded, err := config.Check(source)
	if err != nil {
		return nil, fmt.Errorf("%w:\n%w", gateway.ErrConfig, err)
	}
	return loaded, nil
}

type diffCmd struct {
	Old string `arg:"" help:"The configuration file in force."`

	New string `arg:"" help:"The one that is to come."`

	Format string `default:"text" enum:"text,json" help:"text or json (${default})."`
}

// Run compares two files, with the variables of this process above both. The new one has to be right; of the old one, what it
// names, such as files, may have gone.
func (c *diffCmd) Run(s streams) error {
	before, _, err := (&settings{Config: c.Old}).load()
	if err != nil {
		return err
	}
	after, err := checkFile(c.New)
	if err != nil {
		return err
	}
	return showChanges(s, before.Diff(after), c.Format)
}

func showChanges(s streams, changes []config.Change, form string) error {
	if form == formatJSON {
		return writeJSON(s, changes)
	}
	restart := 0
	for _, ch := range changes {
		line := map[string]string{"added": "+ %[1]s: %[3]s", "removed": "- %[1]s: %[2]s", "changed": "~ %[1]s: %[2]s -> %[3]s"}[ch.Kind]
		line = fmt.Sprintf(line, ch.Path, ch.Old, ch.New)
		if ch.Restart {
			restart++
			line += "  (restart)"
		}
		if err := s.printf("%s\n", line); err != nil {
			return err
		}
	}
	return s.printf("%d changes, %d of them need a restart\n", len(changes), restart)
}

func writeJSON(s streams, v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

type configCmd struct {
	Show configShowCmd `cmd:"" help:"Show the value of every setting, as run would have it."`

	Schema configSchemaCmd `cmd:"" help:"Print the JSON Schema of the file, for editors."`

	Reference configReferenceCmd `cmd:"" help:"Print what the file may hold, as Markdown."`
}

type configShowCmd struct {
	settings

	Origin bool `help:"Say of every value where it came from."`

	Format string `default:"text" enum:"text,json" help:"text or json (${default})."`
}

// Run shows the configuration as it comes out.
func (c *configShowCmd) Run(s streams) error {
	loaded, _, err := c.load()
	if err != nil {
		return err
	}
	values := loaded.Values()
	if c.Format == formatJSON {
		return writeJSON(s, values)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) //nolint:mnd // two spaces between columns
	for _, v := range values {
		if c.Origin {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", v.Path, oneLine(v.Text), v.Origin) // Flush tells
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\n", v.Path, oneLine(v.Text)) // Flush tells
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

type configSchemaCmd struct{}

// Run prints the JSON Schema.
func (configSchemaCmd) Run(s streams) error {
	text, err := config.Schema()
	if err != nil {
		return err
	}
	return s.printf("%s", text)
}

type configReferenceCmd struct{}

// Run prints the reference.
func (configReferenceCmd) Run(s streams) error { return s.printf("%s", config.Reference()) }
