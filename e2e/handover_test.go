package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/coder/websocket"
)

// relay is a gateway whose processes hand over to each other, under a service manager that follows them. Its output goes to a
// file: a pipe would be held by processes that the one which was started does not outlive.
type relay struct {
	file   string // the configuration
	out    string
	notify *net.UnixConn
	pid    int // of the process that serves, as the service manager has heard
}

func relayProcess(s *stack) program {
	GinkgoHelper()
	return startRelay(s, func(args []string) *exec.Cmd { return exec.Command(binary("stella-gateway"), args...) })
}

// startRelay starts the first process by a command that is made for its arguments.
func startRelay(s *stack, command func(args []string) *exec.Cmd) *relay {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	r := &relay{file: filepath.Join(dir, "gateway.yaml"), out: filepath.Join(dir, "log")}
	r.write(fmt.Sprintf("shutdown: {drainDelay: %s}\n", s.settings.drainDelay))
	socket := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	r.notify = conn
	out, err := os.OpenFile(r.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(out.Close()).To(Succeed()) }()
	cmd := command([]string{"run", "--config", r.file, "--http", s.http, "--listen", s.listen, "--admin", s.admin})
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(append(os.Environ(), cmd.Env...), "NOTIFY_SOCKET="+socket), scratch, out, out
	Expect(cmd.Start()).To(Succeed())
	r.pid = cmd.Process.Pid
	first := make(chan struct{})
	go func() {
		defer close(first)
		_ = cmd.Wait() // how it ends, its log says
	}()
	DeferCleanup(func() {
		AddReportEntry("gateway", ReportEntryVisibilityFailureOrVerbose, r.log())
		_ = syscall.Kill(r.pid, syscall.SIGKILL)
		<-first
	})
	r.hears("READY=1")
	return r
}

// write writes the configuration whole, by another name first.
func (r *relay) write(text string) {
	GinkgoHelper()
	Expect(os.WriteFile(r.file+".next", []byte(text), 0o600)).To(Succeed())
	Expect(os.Rename(r.file+".next", r.file)).To(Succeed())
}

// hears waits for what a process says to the service manager.
func (r *relay) hears(state string) string {
	GinkgoHelper()
	Expect(r.notify.SetReadDeadline(time.Now().Add(3 * patience))).To(Succeed())
	b := make([]byte, 4096)
	n, err := r.notify.Read(b)
	Expect(err).NotTo(HaveOccurred(), "waiting for %s: %s", state, r.log())
	Expect(string(b[:n])).To(HavePrefix(state))
	return string(b[:n])
}

// signal asks the process that serves to hand over.
func (r *relay) signal() {
	GinkgoHelper()
	Expect(syscall.Kill(r.pid, syscall.SIGUSR2)).To(Succeed())
}

// handOver has the process that serves asked to hand over, and waits until it has ended.
func (r *relay) handOver(ask func()) {
	GinkgoHelper()
	old := r.pid
	ask()
	_, err := fmt.Sscanf(r.hears("MAINPID="), "MAINPID=%d\nREADY=1", &r.pid)
	Expect(err).NotTo(HaveOccurred())
	Expect(r.pid).NotTo(Equal(old))
	Eventually(gone).WithArguments(old).WithTimeout(2 * patience).Should(BeTrue())
}

// gone reports whether a process has ended, be it that nobody has asked how.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(after, "Z")
}

func (r *relay) end() {
	GinkgoHelper()
	Expect(syscall.Kill(r.pid, syscall.SIGTERM)).To(Succeed())
	Eventually(r.ended).WithTimeout(2 * patience).Should(BeTrue())
}

func (r *relay) ended() bool { return gone(r.pid) }

func (r *relay) held() held { return held{Descriptors: descriptors(strconv.Itoa(r.pid))} }

func (r *relay) memory() int64 { return 0 }

func (r *relay) log() string {
	text, err := os.ReadFile(r.out)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// keeper is a client that keeps its connection for as long as the gateway does, and forgives nothing: a connection that is
// closed without the answer before having said so has lost a request.
type keeper struct {
	addr  string
	fresh bool // a new connection for every request
	conn  net.Conn
	r     *bufio.Reader
}

func (k *keeper) ask(body string) error {
	if k.conn == nil {
		conn, err := net.DialTimeout("tcp", k.addr, patience)
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		k.conn, k.r = conn, bufio.NewReader(conn)
	}
	if err := k.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("deadline: %w", err)
	}
	if _, err := fmt.Fprintf(k.conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // the connection is closed below
	if err != nil || resp.StatusCode != http.StatusOK || string(text) != body {
		return fmt.Errorf("answered %s %.200q: %w", resp.Status, text, err)
	}
	if resp.Close || k.fresh {
		err = k.conn.Close()
		k.conn = nil
	}
	return err
}

// echoes says something by a WebSocket that says it again.
func echoes(ctx context.Context, c *websocket.Conn, text string) {
	GinkgoHelper()
	Expect(c.Write(ctx, websocket.MessageText, []byte(text))).To(Succeed())
	_, back, err := c.Read(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(back)).To(Equal(text))
}

// regulars are keepers, and what became of their requests.
type regulars struct {
	asked  atomic.Int64
	mu     sync.Mutex
	failed []string
}

// calls asks until ctx ends.
func (c *regulars) calls(ctx context.Context, ask func(string) error) {
	for i := 0; ctx.Err() == nil; i++ {
		if err := ask(strconv.Itoa(i)); err != nil {
			c.mu.Lock()
			c.failed = append(c.failed, err.Error())
			c.mu.Unlock()
			return
		}
		c.asked.Add(1)
	}
}

// during calls over connections of all kinds while something happens, none of which may fail.
func (c *regulars) during(addr string, happens func()) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range 6 {
		k := &keeper{addr: addr, fresh: i < 2}
		wg.Go(func() {
			c.calls(ctx, k.ask)
			if k.conn != nil {
				_ = k.conn.Close()
			}
		})
	}
	h2 := overHTTP2()
	defer h2.CloseIdleConnections()
	wg.Go(func() {
		c.calls(ctx, func(body string) error {
			resp, err := h2.Post("http://"+addr+"/echo", "text/plain", strings.NewReader(body))
			if err != nil {
				return err
			}
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(resp.Body)
			if err != nil || string(text) != body {
				return fmt.Errorf("HTTP/2: answered %s %.200q: %w", resp.Status, text, err)
			}
			return nil
		})
	})
	happens()
}

func (c *regulars) settled() {
	GinkgoHelper()
	c.mu.Lock()
	defer c.mu.Unlock()
	GinkgoWriter.Printf("%d requests over connections that are kept or new\n", c.asked.Load())
	Expect(c.failed).To(BeEmpty(), "of %d", c.asked.Load())
	Expect(c.asked.Load()).To(BeNumerically(">", 300), "there was a load")
}

var _ = Describe("a gateway that is restarted by handover", func() {
	It("three times under load fails no request, and once with a broken configuration goes on as it was", func() {
		s := &stack{listen: "tcp://" + address()}
		f := startFleetBy(form{gateway: relayProcess}, s)
		r, ok := s.gateway.(*relay)
		Expect(ok).To(BeTrue())
		for i := range 2 {
			f.instance(fmt.Sprintf("i%d", i))
			start("echo", []string{"STELLA_GATEWAYS=" + s.listen, fmt.Sprintf("STELLA_INSTANCE_ID=e%d", i)}, binary("echo"))
			Eventually(s.serves).WithArguments(fmt.Sprintf("e%d", i)).Should(BeTrue())
		}
		c := new(regulars)
		f.under(func() {
			c.during(s.http, func() {
				for i, ask := range []func(){r.signal, func() {
					out, err := exec.Command(binary("stella-gateway"), "ctl", "--admin", s.admin, "restart").CombinedOutput()
					Expect(err).NotTo(HaveOccurred(), "%s", out)
					Expect(string(out)).To(Equal("a new process serves\n"))
				}, r.signal} {
					before := c.asked.Load()
					r.handOver(ask)
					Expect(strings.Count(r.log(), "handover: the new process serves")).To(Equal(i + 1))
					Eventually(c.asked.Load).Should(BeNumerically(">", before+100))
					for _, id := range []string{"i0", "i1", "e0", "e1"} {
						Expect(s.serves(id)).To(BeTrue(), id)
					}
				}
				Expect(r.log()).NotTo(ContainSubstring("services have not come in time"))

				r.write("no such key: 1\n")
				pid := r.pid
				r.signal()
				Eventually(r.log).Should(And(
					ContainSubstring("handover failed, this process goes on"), ContainSubstring(`there is no key \"no such key\"`)))
				out, err := exec.Command(binary("stella-gateway"), "ctl", "--admin", s.admin, "restart").CombinedOutput()
				Expect(err).To(HaveOccurred())
				Expect(string(out)).To(ContainSubstring("the new process ended by itself: exit status 2"))
				before := c.asked.Load()
				Eventually(c.asked.Load).Should(BeNumerically(">", before+100))
				Expect(gone(pid)).To(BeFalse())
			})
		})
		c.settled()
		f.settled()
		Expect(f.large[http.StatusServiceUnavailable]).To(BeZero(), "large bodies")
	})

	It("over TLS lets streams and a WebSocket go on that began before, and has settings in force that only a restart changes", func() {
		c := newCertificates()
		at, front := address(), address()
		server, client := c.issue("gateway", "127.0.0.1"), c.issue("service", "fixture")
		s := &stack{listen: "tls://" + at + "?" + server + "&clients=" + c.ca(), dial: "tls://" + at + "?" + client + "&ca=" + c.ca()}
		f := startFleetBy(form{gateway: relayProcess}, s)
		r, ok := s.gateway.(*relay)
		Expect(ok).To(BeTrue())
		f.instance("i0")
		f.instance("i1")
		cert, err := url.ParseQuery(server)
		Expect(err).NotTo(HaveOccurred())
		r.write(fmt.Sprintf("node: {id: next}\nlisteners: [{address: '%s', tls: {cert: '%s', key: '%s'}}]\n", front, cert.Get("cert"), cert.Get("key")))
		r.handOver(r.signal)
		Expect(r.log()).To(MatchRegexp(`msg=serving http="\[%s %s\]".* node=next`, s.http, front))

		pem, err := os.ReadFile(c.ca())
		Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(pem)).To(BeTrue())
		tunnel := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		defer tunnel.CloseIdleConnections()
		drip := func() io.ReadCloser {
			GinkgoHelper()
			resp, err := (&http.Client{Transport: tunnel}).Get("https://" + front + "/drip")
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(http.StatusOK))
			return resp.Body
		}
		moves := func(stream io.Reader) {
			GinkgoHelper()
			_, err := io.ReadFull(stream, make([]byte, 20))
			Expect(err).NotTo(HaveOccurred())
		}
		stream := drip()
		moves(stream)
		ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
		defer cancel()
		chat, _, err := websocket.Dial(ctx, "ws://"+s.http+"/chat/one", nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = chat.CloseNow() }()
		echoes(ctx, chat, "before")
		_, idle := raw(s.http, "GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n")
		Expect(respond(idle, http.MethodGet).Close).To(BeFalse())
		old := r.pid
		f.under(func() {
			r.signal()
			_, err := fmt.Sscanf(r.hears("MAINPID="), "MAINPID=%d", &r.pid)
			Expect(err).NotTo(HaveOccurred())
			moves(stream)
			newer := drip()
			moves(newer)
			moves(stream)
			Expect(newer.Close()).To(Succeed())
			Expect(stream.Close()).To(Succeed())
			Expect(over(idle)).To(Succeed(), "it waits for idle connections no longer")
			echoes(ctx, chat, "behind")
			Expect(gone(old)).To(BeFalse(), "it has a WebSocket that goes on")
			Expect(chat.Close(websocket.StatusNormalClosure, "")).To(Succeed())
			Eventually(gone).WithArguments(old).WithTimeout(2 * patience).Should(BeTrue())
		})
		f.settled()
	})

	It("has five hundred instances when it serves, and fails no request while they come", func() {
		s := &stack{listen: "tcp://" + address()}
		startFleetBy(form{gateway: relayProcess}, s)
		r, ok := s.gateway.(*relay)
		Expect(ok).To(BeTrue())
		s.startHerd()
		ctx, cancel := context.WithCancel(context.Background())
		c := new(regulars)
		var wg sync.WaitGroup
		wg.Go(func() {
			c.calls(ctx, func(string) error {
				if status := s.status("/items/1"); status != http.StatusOK {
					return fmt.Errorf("answered %d", status)
				}
				return nil
			})
		})
		r.handOver(r.signal)
		Expect(s.registered()).To(Equal(herd))
		cancel()
		wg.Wait()
		c.settled()
		Expect(r.log()).NotTo(ContainSubstring("services have not come in time"))
	})

	It("goes on as it was when the next process is killed while services come, and hands over to another one later", func() {
		s := &stack{listen: "tcp://" + address()}
		f := startFleetBy(form{gateway: relayProcess}, s)
		r, ok := s.gateway.(*relay)
		Expect(ok).To(BeTrue())
		frozen := f.instance("frozen")
		for _, id := range []string{"e0", "e1"} {
			start("echo", []string{"STELLA_GATEWAYS=" + s.listen, "STELLA_INSTANCE_ID=" + id}, binary("echo"))
			Eventually(s.serves).WithArguments(id).Should(BeTrue())
		}
		frozen.Signal(syscall.SIGSTOP) // so that the next process waits
		c := new(regulars)
		c.during(s.http, func() {
			r.signal()
			var next int
			Eventually(func() error {
				_, after, _ := strings.Cut(r.log(), "that is to take this one's place\" pid=")
				_, err := fmt.Sscan(after, &next)
				return err
			}).Should(Succeed())
			connected := func() int { return strings.Count(r.log(), "service connected\" service=echo") }
			Eventually(connected).Should(Equal(4), "both have two sessions now")
			Expect(syscall.Kill(next, syscall.SIGKILL)).To(Succeed())
			Eventually(r.log).Should(ContainSubstring("handover failed, this process goes on"))
			Eventually(connected).Should(Equal(6), "they renew theirs with the old process")
			before := c.asked.Load()
			Eventually(c.asked.Load).Should(BeNumerically(">", before+100))

			frozen.Signal(syscall.SIGCONT)
			Eventually(s.serves).WithArguments("frozen").Should(BeTrue())
			r.handOver(r.signal)
			for _, id := range []string{"e0", "e1", "frozen"} {
				Eventually(s.serves).WithArguments(id).Should(BeTrue())
			}
		})
		c.settled()
	})

	It("keeps its socket in the file system when the next process ends that had taken it", func() {
		path := filepath.Join(GinkgoT().TempDir(), "s.sock")
		s := &stack{http: address(), admin: address(), listen: "unix://" + path}
		r := startRelay(s, func(args []string) *exec.Cmd { return exec.Command(binary("stella-gateway"), args...) })
		frozen := start("echo", []string{"STELLA_GATEWAYS=" + s.listen, "STELLA_INSTANCE_ID=frozen"}, binary("echo"))
		Eventually(s.serves).WithArguments("frozen").Should(BeTrue())
		frozen.Signal(syscall.SIGSTOP) // so that the next process waits
		r.signal()
		Eventually(r.log).Should(ContainSubstring("handover: waiting for services"))
		_, after, _ := strings.Cut(r.log(), "that is to take this one's place\" pid=")
		var next int
		_, err := fmt.Sscan(after, &next)
		Expect(err).NotTo(HaveOccurred())
		Expect(syscall.Kill(next, syscall.SIGTERM)).To(Succeed()) // it closes what it listens on
		Eventually(r.log).Should(ContainSubstring("handover failed, this process goes on"))
		Expect(path).To(BeAnExistingFile())
		frozen.Signal(syscall.SIGCONT)
		start("echo", []string{"STELLA_GATEWAYS=" + s.listen, "STELLA_INSTANCE_ID=late"}, binary("echo"))
		for _, id := range []string{"frozen", "late"} {
			Eventually(s.serves).WithArguments(id).Should(BeTrue())
		}
		r.handOver(r.signal)
		Expect(path).To(BeAnExistingFile())
		r.end()
		Expect(path).NotTo(BeAnExistingFile(), "the last process has bound it, by way of the others")
	})

	It("waits ten seconds for a service that does not come, and then serves without it", func() {
		s := &stack{listen: "tcp://" + address()}
		f := startFleetBy(form{gateway: relayProcess}, s)
		r, ok := s.gateway.(*relay)
		Expect(ok).To(BeTrue())
		f.instance("lively")
		frozen := start("echo", []string{"STELLA_GATEWAYS=" + s.listen, "STELLA_INSTANCE_ID=frozen"}, binary("echo"))
		Eventually(s.serves).WithArguments("frozen").Should(BeTrue())
		began := time.Now()
		frozen.Signal(syscall.SIGSTOP)
		r.signal()
		Eventually(r.log).Should(ContainSubstring("handover: waiting for services"))
		Expect(s.status("/items/1")).To(Equal(http.StatusOK), "the old process serves")
		_, err := fmt.Sscanf(r.hears("MAINPID="), "MAINPID=%d", &r.pid)
		Expect(err).NotTo(HaveOccurred())
		Expect(time.Since(began)).To(BeNumerically(">=", 10*time.Second))
		Expect(r.log()).To(ContainSubstring(`services have not come in time, requests are accepted now" missing=1 such_as="[{Service:echo Version:1.0.0 ID:frozen}]"`))
		Expect(s.status("/items/1")).To(Equal(http.StatusOK))
		frozen.Signal(syscall.SIGCONT)
		Eventually(s.serves).WithArguments("frozen").Should(BeTrue())
		Expect(call(http.MethodPost, s.url("/echo"), "x").body).To(Equal("x"))
	})
})

var _ = Describe("a gateway under socket activation", func() {
	It("listens on the sockets that it was given, serves who had come before it, and hands them over", func() {
		dir := GinkgoT().TempDir()
		s := &stack{http: address(), admin: address(), listen: "unix://" + filepath.Join(dir, "s.sock")}
		var files []*os.File
		give := func(ln interface {
			File() (*os.File, error)
			Close() error
		}, err error) {
			Expect(err).NotTo(HaveOccurred())
			file, err := ln.File()
			Expect(err).NotTo(HaveOccurred())
			files = append(files, file)
			DeferCleanup(file.Close)
			DeferCleanup(func() { _ = ln.Close() })
		}
		for _, addr := range []string{s.http, s.admin, address()} { // the last one is nobody's
			at, err := net.ResolveTCPAddr("tcp", addr)
			Expect(err).NotTo(HaveOccurred())
			give(net.ListenTCP("tcp", at))
		}
		give(net.ListenUnix("unix", &net.UnixAddr{Name: strings.TrimPrefix(s.listen, "unix://"), Net: "unix"}))
		k := &keeper{addr: s.http}
		early := make(chan error, 1)
		go func() { early <- k.ask("early") }()
		echo := start("echo", []string{"STELLA_GATEWAYS=" + s.listen}, binary("echo"))
		Consistently(early).WithTimeout(100 * time.Millisecond).ShouldNot(Receive())

		r := startRelay(s, func(args []string) *exec.Cmd {
			cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary("stella-gateway")}, args...)...)
			cmd.Env, cmd.ExtraFiles = []string{"LISTEN_FDS=" + strconv.Itoa(len(files)), "LISTEN_FDNAMES=http:admin:other:services"}, files
			return cmd
		})
		Expect(r.log()).To(ContainSubstring("a socket of an address that the configuration does not have"))
		Eventually(early).Should(Receive()) // whatever was said: the service may have come later
		Eventually(func() error { return (&keeper{addr: s.http, fresh: true}).ask("x") }).Should(Succeed())
		r.handOver(r.signal)
		Expect((&keeper{addr: s.http, fresh: true}).ask("y")).To(Succeed())
		Expect(strings.TrimPrefix(s.listen, "unix://")).To(BeAnExistingFile())
		echo.end()
		r.end()
		Expect(strings.TrimPrefix(s.listen, "unix://")).To(BeAnExistingFile(), "it is the service manager's")
	})
})
