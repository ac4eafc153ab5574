package handover

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("an address", func() {
	DescribeTable("is a socket's", func(at net.Addr, network, address string, is bool) {
		Expect(isAt(at, network, address)).To(Equal(is))
	},
		Entry("the same", tcpAddr("127.0.0.1:80"), "tcp", "127.0.0.1:80", true),
		Entry("the same in IPv6", tcpAddr("[::1]:80"), "tcp", "[::1]:80", true),
		Entry("by name", tcpAddr("127.0.0.1:80"), "tcp", "localhost:80", true),
		Entry("everywhere", tcpAddr("[::]:80"), "tcp", ":80", true),
		Entry("everywhere in IPv4", tcpAddr("0.0.0.0:80"), "tcp", "[::]:80", true),
		Entry("another port", tcpAddr("127.0.0.1:80"), "tcp", "127.0.0.1:81", false),
		Entry("any port", tcpAddr("127.0.0.1:80"), "tcp", "127.0.0.1:0", false),
		Entry("another address", tcpAddr("127.0.0.1:80"), "tcp", "127.0.0.2:80", false),
		Entry("one interface, and the socket everywhere", tcpAddr("[::]:80"), "tcp", "127.0.0.1:80", false),
		Entry("everywhere, and the socket on one interface", tcpAddr("127.0.0.1:80"), "tcp", ":80", false),
		Entry("no address", tcpAddr("127.0.0.1:80"), "tcp", "here", false),
		Entry("a path", &net.UnixAddr{Name: "/s", Net: "unix"}, "unix", "/s", true),
		Entry("another path", &net.UnixAddr{Name: "/s", Net: "unix"}, "unix", "/t", false),
		Entry("a path of no network", &net.UnixAddr{Name: "/s", Net: "unix"}, "tcp", "/s", false),
		Entry("another network", tcpAddr("127.0.0.1:80"), "unix", "127.0.0.1:80", false),
	)
})

func tcpAddr(s string) *net.TCPAddr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	return a
}

var _ = Describe("what a process is told of its descriptors", func() {
	const self, parent = 100, 99
	DescribeTable("is taken", func(pid, count, names string, given []string, handed bool) {
		got, byProcess, err := listed(pid, count, names, self, parent)
		Expect(err).NotTo(HaveOccurred())
		Expect(got).To(Equal(given))
		Expect(byProcess).To(Equal(handed))
	},
		Entry("nothing", "", "", "", nil, false),
		Entry("without names", "100", "2", "", []string{"", ""}, false),
		Entry("with names", "100", "2", "a:b", []string{"a", "b"}, false),
		Entry("for another", "98", "2", "a:b", nil, false),
		Entry("for its parent", "99", "2", "a:b", nil, false),
		Entry("by the process before", "99", "2", "stella-control:stella-bound", []string{"stella-control", "stella-bound"}, true),
		Entry("by the process before another", "98", "1", "stella-control", nil, false),
	)
	DescribeTable("is refused", func(pid, count, names, says string) {
		_, _, err := listed(pid, count, names, self, parent)
		Expect(err).To(MatchError(ContainSubstring(says)))
	},
		Entry("no process", "x", "1", "", `expected a process, got "x"`),
		Entry("no number", "100", "x", "", `expected a number up to 1024, got "x"`),
		Entry("too many", "100", "1025", "", "expected a number up to 1024"),
		Entry("fewer than none", "100", "-1", "", "expected a number up to 1024"),
		Entry("too few names", "100", "2", "a", "1 names in LISTEN_FDNAMES for 2 descriptors"),
	)
})

var _ = Describe("a message", func() {
	It("comes as it was sent, and one of another version of the gateway may say more", func() {
		var b bytes.Buffer
		sent := message{Kind: kindInstances, Instances: []Instance{{"billing", "1.4.0", "one"}}}
		Expect(writeMessage(&b, sent)).To(Succeed())
		Expect(readMessage(&b, kindInstances)).To(Equal(sent))
		b.WriteString("\x00\x00\x00\x1d" + `{"kind":"ready","later":true}`)
		Expect(readMessage(&b, kindReady)).To(Equal(message{Kind: kindReady}))
	})
	DescribeTable("is refused", func(text, says string) {
		_, err := readMessage(strings.NewReader(text), kindBegun)
		Expect(err).To(MatchError(ContainSubstring(says)))
	},
		Entry("nothing", "", `waiting for "begun": EOF`),
		Entry("half a length", "\x00\x00", "unexpected EOF"),
		Entry("half a text", "\x00\x00\x00\x09{}", "unexpected EOF"),
		Entry("too long", "\x01\x00\x00\x01", "a message of 16777217 bytes, expected at most 16777216"),
		Entry("no JSON", "\x00\x00\x00\x01{", "is no message"),
		Entry("another kind", "\x00\x00\x00\x10"+`{"kind":"ready"}`, `says "ready", expected "begun"`),
	)
})

var _ = Describe("a process that takes nothing", func() {
	It("is told no longer than until the context ends", func() {
		near, far := net.Pipe() // a write waits for a read
		DeferCleanup(far.Close)
		DeferCleanup(near.Close)
		for said, says := range map[string]func(context.Context) error{
			kindInstances: func(ctx context.Context) error {
				return NewSuccessor(near).Tell(ctx, []Instance{{"billing", "1.4.0", "one"}})
			},
			kindBegun: func(ctx context.Context) error {
				_, err := NewPredecessor(near).Begin(ctx)
				return err
			},
			kindReady: NewPredecessor(near).Ready,
		} {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- says(ctx) }()
			Consistently(done).WithTimeout(50*time.Millisecond).ShouldNot(Receive(), said)
			cancel()
			Eventually(done).WithTimeout(patience).Should(Receive(And(MatchError(errOver), MatchError(ContainSubstring(said)))))
			Expect(near.SetDeadline(time.Time{})).To(Succeed())
		}
	})
})

// FuzzMessage reads what another process may send: it is a message of the kind, which can be sent again, or an error.
func FuzzMessage(f *testing.F) {
	var b bytes.Buffer
	if err := writeMessage(&b, message{Kind: kindInstances, Instances: []Instance{{"billing", "1.4.0", "one"}}}); err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{b.Bytes(), b.Bytes()[:7], {}, {0xff, 0xff, 0xff, 0xff}, []byte("\x00\x00\x00\x10" + `{"kind":"ready"}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := readMessage(bytes.NewReader(text), kindInstances)
		if err != nil {
			return
		}
		if m.Kind != kindInstances {
			t.Fatalf("kind %q", m.Kind)
		}
		var again bytes.Buffer
		if err := writeMessage(&again, m); err != nil {
			t.Fatal(err)
		}
		if _, err := readMessage(&again, kindInstances); err != nil {
			t.Fatal(err)
		}
	})
}
