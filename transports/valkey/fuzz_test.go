package valkey

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
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
			fr, left, err := transports.CutFrame(rest, spec.MaxFrameHard)
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

// FuzzQueue holds that what somebody else writes under the keys of queues is refused, or read as what it is.
func FuzzQueue(f *testing.F) {
	name := transports.QueueName{Service: "billing", Endpoint: "POST /a"}
	j := transports.Job{ID: "one", Queue: name, Attempts: 1, Lease: time.Second, Owner: "alice"}
	raw, err := j.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("billing:POST+%2Fa", "i", "one", "o", "alice", "j", string(raw), "done", "1", "200")
	f.Add("a:b:c", "x", "", "t", "99999999999999999999", "r", "", "dead", "-1", "")
	f.Fuzz(func(t *testing.T, member, f1, v1, f2, v2, f3, v3, state, attempt, result string) {
		if n, err := decodeName(member); err == nil && encodeName(n) != member {
			t.Fatalf("%q was read as %v, which is written as %q", member, n, encodeName(n))
		}
		fields := []client.XRangeFieldValue{{Field: f1, Value: v1}, {Field: f2, Value: v2}, {Field: f3, Value: v3}}
		e := waiting{id: "1-1", fields: fields}
		if j, err := parseWaiting(name, e); err == nil && (j.ID != v1 || j.Owner != v2 || j.Queue != name) {
			t.Fatalf("an entry of %q, %q was read as %v", v1, v2, j)
		}
		if c := e.contents(); len(c) > 0 && !strings.Contains(c, v1) && c != v2 && c != v3 {
			t.Fatalf("the contents of %v are %q", fields, c)
		}
		if d := parseDead(name, client.XRangeSlice{ID: "1-1", FieldValues: fields}); d.Job == nil || d.Queue.Service == "" {
			t.Fatalf("dead: %+v", d)
		}
		s, err := parseStatus("one", map[string]string{
			statusQueue: member, statusState: state, statusAttempt: attempt, resultStatus: result, resultBody: v3, resultCut: "false", statusChanged: v1, statusOwner: v2,
		})
		if err == nil && (s.Attempt < 0 || s.State == transports.JobDone && string(s.Result.Body) != v3 || s.Owner != v2) {
			t.Fatalf("status: %+v", s)
		}
	})
}
