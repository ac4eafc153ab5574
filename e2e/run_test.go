package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

// running is `make run`, on private addresses.
type running struct {
	*process

	http, admin, dir string
}

// makeRun starts `make run` as a shell with job control would: in a process group of its own.
func makeRun() *running {
	GinkgoHelper()
	r := &running{http: address(), admin: address(), dir: filepath.Join(GinkgoT().TempDir(), "run")}
	cmd := exec.Command("make", "--no-print-directory", "run")
	cmd.Dir = ".."
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "STELLA_") && !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "STELLA_HTTP="+r.http, "STELLA_LISTEN=tcp://"+address(), "STELLA_ADMIN="+r.admin, "STELLA_RUN="+r.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := gexec.NewPrefixedWriter("[make run] ", GinkgoWriter)
	session, err := gexec.Start(cmd, log, log)
	Expect(err).NotTo(HaveOccurred())
	r.process = &process{Session: session, name: "make run"}
	DeferCleanup(func() {
		if r.ExitCode() < 0 {
			r.interrupt()
		}
		Eventually(r).Should(gexec.Exit())
	})
	return r
}

// ready waits for what it prints when everything is up, and returns that.
func (r *running) ready() string {
	GinkgoHelper()
	Eventually(func() string {
		if r.ExitCode() >= 0 {
			StopTrying(fmt.Sprintf("make run ended with %d: %s", r.ExitCode(), r.Err.Contents())).Now()
		}
		return string(r.Out.Contents())
	}).Within(2 * time.Minute).Should(ContainSubstring("Ctrl-C ends both"))
	return string(r.Out.Contents())
}

// interrupt is Ctrl-C: SIGINT for the whole group.
func (r *running) interrupt() {
	GinkgoHelper()
	Expect(syscall.Kill(-r.Command.Process.Pid, syscall.SIGINT)).To(Succeed())
}

// follow starts a command line that goes on for as long as it is served, such as an event stream. What it prints is
// kept.
func follow(line string) *gexec.Session {
	GinkgoHelper()
	cmd := exec.Command("bash", "-c", "exec "+line)
	cmd.Dir = ".."
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		session.Kill()
		Eventually(session).Should(gexec.Exit())
	})
	return session
}

// follows reports whether a command line goes on for as long as it is served: it tells curl not to buffer.
func follows(line string) bool { return strings.HasPrefix(line, "curl -sSN ") }

// printed is what a command has printed so far.
func printed(s *gexec.Session) func() string {
	return func() string { return strings.ReplaceAll(string(s.Out.Contents()), "\r", "") }
}

// endsWell expects Ctrl-C to end both processes within 5 s, each with exit 0.
func (r *running) endsWell() {
	GinkgoHelper()
	begin := time.Now()
	r.interrupt()
	Eventually(r).Within(5 * time.Second).Should(gexec.Exit())
	Expect(time.Since(begin)).To(BeNumerically("<", 5*time.Second))
	Expect(r.Out.Contents()).To(ContainSubstring("gateway ended with exit 0"))
	Expect(r.Out.Contents()).To(ContainSubstring("billing ended with exit 0"))
}

// shell runs one command line in the repository, as a person would, and returns what it printed.
func shell(line string) string {
	GinkgoHelper()
	cmd := exec.Command("bash", "-c", "set -o pipefail; "+line)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s\n%s", line, out)
	return strings.ReplaceAll(string(out), "\r", "")
}

// watchless is how soon everything ends when nothing is open but an event stream, which ends with its service: well
// before the grace of 3 s.
const watchless = 2 * time.Second

var _ = Describe("make run", Label("curl"), func() {
	It("serves what it prints, and ends both processes with 0 within 5 s of Ctrl-C", func() {
		r := makeRun()
		said := r.ready()
		Expect(said).To(ContainSubstring("http://" + r.http))

		// Each command has a comment above it that says what it gives.
		gives := map[string]string{
			"create an invoice: 201":                               `(?s)^HTTP/1\.1 201 .*\nLocation: /invoices/inv-.*"totalCents": ?2500`,
			"read one":                                             `"customer": ?"ada"`,
			"list one customer's, a page of two":                   `(?s)"invoices": ?\[.*"customer": ?"ada"`,
			"upload ten megabytes, streamed":                       `"size": ?10000000`,
			"download and count them":                              `^\s*10000000\s*$`,
			"totals, from the service's second package":            `"currency": ?"EUR"`,
			"a net/http handler as it was, and no token needed":    `(?s)^Invoices: \d+\nAttachments: 1\n$`,
			"everything that is wrong with an input, at once: 400": `(?s)^HTTP/1\.1 400 .*"/customer".*"/currencyy"|^HTTP/1\.1 400 .*"/currencyy".*"/customer"`,
			"no token: 401":                                        `^HTTP/1\.1 401 `,
		}
		commands := regexp.MustCompile(`(?m)^  # (.+)\n  (.+)$`).FindAllStringSubmatch(said, -1)
		Expect(len(commands)).To(BeNumerically(">=", 4))
		var watch *gexec.Session
		for _, c := range commands {
			if follows(c[2]) {
				watch = follow(c[2])
				Eventually(printed(watch)).Should(MatchRegexp(`^data: \{"type":"created".*\}\n\n$`))
				continue
			}
			Expect(gives).To(HaveKey(c[1]), "no expectation of the command for %q", c[1])
			Expect(shell(c[2])).To(MatchRegexp(gives[c[1]]), "%s: %s", c[1], c[2])
		}

		Expect(watch).NotTo(BeNil(), "no command follows events")
		Eventually(printed(watch)).Should(MatchRegexp(`\n\ndata: \{"type":"attached".*"name":"noise".*\}\n\n$`))
		Expect(watch).NotTo(gexec.Exit())

		begin := time.Now()
		r.endsWell()
		Expect(time.Since(begin)).To(BeNumerically("<", watchless), "the watch kept them")
		Eventually(watch).Should(gexec.Exit(0), "the event stream was broken off")
	})

	It("ends within 5 s of Ctrl-C although a call is open", func() {
		r := makeRun()
		r.ready()
		conn, _ := raw(r.http, "PUT /invoices/"+strings.TrimSpace(r.file("invoice"))+"/attachments/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+
			strings.TrimSpace(r.file("token"))+"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		r.endsWell()
		_ = conn.Close()
	})

	It("says which process died, and ends the other", func() {
		r := makeRun()
		r.ready()
		pid, err := strconv.Atoi(strings.TrimSpace(r.file("billing.pid")))
		Expect(err).NotTo(HaveOccurred())
		Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed())
		Eventually(r).Within(5 * time.Second).Should(gexec.Exit())
		Expect(r.ExitCode()).NotTo(Equal(0))
		Expect(r.Err.Contents()).To(ContainSubstring("billing ended by itself with exit 137"))
		Expect(r.Out.Contents()).To(ContainSubstring("gateway ended with exit 0"))
	})

	It("says so when an address is taken, and starts nothing", func() {
		first := makeRun()
		first.ready()
		cmd := exec.Command("scripts/run.sh")
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "STELLA_HTTP="+first.http, "STELLA_LISTEN=tcp://"+address(), "STELLA_ADMIN="+address(), "STELLA_RUN="+first.dir+"2")
		out, err := cmd.CombinedOutput()
		Expect(err).To(HaveOccurred())
		Expect(string(out)).To(ContainSubstring(first.http + " is taken"))
		Expect(first.dir + "2").NotTo(BeADirectory())
	})
})

// file is the text of a file that `make run` left in its folder.
func (r *running) file(name string) string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
