package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Canonical encodes v as canonical JSON: the members of every object sorted by their bytes, integers only, two
// spaces of indentation, no HTML escapes, one line feed at the end. The form is indented because its readers are
// people who review a diff; it is as unique as the compact one.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("spec: canonical JSON: %w", err)
	}
	return canonicalize(raw)
}

func canonicalize(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("spec: canonical JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("spec: canonical JSON: text after the value")
	}
	if err := integers(tree, ""); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("spec: canonical JSON: %w", err)
	}
	return out.Bytes(), nil
}

// maxInteger is the largest magnitude that every JSON reader keeps exact (RFC 8259, section 6).
const maxInteger = int64(1)<<53 - 1

func integers(v any, pointer string) error {
	switch v := v.(type) {
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil || n > maxInteger || n < -maxInteger || strconv.FormatInt(n, 10) != v.String() {
			return fmt.Errorf("spec: canonical JSON: %s: number %s, only integers to 2^53-1 are allowed", pointer, v)
		}
	case []any:
		for i, e := range v {
			if err := integers(e, pointer+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			if err := integers(e, pointer+"/"+k); err != nil {
				return err
			}
		}
	}
	return nil
}
