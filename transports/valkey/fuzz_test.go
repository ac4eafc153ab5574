package valkey

import (
	"encoding/binary"
	"testing"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/spec"
)

// FuzzEntry holds that what somebody else writes into a stream is refused or read, and never more than it is.
func FuzzEntry(f *testing.F) {
	head := make([]byte, spec.HeaderSize)
	spec.Header{Type: spec.TypePing, Aux: 1}.Put(head)
	f.Add("1-0", fieldFrames, string(head), uint64(0))
	f.Add("1-0", fieldFrames, string(head)+string(head[:3]), uint64(0))
	binary.BigEndian.PutUint32(head, spec.MaxFrameHard)
	f.Add("8-0", fieldFrames, string(head), uint64(7))
	f.Add("1-0", fieldVersion, "1 1", uint64(0))
	f.Add(endID, fieldEnd, "7", uint64(7))
	f.Add("x", "", "", uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, id, field, value string, last uint64) {
		_ = behind(id)
		_ = checkVersions(value)
		raw := client.XRangeSlice{ID: id, FieldValues: []client.XRangeFieldValue{{Field: field, Value: value}}}
		e, err := parseEntry(raw, last)
		if err != nil {
			return
		}
		if e.field != fieldEnd && id != entryID(last+1) {
			t.Fatalf("entry %q was taken behind %d", id, last)
		}
		read := 0
		for rest := e.value; rest != ""; {
			fr, left, err := cutFrame(rest, spec.MaxFrameHard)
			if err != nil {
				return
			}
			if n := len(fr.Bytes()); n != len(rest)-len(left) || string(fr.Bytes()) != rest[:n] {
				t.Fatalf("a frame of %d bytes was cut from %d, and %d were left", n, len(rest), len(left))
			}
			read += len(fr.Bytes())
			fr.Release()
			rest = left
		}
		if read != len(value) {
			t.Fatalf("%d bytes of %d were read", read, len(value))
		}
	})
}
