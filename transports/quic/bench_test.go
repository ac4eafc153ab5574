package quic

import (
	"testing"

	"github.com/stella-ops/router/transports"
)

// BenchmarkRoundTrip is a small call after the other, and many at once.
func BenchmarkRoundTrip(b *testing.B) {
	for name, at := range map[string]int{"1": 1, "64": 64} {
		b.Run(name, func(b *testing.B) {
			gateway, service := welcomed(b)
			go func() {
				for {
					f, err := service.ReadFrame()
					if err != nil {
						return
					}
					id := f.Header().Stream
					f.Release()
					_ = service.WriteFrames([]*transports.Frame{response(id)})
				}
			}()
			b.ReportAllocs()
			id, open := uint32(0), 0
			for b.Loop() {
				for ; open < at; open++ {
					id += 2
					write(b, gateway, request(id))
				}
				f, err := gateway.ReadFrame()
				if err != nil {
					b.Fatal(err)
				}
				f.Release()
				open--
			}
		})
	}
}
