package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

const (
	opens     = "\x00STELA\r\n\x00\x01\x00\x01" // what a service says first: PROTOCOL.md, "Opening"
	turnedOff = spec.HelloTimeout + time.Second // 2 s, on a machine that has more to do
	rejection = "connection is not a service"
)

// frameHeader is a frame's header alone.
func frameHeader(h spec.Header) string {
	b := make([]byte, spec.HeaderSize)
	h.Put(b)
	return string(b)
}

// strangers are those who connect where services do and are none: by what they say.
func strangers() map[string]func(net.Conn) error {
	says := func(text string) func(net.Conn) error {
		return func(conn net.Conn) error {
			_, err := io.WriteString(conn, text)
			return err
		}
	}
	noise := make([]byte, 4096)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise) // never fails
	return map[string]func(net.Conn) error{
		"random bytes":                says(string(noise)),
		"random bytes after the NUL":  says("\x00" + string(noise)),
		"HTTP":                        says("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"nothing":                     says(""),
		"half a preamble":             says(opens[:6]),
		"a preamble and then nothing": says(opens),
		"a preamble of another time":  says(opens[:8] + "\x00\x08\x00\x09"),
		"half a header":               says(opens + "\x00\x00"),
		"HELLO that is too large":     says(opens + frameHeader(spec.Header{Length: spec.MaxFrameHello + 1, Type: spec.TypeHello})),
		"HELLO that never ends":       says(opens + frameHeader(spec.Header{Length: 1000, MetaLen: 1000, Type: spec.TypeHello}) + `{"inst`),
		"a frame that is not HELLO":   says(opens + frameHeader(spec.Header{Type: spec.TypePing})),
		"TLS": func(conn net.Conn) error {
			_ = tls.Client(conn, &tls.Config{ServerName: "gateway", MinVersion: tls.VersionTLS12}).Handshake() // it fails
			return nil
		},
		"a preamble, a byte at a time": func(conn net.Conn) error {
			tick := time.NewTicker(300 * time.Millisecond)
			defer tick.Stop()
			for i := range len(opens) {
				if _, err := conn.Write([]byte{opens[i]}); err != nil {
					return nil // turned off, as it should be
				}
				<-tick.C
			}
			return nil
		},
	}
}

// visit is what became of a stranger.
type visit struct {
	name, local string
	took        time.Duration
	err         error
}

// receive has a stranger talk, and waits for the end of its connection.
func receive(name, address string, talk func(net.Conn) error) visit {
	v := visit{name: name}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		v.err = err
		return v
	}
	defer func() { _ = conn.Close() }()
	v.local = conn.LocalAddr().String()
	begin := time.Now()
	_ = conn.SetDeadline(begin.Add(patience))
	if v.err = talk(conn); v.err != nil {
		return v
	}
	_, err = io.Copy(io.Discard, conn)
	v.took = time.Since(begin)
	if errors.Is(err, os.ErrDeadlineExceeded) { // any other error is an end, too
		v.err = err
	}
	return v
}

var _ = inForms("the port for services", overTCP(), func(start func(settings) *stack) {
	It("turns off within 2 s whoever is no service, with one line in the log and nothing left behind", func() {
		s := start(settings{})
		var wg sync.WaitGroup
		visits := make(chan visit, len(strangers()))
		for name, talk := range strangers() {
			wg.Go(func() { visits <- receive(name, strings.TrimPrefix(s.listen, "tcp://"), talk) })
		}
		wg.Wait()
		close(visits)
		lines := func(v visit) int {
			n := 0
			for line := range strings.Lines(s.gateway.log()) {
				if strings.Contains(line, rejection) && strings.Contains(line, "remote="+v.local) {
					n++
				}
			}
			return n
		}
		for v := range visits {
			Expect(v.err).NotTo(HaveOccurred(), v.name)
			Expect(v.took).To(BeNumerically("<", turnedOff), v.name)
			Eventually(lines).WithArguments(v).Should(Equal(1), v.name)
		}
		s.rested()
		Expect(strings.Count(s.gateway.log(), rejection)).To(Equal(len(strangers())), "somebody was mentioned twice")
		Expect(call(http.MethodGet, s.url("/items/1"), "").StatusCode).To(Equal(http.StatusOK))
	})
})

var _ = everyForm("a link for services", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	DescribeTable("is closed within 2 s, with one line in the log and nothing left behind, if on it comes",
		func(ctx SpecContext, frame func() *transports.Frame) {
			before := strings.Count(s.gateway.log(), rejection)
			link, err := transports.Dial(ctx, s.listen)
			Expect(err).NotTo(HaveOccurred())
			begin := time.Now()
			if frame != nil {
				_ = link.WriteFrames([]*transports.Frame{frame()}) // fails where the gateway has seen enough before all of it is there
			}
			ended := make(chan time.Duration, 1)
			go func() {
				for {
					f, err := link.ReadFrame()
					if err != nil {
						ended <- time.Since(begin)
						return
					}
					f.Release()
				}
			}()
			var took time.Duration
			Eventually(ended).Should(Receive(&took))
			Expect(took).To(BeNumerically("<", turnedOff))
			Expect(link.Close()).To(Succeed())
			Eventually(func() int { return strings.Count(s.gateway.log(), rejection) }).Should(Equal(before + 1))
			s.rested()
			Expect(strings.Count(s.gateway.log(), rejection)).To(Equal(before + 1))
		},
		Entry("nothing", nil),
		Entry("HELLO that is too large", func() *transports.Frame {
			f := transports.NewFrame(spec.MaxFrameHello + 1)
			f.SetBytes(f.Bytes()[:spec.HeaderSize+spec.MaxFrameHello+1])
			f.Seal(spec.TypeHello, 0, 0, 0, 1)
			return f
		}),
		Entry("HELLO that says nothing", func() *transports.Frame { return transports.NewControl(spec.TypeHello, 0, 0, []byte("{}")) }),
		Entry("a frame that is not HELLO", func() *transports.Frame { return transports.NewControl(spec.TypePing, 0, 0, nil) }),
	)
})
