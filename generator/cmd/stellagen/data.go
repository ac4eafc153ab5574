package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// data prints what a command was asked for: as JSON with --format json, to its file if it names one, otherwise as text.
func (o *output) data(v any, text func(w io.Writer)) error {
	for _, d := range o.formats {
		if d.Name != "json" {
			continue
		}
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("printing JSON: %w", err)
		}
		if d.file == "" {
			_, _ = o.stdout.Write(out.Bytes())
			return nil
		}
		if err := os.WriteFile(d.file, out.Bytes(), reportMode); err != nil {
			return fmt.Errorf("writing json: %w", err)
		}
		return nil
	}
	text(o.stdout)
	return nil
}
