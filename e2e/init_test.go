package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

var _ = Describe("stellagen init", func() {
	var (
		dir string   // the new module
		env []string // of everything that compiles there, without the network
	)

	run := func(ctx SpecContext, in, command string, args ...string) string {
		GinkgoHelper()
		cmd := exec.CommandContext(ctx, command, args...)
		cmd.Dir, cmd.Env = in, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s %q\n%s", command, args, out)
		return string(out)
	}

	BeforeEach(func(ctx SpecContext) {
		env = []string{"GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "CGO_ENABLED=0"}
		root, err := filepath.Abs("..")
		Expect(err).NotTo(HaveOccurred())
		args := []string{"init", "hello"}
		if !strings.HasPrefix(binary("stellagen"), root) { // it lies in no clone
			args = append(args, "--router", root)
		}
		empty := GinkgoT().TempDir()
		run(ctx, empty, binary("stellagen"), args...)
		dir = filepath.Join(empty, "hello")
	}, NodeTimeout(time.Minute))

	It("is what the tutorial tells of", func() {
		text, err := os.ReadFile("../docs/tutorial.md")
		Expect(err).NotTo(HaveOccurred())
		for _, command := range []string{ // the specs below run these
			"stellagen init hello", "go test ./...", "stellagen dev --gateway", `stellagen new POST "/notes/{id}" --public "a test"`,
			"/hello/Ada", `/notes/7 --json '{"text":"remember"}'`,
		} {
			Expect(string(text)).To(ContainSubstring(command))
		}
	})

	It("makes a service that runs at once, whose test passes, and to which endpoints can be added", func(ctx SpecContext) {
		Expect(run(ctx, dir, "go", "test", "./...")).To(ContainSubstring("ok  \thello/api"))
		Expect(run(ctx, dir, binary("stellagen"), "new", "POST", "/notes/{id}", "--public", "a test")).To(ContainSubstring("wrote api/post_notes_by_id_endpoint.go"))
		run(ctx, dir, "go", "vet", "./...")
		run(ctx, dir, binary("stellagen"), "check")

		s := &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address()}
		s.startGateway()
		service := exec.Command("go", "run", ".")
		service.Dir, service.Env = dir, append(append(os.Environ(), env...), "STELLA_GATEWAYS="+s.listen)
		service.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		log := gexec.NewPrefixedWriter("[hello] ", GinkgoWriter)
		running, err := gexec.Start(service, log, log)
		Expect(err).NotTo(HaveOccurred())
		signal := func(sig syscall.Signal) { _ = syscall.Kill(-service.Process.Pid, sig) }
		DeferCleanup(func() { signal(syscall.SIGKILL) })
		Eventually(get(s.url("/hello/Ada"))).WithTimeout(time.Minute).Should(Equal(`{"text":"Hello, Ada!"}`))
		Expect(call(http.MethodPost, s.url("/notes/7"), `{"text":"remember"}`).body).To(Equal(`{"text":"remember"}`))
		signal(syscall.SIGINT) // as a terminal does, to both
		Eventually(running).WithTimeout(time.Minute).Should(gexec.Exit())
		s.gateway.end()
	}, NodeTimeout(3*time.Minute))

	It("makes a service that stellagen dev runs, and builds again at every change", func(SpecContext) {
		front, operators, listen := address(), address(), "tcp://"+address()
		dev := start("dev", env, "/bin/sh", "-c", "cd '"+dir+"' && exec "+strings.Join([]string{ // start's folder is another one
			binary("stellagen"), "dev", "--gateway", binary("stella-gateway"), "--http", front, "--listen", listen, "--admin", operators,
		}, " "))
		hello := get("http://" + front + "/hello/Ada")
		Eventually(hello).WithTimeout(time.Minute).Should(Equal(`{"text":"Hello, Ada!"}`))

		edit := func(old, text string) {
			GinkgoHelper()
			file := filepath.Join(dir, "api", "api.go")
			source, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(source)).To(ContainSubstring(old))
			Expect(os.WriteFile(file, []byte(strings.ReplaceAll(string(source), old, text)), 0o600)).To(Succeed())
		}
		edit("Hello, ", "Welcome, ") // the code alone
		Eventually(hello).WithTimeout(time.Minute).Should(Equal(`{"text":"Welcome, Ada!"}`))
		edit("GET /hello/{name}", "GET /greet/{name}") // what is generated, too
		Eventually(get("http://" + front + "/greet/Ada")).WithTimeout(time.Minute).Should(Equal(`{"text":"Welcome, Ada!"}`))
		edit("GET /greet/{name}", "GETT /greet/{name}") // nothing that could run: what runs goes on
		Consistently(get("http://" + front + "/greet/Ada")).WithTimeout(time.Second).Should(Equal(`{"text":"Welcome, Ada!"}`))
		dev.Signal(syscall.SIGINT)
		Eventually(dev).WithTimeout(time.Minute).Should(gexec.Exit(0))
		Expect(free(front)).To(BeTrue(), "the gateway has ended, too")
	}, NodeTimeout(3*time.Minute))
})

// get asks for a page, again at every call; errors are told in its place.
func get(url string) func() string {
	return func() string {
		a, err := try(http.MethodGet, url, nil)
		if err != nil {
			return err.Error()
		}
		return a.body
	}
}

// free reports whether nobody listens at an address.
func free(address string) bool {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
