package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Canonical encodes v as canonical JSON: the members of every object sorted by their bytes, integers only, two
// spaces of indentation, no HTML escapes, one line feed at the end. The form is indented because its readers are
// people who review a diff; it is as unique as the compact one. The line separators U+2028 and U+2029 are escaped;
// text that is not UTF-8 is replaced by U+FFFD.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("spec: canonical JSON: %w", err)
	}
	// Marshal keeps the order of struct fields and escapes HTML: decode, and write the tree in our form.
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("spec: canonical JSON: %w", err)
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

// pointerEscape writes a member's name as a part of a JSON pointer (RFC 6901, section 3).
var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// integers checks every number in v. pointer is where v is.
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
		for _, k := range slices.Sorted(maps.Keys(v)) { // sorted, so that it is always the same fault that shows
			if err := integers(v[k], pointer+"/"+pointerEscape.Replace(k)); err != nil {
				return err
			}
		}
	}
	return nil
}
