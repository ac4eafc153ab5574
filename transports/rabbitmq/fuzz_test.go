package rabbitmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// FuzzMessage holds that what somebody else puts into a queue is refused or read, and never more than it is.
func FuzzMessage(f *testing.F) {
	const nonce = "0123456789abcdef"
	head := make([]byte, spec.HeaderSize)
	spec.Header{Type: spec.TypePing, Aux: 1}.Put(head)
	f.Add(kindFrames, nonce, "1", head, uint64(0))
	f.Add(kindFrames, nonce+"-2", "7+", slices.Concat(head, head[:3]), uint64(7))
	huge := make([]byte, spec.HeaderSize)
	binary.BigEndian.PutUint32(huge, spec.MaxFrameHard)
	f.Add(kindFrames, nonce, "8", huge, uint64(7))
	f.Add(kindVersion, nonce, "1", []byte("1 1"), uint64(0))
	f.Add(kindRead, nonce, "", []byte("12"), uint64(0))
	f.Add(kindEnd, nonce, "", []byte("7"), uint64(7))
	f.Add(kindOffer, nonce, "", []byte(nonce), uint64(0))
	f.Add("", "", "", []byte(nil), uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, kind, id, number string, body []byte, last uint64) {
		_ = checkVersions(string(body))
		m, err := parseMessage(&amqp.Delivery{Type: kind, CorrelationId: id, MessageId: number, Body: body}, nonce, last)
		if foreign := errors.Is(err, errForeign); foreign && (id == nonce || id == nonce+"-2") {
			t.Fatalf("a message of the session, %q, is taken for another's", id)
		}
		if err != nil || m.kind != kindFrames {
			return
		}
		if m.fleeting && m.number != last || !m.fleeting && m.number != last+1 || number != m.id() {
			t.Fatalf("message %q was taken behind %s, as %+v", number, strconv.FormatUint(last, 10), m)
		}
		read := 0
		for rest := m.body; len(rest) > 0; {
			fr, left, err := transports.CutFrame(rest, spec.MaxFrameHard)
			if err != nil {
				return
			}
			if n := len(fr.Bytes()); n != len(rest)-len(left) || string(fr.Bytes()) != string(rest[:n]) {
				t.Fatalf("a frame of %d bytes was cut from %d, and %d were left", n, len(rest), len(left))
			}
			read += len(fr.Bytes())
			fr.Release()
			rest = left
		}
		if read != len(body) {
			t.Fatalf("%d bytes of %d were read", read, len(body))
		}
	})
}

// FuzzInbox holds that a name on the server is made only of what cannot be another's.
func FuzzInbox(f *testing.F) {
	f.Add("0123456789abcdef")
	f.Add("0123456789ABCDEF")
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, id string) {
		n, err := strconv.ParseUint(id, 16, 64)
		if want := err == nil && id == fmt.Sprintf("%016x", n); isID(id) != want {
			t.Fatalf("%q is an id: %v", id, isID(id))
		}
	})
}

// FuzzRecord holds that what is in the log of statuses is refused, or is the only way to write what was read.
func FuzzRecord(f *testing.F) {
	name := transports.QueueName{Service: "billing", Endpoint: "POST /reports"}
	for _, s := range []transports.JobStatus{
		{ID: "a", Queue: name, State: transports.JobQueued, Changed: time.UnixMilli(1)},
		{ID: "a", Queue: name, Owner: "alice", State: transports.JobRunning, Attempt: 3, Reason: "x", Changed: time.UnixMilli(1)},
		{ID: "a", Queue: name, State: transports.JobDone, Result: &transports.JobResult{Status: 200, ContentType: "a/b", Body: []byte{0}}},
		{ID: "a", Queue: name, State: transports.JobDone, Result: &transports.JobResult{Status: 200, Cut: true}},
		{ID: "a", Queue: name, State: transports.JobDead, Attempt: 100, Reason: "y"},
	} {
		f.Add(encodeStatus(&s))
	}
	f.Add(encodeName(name))
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parseName(b); err == nil {
			if again, err := parseName(encodeName(n)); err != nil || again != n {
				t.Fatalf("%q became %q: %v", n, again, err)
			}
		}
		s, err := parseStatus(b)
		if err != nil {
			return
		}
		again, err := parseStatus(encodeStatus(s))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v became %+v: %v", s, again, err)
		}
	})
}
