package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// encode writes v as [spec.Canonical] does, but that numbers may have fractions: bounds of schemas do, and are written
// digit by digit as the manifest has them.
func encode(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw)) // Marshal keeps the order of struct fields: sort all members
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return out.Bytes(), nil
}
