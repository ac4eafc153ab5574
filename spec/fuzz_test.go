package spec_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
)

// seedFrames adds every golden frame.
func seedFrames(f *testing.F) [][]byte {
	f.Helper()
	files, err := filepath.Glob(goldenFolder + "/*.hex")
	if err != nil || len(files) == 0 {
		f.Fatalf("golden frames: %v, %d files", err, len(files))
	}
	var all [][]byte
	for _, file := range files {
		b, err := readGolden(strings.TrimSuffix(filepath.Base(file), ".hex"))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// decoded is what a decoder made of a byte stream: its frames, the fault that ended it, and what was left over.
type decoded struct {
	frames []string
	fault  string
	rest   int
}

const fuzzLimit = 4 << 10

// decodeParts feeds the parts one after the other, as reads from a link would bring them.
func decodeParts(parts ...[]byte) decoded {
	var d decoded
	var buffer []byte
	for _, part := range parts {
		buffer = append(buffer, part...)
		for d.fault == "" {
			h, payload, n, err := spec.DecodeFrame(buffer, fuzzLimit)
			if err != nil {
				d.fault = err.Error()
				break
			}
			if n == 0 {
				break
			}
			d.frames = append(d.frames, fmt.Sprintf("%+v %x", h, payload))
			buffer = buffer[n:]
		}
	}
	d.rest = len(buffer)
	return d
}

// FuzzDecodeFrame feeds bytes whole, split at every byte, and byte by byte: the decoder makes the same of them, and
// what it takes it writes again as it was.
func FuzzDecodeFrame(f *testing.F) {
	for _, b := range seedFrames(f) {
		f.Add(b)
		f.Add(append(bytes.Clone(b), b...))
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<10 {
			b = b[:1<<10]
		}
		whole := decodeParts(b)
		single := make([][]byte, len(b))
		for i := range b {
			single[i] = b[i : i+1]
			if split := decodeParts(b[:i], b[i:]); !reflect.DeepEqual(split, whole) {
				t.Fatalf("split at %d: %+v, whole: %+v", i, split, whole)
			}
		}
		if split := decodeParts(single...); !reflect.DeepEqual(split, whole) {
			t.Fatalf("byte by byte: %+v, whole: %+v", split, whole)
		}
		h, payload, n, err := spec.DecodeFrame(b, fuzzLimit)
		var fault *spec.FrameError
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("error %v is no *FrameError", err)
		}
		if n == 0 {
			return
		}
		again, err := spec.AppendFrame(nil, h, payload[:h.MetaLen], payload[h.MetaLen:])
		if err != nil || !bytes.Equal(again, b[:n]) {
			t.Fatalf("written again: %x, %v, read: %x", again, err, b[:n])
		}
	})
}

// metadata is what the two metadata types have in common.
type metadata interface {
	Decode(b []byte) error
	AppendTo(dst []byte) []byte
}

// roundTrip decodes b into a, and what a encodes to into again, which must then be equal. It reports whether b was
// taken at all.
func roundTrip(t *testing.T, b []byte, a, again metadata) bool {
	t.Helper()
	err := a.Decode(b)
	if err != nil {
		if !errors.Is(err, spec.ErrMetadata) {
			t.Fatalf("error %v is no ErrMetadata", err)
		}
		return false
	}
	encoded := a.AppendTo(nil)
	if err := again.Decode(encoded); err != nil {
		t.Fatalf("%x was taken, and written again as %x, which is not: %v", b, encoded, err)
	}
	if twice := again.AppendTo(nil); !bytes.Equal(twice, encoded) {
		t.Fatalf("%x is written as %x, and that as %x", b, encoded, twice)
	}
	return true
}

func checkFields(t *testing.T, fields []spec.Field) {
	t.Helper()
	if len(fields) > spec.MaxFields || cap(fields) > 2*spec.MaxFields {
		t.Fatalf("%d fields in room for %d", len(fields), cap(fields))
	}
	for _, f := range fields {
		if err := f.Check(); err != nil {
			t.Fatalf("a field was taken that no sender may send: %v", err)
		}
	}
}

func FuzzRequestDecode(f *testing.F) {
	f.Add(goldenRequest.AppendTo(nil))
	f.Add((&spec.Request{ContentLength: -1}).AppendTo(nil))
	f.Add(goldenUpgrade.AppendTo(nil))
	f.Add(concat(requestHead(0x1f), bytes.Repeat([]byte{0x09}, 60)))
	f.Add(concat(requestHead(0x0f), bytes.Repeat([]byte{0xff}, 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again spec.Request
		if !roundTrip(t, b, &r, &again) {
			return
		}
		checkFields(t, r.Header)
		if len(r.Upgrade) > spec.MaxUpgrade || r.Upgrade != "" && (spec.Field{Name: r.Upgrade}).Check() != nil {
			t.Fatalf("upgrade to %q", r.Upgrade)
		}
		if len(r.Params) > spec.MaxFields || cap(r.Params) > 2*spec.MaxFields {
			t.Fatalf("%d parameters in room for %d", len(r.Params), cap(r.Params))
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v came back as %+v", r, again)
		}
	})
}

func FuzzResponseDecode(f *testing.F) {
	f.Add(goldenResponse.AppendTo(nil))
	f.Add((&spec.Response{Status: 404, ContentLength: -1}).AppendTo(nil))
	f.Add((&spec.Response{Status: 101, ContentLength: -1}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again spec.Response
		if !roundTrip(t, b, &r, &again) {
			return
		}
		checkFields(t, r.Header)
		if r.Status != 101 && (r.Status < 200 || r.Status > 599) || r.ContentLength < -1 || r.Status == 101 && r.ContentLength >= 0 {
			t.Fatalf("status %d, content length %d", r.Status, r.ContentLength)
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v came back as %+v", r, again)
		}
	})
}

func FuzzTrailersDecode(f *testing.F) {
	f.Add(goldenTrailers.AppendTo(nil))
	f.Add((&spec.Trailers{}).AppendTo(nil))
	f.Add([]byte{0x80, 0x01})
	f.Add(concat([]byte{0x7f}, bytes.Repeat([]byte{0x1d, 0x00}, 127)))
	f.Add([]byte{0x01, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again spec.Trailers
		if !roundTrip(t, b, &r, &again) {
			return
		}
		checkFields(t, r.Fields)
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v came back as %+v", r, again)
		}
	})
}

// FuzzRequestEncode goes the other way: what a gateway puts in comes out at the service.
func FuzzRequestEncode(f *testing.F) {
	f.Add("GET", "/a/b", "q=1", "host", "1.2.3.4:5", "value", "Content-Type", "text/plain", "scope", "read", int64(3), uint32(7), byte(1))
	f.Fuzz(func(t *testing.T, method, path, query, authority, peer, param, name, value, claim, claimed string, length int64, endpoint uint32, trace byte) {
		r := spec.Request{
			Generation: endpoint / 3, Endpoint: endpoint, Method: method, Params: []string{param, ""}, Path: path, Query: query,
			Authority: authority, TLS: endpoint&1 == 1, Peer: peer, ID: spec.RequestID{trace}, ContentLength: length,
			Header: []spec.Field{{Name: name, Value: value}},
		}
		if trace != 0 {
			r.Trace = spec.Trace{TraceID: [16]byte{15: trace}, SpanID: [8]byte{trace}, Flags: trace, State: query}
		}
		if endpoint&2 == 2 {
			r.Upgrade = strings.ToLower(name)
		}
		if claim != "" {
			r.Identity = &spec.Identity{Subject: claimed, Tenant: param, Claims: []spec.Claim{{Type: claim, Value: claimed}}}
		}
		var got spec.Request
		err := got.Decode(r.AppendTo(nil))
		valid := r.Header[0].Check() == nil && (method == "" || spec.ValidMethod(method)) && (path == "" || path[0] == '/') && length <= 1<<62 &&
			len(r.Upgrade) <= spec.MaxUpgrade
		if (err == nil) != valid {
			t.Fatalf("%+v: %v", r, err)
		}
		if err != nil {
			return
		}
		if !strings.EqualFold(got.Header[0].Name, name) {
			t.Fatalf("header %q came as %q", name, got.Header[0].Name)
		}
		r.Header[0].Name = got.Header[0].Name // in canonical form
		r.ContentLength = max(r.ContentLength, -1)
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("sent %+v, got %+v", r, got)
		}
	})
}

// FuzzParseManifest holds that bytes which pass are written again as they are, and that the contract digest holds.
func FuzzParseManifest(f *testing.F) {
	b, err := billing().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"endpoints":[{}],"schemas":{"a":{"ref":"a"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := spec.ParseManifest(b)
		if err != nil {
			if !errors.Is(err, spec.ErrManifest) {
				t.Fatalf("error %v is no ErrManifest", err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("written again: %s, %v", again, err)
		}
	})
}

// FuzzParsePattern holds that a pattern that passes is its own text, has an identity that is independent of names,
// and fills into a path that begins with a slash and needs no escape.
func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"/", "/a/{id}/b", "/{rest...}", "/a//b", "/{a}{b}", "/a/{$}", "/%2e"} {
		f.Add(s, "a b/../c")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		p, err := spec.ParsePattern(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Fatalf("%q reads as %q", s, p)
		}
		names := p.Params()
		renamed := s
		for i, name := range names {
			renamed = strings.Replace(renamed, "{"+name, fmt.Sprintf("{other_%d", i), 1)
		}
		q, err := spec.ParsePattern(renamed)
		if err != nil || q.Identity() != p.Identity() {
			t.Fatalf("%q has identity %q, %q has %q: %v", s, p.Identity(), renamed, q.Identity(), err)
		}
		values := make([]string, len(names))
		for i := range values {
			values[i] = value
		}
		path := p.Fill(values)
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " {}?#\\\"<>^`|\x00\n\r\x7f") {
			t.Fatalf("%q filled with %q is %q", s, value, path)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"1.4.0", "1.0.0-rc.1+build", "v1", "1.2.3-", "1.2.3+", "01.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := spec.ParseVersion(s)
		if err != nil {
			if !v.IsZero() {
				t.Fatalf("%q: %v, and yet %v", s, err, v)
			}
			return
		}
		again, err := spec.ParseVersion(v.String())
		if err != nil || v.String() != s || v.Compare(again) != 0 || v != again {
			t.Fatalf("%q reads as %q, and that as %q: %v", s, v, again, err)
		}
	})
}

// payload is one of the session's JSON payloads.
type payload interface{ Check() error }

// helloPayload is HELLO, of which overlays are known here.
type helloPayload struct{ spec.Hello }

func (h *helloPayload) Check() error { return h.Hello.Check(spec.FeatureOverlay) }

// FuzzSessionJSON holds that what HELLO, WELCOME, HEARTBEAT and CHALLENGE take is within its limits, and means the same
// when it is written again; PROOF and RESYNC are text that whoever asked compares.
func FuzzSessionJSON(f *testing.F) {
	for _, v := range []any{goldenHello, overlaidHello(), goldenWelcome, goldenHeartbeat, goldenChallenge, goldenResync, spec.Proof{Proof: goldenProof}} {
		b, err := spec.Canonical(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"lease":1e400,"streamWindow":-1,"features":[{"critical":true}],"nonce":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, pair := range [][2]payload{
			{new(helloPayload), new(helloPayload)}, {new(spec.Welcome), new(spec.Welcome)}, {new(spec.Heartbeat), new(spec.Heartbeat)},
			{new(spec.Challenge), new(spec.Challenge)},
		} {
			v, again := pair[0], pair[1]
			if spec.DecodeJSON(b, v) != nil || v.Check() != nil {
				continue
			}
			written, err := spec.Canonical(v)
			if err != nil {
				t.Fatalf("%+v was taken, and cannot be written: %v", v, err)
			}
			if err := spec.DecodeJSON(written, again); err != nil || again.Check() != nil {
				t.Fatalf("%s was taken, and written again as %s, which is not: %v, %v", b, written, err, again.Check())
			}
			if twice, err := spec.Canonical(again); err != nil || !bytes.Equal(twice, written) {
				t.Fatalf("%s is written as %s, and that as %s: %v", b, written, twice, err)
			}
			switch v := v.(type) {
			case *helloPayload:
				if v.Lease < 1 || v.Lease > spec.MaxLease || v.SessionWindow < v.StreamWindow || len(v.Features) > spec.MaxFeatures {
					t.Fatalf("%+v was taken", v)
				}
			case *spec.Welcome:
				if v.MaxFrame > spec.MaxFrameHard || v.HeartbeatMS < 10 || len(v.Gateways) > spec.MaxFeatures {
					t.Fatalf("%+v was taken", v)
				}
			}
		}
		_, _ = spec.DecodeJSON(b, new(spec.Proof)), spec.DecodeJSON(b, new(spec.Resync))
	})
}
