package valkey

import (
	"fmt"
	"strconv"
	"strings"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// The field of an entry says what it is. Every entry has one field.
const (
	fieldOpen    = "o" // makes the stream, id 0-1; the value is empty
	fieldFrames  = "f" // whole frames, one behind the other
	fieldVersion = "v" // the gateway's answer: the lowest and the highest protocol version it speaks
	fieldRefused = "r" // the gateway's answer: why there is no link
	fieldEnd     = "e" // the orderly end; the value is the number of the last entry before it
)

const (
	// firstID makes a stream; the entries that are counted follow as 1-0, 2-0, and so on: a writer may repeat an entry
	// whose answer it has not seen, and a reader sees when one is missing.
	firstID = "0-1"
	// endID is the end's. It is beyond all others, so that nothing that is still on its way comes behind it.
	endID = "9007199254740991-0"
)

// entry is one entry of a session's stream.
type entry struct {
	seq   uint64
	field string
	value string
}

func entryID(seq uint64) string { return strconv.FormatUint(seq, 10) + "-0" }

// parseEntry checks what was read behind entry number last.
func parseEntry(e client.XRangeSlice, last uint64) (entry, error) {
	if len(e.FieldValues) != 1 {
		return entry{}, fmt.Errorf("entry %.40q has %d fields, expected one", e.ID, len(e.FieldValues))
	}
	f := e.FieldValues[0]
	out := entry{seq: last + 1, field: f.Field, value: f.Value}
	switch f.Field {
	case fieldEnd:
		if f.Value != strconv.FormatUint(last, 10) {
			return entry{}, fmt.Errorf("the stream ends after entry %.40q, and %d came last", f.Value, last)
		}
	case fieldFrames, fieldVersion, fieldRefused:
		if e.ID != entryID(out.seq) {
			return entry{}, fmt.Errorf("entry %.40q follows on %d: entries are missing, or somebody else writes", e.ID, last)
		}
	default:
		return entry{}, fmt.Errorf("entry %.40q has the field %.40q, which nobody knows", e.ID, f.Field)
	}
	if len(f.Value) > maxValue {
		return entry{}, fmt.Errorf("entry %.40q has %d bytes, the limit is %d", e.ID, len(f.Value), maxValue)
	}
	return out, nil
}

// versions is the range that this side speaks, as it travels.
func versions() string { return fmt.Sprintf("%d %d", spec.ProtocolVersion, spec.ProtocolVersion) }

// checkVersions compares the peer's range with this side's.
func checkVersions(s string) error {
	low, high, ok := strings.Cut(s, " ")
	from, err1 := strconv.ParseUint(low, 10, 16)
	to, err2 := strconv.ParseUint(high, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("%w: versions %.40q", transports.ErrPreamble, s)
	}
	if from > spec.ProtocolVersion || to < spec.ProtocolVersion {
		return fmt.Errorf("%w: peer speaks versions %d to %d, this side speaks %d", transports.ErrPreamble, from, to, spec.ProtocolVersion)
	}
	return nil
}
