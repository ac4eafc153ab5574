//go:build unix

package handover

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// old is a process that listens, on an address of each kind.
type old struct {
	sockets  *Sockets
	tcp      net.Listener
	unix     net.Listener
	unixPath string
	held     *Held
}

func listenOld() *old {
	GinkgoHelper()
	o := &old{sockets: new(Sockets), unixPath: filepath.Join(GinkgoT().TempDir(), "s.sock")}
	listen := func(network, address string) net.Listener {
		ln, err := o.sockets.Listen(network, address, func() (net.Listener, error) { return net.Listen(network, address) })
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = ln.Close() })
		return ln
	}
	o.tcp, o.unix = listen("tcp", "127.0.0.1:0"), listen("unix", o.unixPath)
	var err error
	o.held, err = o.sockets.Hold()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(o.held.Close)
	return o
}

// start starts this binary as the next process.
func (o *old) start(part string) *Successor {
	GinkgoHelper()
	path, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	c := Command{Path: path, Args: []string{"next"}, Env: append(os.Environ(), envPart+"="+part, envAddr+"="+o.tcp.Addr().String(), envUnix+"="+o.unixPath)}
	next, err := c.Start(o.held)
	Expect(err).NotTo(HaveOccurred())
	Expect(next.PID()).NotTo(BeZero())
	return next
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	DeferCleanup(cancel)
	return ctx
}

// says is what who accepts at a listener's address says.
func says(ln net.Listener) string {
	GinkgoHelper()
	conn, err := net.DialTimeout(ln.Addr().Network(), ln.Addr().String(), patience)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(conn.Close()).To(Succeed()) }()
	Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
	text, err := io.ReadAll(conn)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

var _ = Describe("a process that hands over", func() {
	It("leaves its sockets to the next one, which knows the instances and whose connections are its own", func() {
		o := listenOld()
		next := o.start(partServes)
		Expect(next.Begun(within(patience))).To(Succeed())
		list := []Instance{{"s", "1.0.0", "a"}, {"s", "1.0.0", "b"}}
		Expect(next.Tell(within(patience), list)).To(Succeed())
		Expect(next.Ready(within(patience))).To(Succeed())
		DeferCleanup(syscall.Kill, next.PID(), syscall.SIGKILL)
		o.held.Keep(true)
		Expect(o.tcp.Close()).To(Succeed())
		Expect(o.unix.Close()).To(Succeed())
		Expect(o.held.Close()).To(Succeed())
		for _, ln := range []net.Listener{o.tcp, o.unix} {
			Expect(says(ln)).To(Equal(fmt.Sprint(next.PID(), list)))
		}
	})

	It("still accepts while the next one has its sockets, and none of its listeners blocks", func() {
		o := listenOld()
		next := o.start(partHangs)
		Expect(next.Begun(within(patience))).To(Succeed())
		for _, ln := range []net.Listener{o.tcp, o.unix} {
			conn, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			Expect(err).NotTo(HaveOccurred())
			accepted, err := ln.Accept()
			Expect(err).NotTo(HaveOccurred())
			Expect(accepted.Close()).To(Succeed())
			Expect(conn.Close()).To(Succeed())
		}
		accepting := make(chan error, 1)
		go func() {
			_, err := o.tcp.Accept()
			accepting <- err
		}()
		Expect(next.Kill()).To(Succeed())
		Expect(o.tcp.Close()).To(Succeed())
		Eventually(accepting).WithTimeout(patience).Should(Receive(MatchError(net.ErrClosed)))
	})

	It("hears how the next one has ended, and listens again on what it has closed", func() {
		o := listenOld()
		next := o.start(partCrashes)
		Expect(next.Begun(within(patience))).To(Succeed())
		o.held.Keep(true)
		Expect(o.tcp.Close()).To(Succeed())
		Expect(o.unix.Close()).To(Succeed())
		conn, err := net.Dial("tcp", o.tcp.Addr().String()) // it waits to be accepted
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(conn.Close()).To(Succeed()) }()
		Expect(next.Tell(within(patience), nil)).To(Succeed())
		Expect(next.Ready(within(patience))).To(MatchError(io.EOF))
		Expect(next.Kill()).To(MatchError(ContainSubstring("exit status 3")))
		Expect(o.held.Return(o.sockets)).To(Succeed())
		again, err := o.sockets.Inherited("tcp", o.tcp.Addr().String())
		Expect(err).NotTo(HaveOccurred())
		accepted, err := again.Accept()
		Expect(err).NotTo(HaveOccurred())
		Expect(accepted.Close()).To(Succeed())
		Expect(again.Close()).To(Succeed())
		unix, err := o.sockets.Inherited("unix", o.unixPath)
		Expect(err).NotTo(HaveOccurred())
		Expect(o.unixPath).To(BeAnExistingFile())
		Expect(unix.Close()).To(Succeed())
		Expect(o.unixPath).NotTo(BeAnExistingFile(), "it is this process's to remove")
		Expect(o.sockets.Drop()).To(BeEmpty())
	})

	It("keeps the paths of its sockets when the next one fails that has taken them, and leaves them to the one that serves", func() {
		o := listenOld()
		next := o.start(partFails)
		Expect(next.Begun(within(patience))).To(MatchError(io.EOF))
		Expect(next.Kill()).To(MatchError(ContainSubstring("exit status 3")))
		Expect(o.unixPath).To(BeAnExistingFile())
		conn, err := net.Dial("unix", o.unixPath)
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.Close()).To(Succeed())

		next = o.start(partEnds)
		Expect(next.Begun(within(patience))).To(Succeed())
		Expect(next.Tell(within(patience), nil)).To(Succeed())
		Expect(next.Ready(within(patience))).To(Succeed())
		Eventually(o.unixPath).WithTimeout(patience).ShouldNot(BeAnExistingFile(), "it has become the next one's to remove")
	})

	It("waits for the next one no longer than it may, and kills it", func() {
		o := listenOld()
		next := o.start(partHangs)
		Expect(next.Begun(within(patience))).To(Succeed())
		Expect(next.Tell(within(patience), nil)).To(Succeed())
		Expect(next.Ready(within(10 * time.Millisecond))).To(MatchError(errOver))
		Expect(next.Kill()).To(Succeed())
		Expect(syscall.Kill(next.PID(), 0)).To(MatchError(syscall.ESRCH))
	})

	It("says what it could not start", func() {
		_, err := Command{Path: "/does/not/exist"}.Start(listenOld().held)
		Expect(err).To(MatchError(ContainSubstring("starting /does/not/exist")))
		c, err := Current()
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Path).To(BeARegularFile())
		Expect(c.Args).To(Equal(os.Args))
	})
})

var _ = Describe("a process under a service manager", func() {
	// list starts this binary through a shell, which knows the id that it will have, with files from descriptor 3 on.
	list := func(pid, names string, files ...*os.File) string {
		GinkgoHelper()
		path, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		cmd := exec.Command("sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, path)
		cmd.Env = append(os.Environ(), envPart+"="+partLists, envFDs+"="+strconv.Itoa(len(files)), envNames+"="+names)
		cmd.ExtraFiles = files
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		return strings.TrimSpace(string(out))
	}
	It("takes the sockets on which it may listen, tells of others, and leaves none to its children", func() {
		tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(tcp.Close()).To(Succeed()) }()
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(udp.Close()).To(Succeed()) }()
		one, err := tcp.File()
		Expect(err).NotTo(HaveOccurred())
		two, err := udp.File()
		Expect(err).NotTo(HaveOccurred())
		three, err := os.Open(os.DevNull)
		Expect(err).NotTo(HaveOccurred())
		for _, f := range []*os.File{one, two, three} {
			defer func() { Expect(f.Close()).To(Succeed()) }()
		}
		Expect(list("$$", "", one)).To(Equal("1 false <nil> [tcp://" + tcp.Addr().String() + "]"))
		Expect(list("$$", "http:quic:null", one, two, three)).To(And(
			HavePrefix("1 false "), ContainSubstring("descriptor 4 (quic): expected a socket of a stream that listens"),
			ContainSubstring("descriptor 5 (null): it is no socket"), HaveSuffix("[tcp://"+tcp.Addr().String()+"]")))
		Expect(list("1", "", one)).To(Equal("0 false <nil> [] 1"), "they are another process's")
	})
})
