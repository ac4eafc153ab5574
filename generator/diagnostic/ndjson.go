package diagnostic

import "bytes"

func writeNDJSON(out *bytes.Buffer, r *Report, _ Style) error {
	for _, f := range r.json() {
		if err := encode(out, "", f); err != nil {
			return err
		}
	}
	return nil
}
