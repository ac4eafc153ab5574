package spec_test

import (
	"testing"

	"github.com/stella-ops/router/spec"
)

// hotPath are the steps that every call takes on its way through a gateway and a service; none may allocate.
func hotPath(tb testing.TB) map[string]func() {
	tb.Helper()
	request, response := goldenRequest, goldenResponse
	meta, body := request.AppendTo(nil), make([]byte, 128)
	h := spec.Header{Type: spec.TypeRequest, Flags: spec.FlagEnd | spec.FlagInlineBody, Stream: 2, Aux: 5000}
	frame, err := spec.AppendFrame(nil, h, meta, body)
	if err != nil {
		tb.Fatal(err)
	}
	var head [spec.HeaderSize]byte
	buf := make([]byte, 0, 4<<10)
	return map[string]func(){
		"header put": func() { h.Put(head[:]) },
		"header parse": func() {
			if _, err := spec.ParseHeader(frame, spec.MaxFrameDefault); err != nil {
				tb.Fatal(err)
			}
		},
		"frame decode": func() {
			if _, _, n, err := spec.DecodeFrame(frame, spec.MaxFrameDefault); n != len(frame) || err != nil {
				tb.Fatal(n, err)
			}
		},
		"frame append": func() {
			if buf, err = spec.AppendFrame(buf[:0], h, meta, body); err != nil {
				tb.Fatal(err)
			}
		},
		"request append":  func() { buf = request.AppendTo(buf[:0]) },
		"response append": func() { buf = response.AppendTo(buf[:0]) },
		"field append":    func() { buf = spec.AppendField(buf[:0], "X-Test", "yes") },
	}
}

// TestHotPathAllocatesNothing holds what the benchmarks show.
func TestHotPathAllocatesNothing(t *testing.T) {
	for name, step := range hotPath(t) {
		if n := testing.AllocsPerRun(100, step); n != 0 {
			t.Errorf("%s allocates %v times, expected none", name, n)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	steps := hotPath(b)
	for _, name := range []string{"header put", "frame append", "request append", "response append", "field append"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				steps[name]()
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	steps := hotPath(b)
	for _, name := range []string{"header parse", "frame decode"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				steps[name]()
			}
		})
	}
	request, response := goldenRequest.AppendTo(nil), goldenResponse.AppendTo(nil)
	b.Run("request", func(b *testing.B) {
		var r spec.Request
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Decode(request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("response", func(b *testing.B) {
		var r spec.Response
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Decode(response); err != nil {
				b.Fatal(err)
			}
		}
	})
}
