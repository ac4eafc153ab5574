package rabbitmq_test

import (
	"testing"

	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
)

// benchPair is the two ends of a link, which share nothing but the server.
func benchPair(b *testing.B) (service, gateway transports.Link) {
	b.Helper()
	s := brokertest.RabbitMQ(b)
	ln, err := transports.Listen(b.Context(), s.URL("", ""), transports.ListenConfig{})
	if err != nil {
		b.Fatal(err)
	}
	service, err = transports.Dial(b.Context(), s.URL("localhost", ""))
	if err != nil {
		b.Fatal(err)
	}
	gateway, err = ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _, _ = service.Close(), gateway.Close(), ln.Close() })
	return service, gateway
}

// BenchmarkRoundTrip is one small frame there and back at a time.
func BenchmarkRoundTrip(b *testing.B) {
	service, gateway := benchPair(b)
	go echo(gateway)
	b.ReportAllocs()
	for b.Loop() {
		if err := service.WriteFrames([]*transports.Frame{ping(1)}); err != nil {
			b.Fatal(err)
		}
		f, err := service.ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}

// BenchmarkStream is chunks one way, as fast as they go.
func BenchmarkStream(b *testing.B) {
	const size = 64 << 10
	service, gateway := benchPair(b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range b.N {
			f, err := gateway.ReadFrame()
			if err != nil {
				b.Error(err)
				return
			}
			f.Release()
		}
	}()
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := service.WriteFrames([]*transports.Frame{chunk(uint32(i), size)}); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.StopTimer()
}
