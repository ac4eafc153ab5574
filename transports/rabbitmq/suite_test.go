package rabbitmq_test

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
)

func TestRabbitMQ(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "RabbitMQ")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

var (
	server *brokertest.RabbitMQServer
	prefix string // of the spec's own
	specs  atomic.Int64
)

var _ = BeforeSuite(func() { server = brokertest.RabbitMQ(GinkgoT()) })

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() {
		// The goroutine of a server that was restarted ends with that.
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before, gleak.IgnoringInBacktrace("brokertest.(*RabbitMQServer).start")))
	})
	prefix = fmt.Sprintf("spec%d", specs.Add(1))
})

// far is the URL that the services of a spec dial: another name for the same server, so that they share no connection with
// the gateways.
func far() string { return server.URL("localhost", "prefix="+prefix) }

func near() string { return server.URL("", "prefix="+prefix) }

func listenAt(url string) transports.Listener {
	GinkgoHelper()
	ln, err := transports.Listen(GinkgoT().Context(), url, transports.ListenConfig{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(ln.Close)
	return ln
}

// pair is the two ends of a link: the service's and the gateway's.
func pair() (service, gateway transports.Link) {
	GinkgoHelper()
	return dialTo(listenAt(near()))
}

func dialTo(ln transports.Listener) (service, gateway transports.Link) {
	GinkgoHelper()
	service, err := transports.Dial(GinkgoT().Context(), far())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(service.Close)
	gateway, err = ln.Accept()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(gateway.Close)
	return service, gateway
}

// again dials until a gateway is there again, and returns both ends of the link.
func again(ln transports.Listener) (service, gateway transports.Link) {
	GinkgoHelper()
	Eventually(func() (err error) {
		service, err = transports.Dial(GinkgoT().Context(), far())
		return err
	}).WithTimeout(2 * patience).Should(Succeed())
	DeferCleanup(service.Close)
	gateway, err := ln.Accept()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(gateway.Close)
	return service, gateway
}

func ping(aux uint32) *transports.Frame { return transports.NewControl(spec.TypePing, 0, aux, nil) }

// chunk is a frame with n bytes of body that show when one is missing.
func chunk(seq uint32, n int) *transports.Frame {
	f := transports.NewFrame(n)
	b := f.Bytes()
	for i := range n {
		b = append(b, byte((i+int(seq))*31>>3))
	}
	f.SetBytes(b)
	f.Seal(spec.TypeRequestStreamData, 0, 2, seq, 0)
	return f
}

// call is the frame of a whole request with a deadline in ms.
func call(stream, deadline uint32) *transports.Frame {
	f := transports.NewFrame(0)
	f.Seal(spec.TypeRequest, spec.FlagEnd, stream, deadline, 0)
	return f
}

// large is a frame of a type that may be as large as frames get.
func large(n int) *transports.Frame {
	f := transports.NewFrame(n)
	f.SetBytes(append(f.Bytes(), bytes.Repeat([]byte{7}, n)...))
	f.Seal(0x40, 0, 0, 0, 0)
	return f
}

func write(l transports.Link, frames ...*transports.Frame) {
	GinkgoHelper()
	Expect(l.WriteFrames(frames)).To(Succeed())
}

func read(l transports.Link) *transports.Frame {
	GinkgoHelper()
	f, err := l.ReadFrame()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(f.Release)
	return f
}

// ending is the error with which reading ends.
func ending(l transports.Link) <-chan error {
	done := make(chan error, 1)
	go func() {
		for {
			f, err := l.ReadFrame()
			if err != nil {
				done <- err
				return
			}
			f.Release()
		}
	}()
	return done
}

// fails expects that reading fails within some time, and returns the last of the errors.
func fails(within time.Duration, ends ...<-chan error) (err error) {
	GinkgoHelper()
	for _, end := range ends {
		Eventually(end).WithTimeout(within).Should(Receive(&err))
		Expect(err).NotTo(Equal(io.EOF))
	}
	return err
}
