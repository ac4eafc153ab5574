package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// machine is a PATH with nothing in it but what a spec puts there.
type machine string

// has puts a command there.
func (m machine) has(name, script string) {
	GinkgoHelper()
	Expect(os.WriteFile(filepath.Join(string(m), name), []byte("#!/bin/sh\n"+script+"\n"), 0o755)).To(Succeed())
}

// install runs scripts/install-test-deps.sh there, and returns its exit code, what it said, and the calls of apt-get.
func (m machine) install() (code int, said, calls string) {
	GinkgoHelper()
	shell, err := exec.LookPath("bash")
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.Command(shell, "scripts/install-test-deps.sh")
	cmd.Dir, cmd.Env = "..", []string{"PATH=" + string(m), "POLICY_RC_D=" + filepath.Join(string(m), "policy-rc.d"), "RABBITMQ_HOME=" + string(m)}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		Expect(err).NotTo(HaveOccurred())
	}
	text, err := os.ReadFile(filepath.Join(string(m), "calls"))
	if !errors.Is(err, os.ErrNotExist) {
		Expect(err).NotTo(HaveOccurred())
	}
	return code, string(out), string(text)
}

var _ = Describe("make test on a machine", func() {
	const (
		compiles = `while read -r line; do :; done`
		fails    = `exit 1`
		root     = `echo 0`
		somebody = `echo 1000`
	)

	var m machine

	// apt puts an apt-get there that notes how it is called, and installs a gcc with this script, a curl and brokers.
	apt := func(gcc string) {
		dir := string(m)
		m.has("apt-get", `echo "$@" >>`+dir+`/calls
case "$*" in
*gcc*) printf '#!/bin/sh\n`+gcc+`\n' >`+dir+`/gcc; /bin/chmod +x `+dir+`/gcc;;
esac
case "$*" in
*curl*) printf '#!/bin/sh\n' >`+dir+`/curl; /bin/chmod +x `+dir+`/curl;;
esac
case "$*" in
*redis-server*) printf '#!/bin/sh\n' >`+dir+`/redis-server; /bin/chmod +x `+dir+`/redis-server;;
esac
case "$*" in
*rabbitmq-server*) printf '#!/bin/sh\n' >`+dir+`/rabbitmq-server; /bin/chmod +x `+dir+`/rabbitmq-server;;
esac
for tool in node npm; do
	case "$*" in
	*$tool*) printf '#!/bin/sh\n' >`+dir+`/$tool; /bin/chmod +x `+dir+`/$tool;;
	esac
done
case "$*" in
*prometheus*) printf '#!/bin/sh\n' >`+dir+`/promtool; /bin/chmod +x `+dir+`/promtool;;
esac
case "$*" in
*systemd*) printf '#!/bin/sh\n' >`+dir+`/systemd-analyze; /bin/chmod +x `+dir+`/systemd-analyze;;
esac`)
	}

	BeforeEach(func() {
		m = machine(GinkgoT().TempDir())
		m.has("id", root)
		apt(compiles)
	})

	It("that has gcc, curl, brokers, Node.js, promtool and systemd-analyze installs nothing", func() {
		m.has("gcc", compiles)
		m.has("curl", "")
		m.has("valkey-server", "")
		m.has("rabbitmq-server", "")
		m.has("node", "")
		m.has("npm", "")
		m.has("promtool", "")
		m.has("systemd-analyze", "")
		code, said, calls := m.install()
		Expect(code).To(BeZero(), said)
		Expect(said + calls).To(BeEmpty())
	})

	// lacking is a machine that has everything but some commands.
	lacking := func(names ...string) map[string]string {
		all := map[string]string{"gcc": compiles, "curl": "", "redis-server": "", "rabbitmq-server": "", "node": "", "npm": "", "promtool": "", "systemd-analyze": ""}
		for _, name := range names {
			delete(all, name)
		}
		return all
	}
	has := func(on map[string]string, name, script string) map[string]string {
		on[name] = script
		return on
	}

	DescribeTable("that lacks something installs it as root, and nothing else",
		func(commands map[string]string, packages string) {
			for name, script := range commands {
				m.has(name, script)
			}
			code, said, calls := m.install()
			Expect(code).To(BeZero(), said)
			Expect(said).To(ContainSubstring("installing " + packages))
			lines := strings.Split(strings.TrimSpace(calls), "\n")
			Expect(lines).To(HaveLen(2))
			Expect(lines[0]).To(HavePrefix("update"))
			Expect(lines[1]).To(And(HavePrefix("install"), HaveSuffix("--no-install-recommends "+packages)))
			code, _, again := m.install()
			Expect(code).To(BeZero())
			Expect(again).To(Equal(calls), "it installs a second time")
		},
		Entry("everything", nil, "gcc libc6-dev curl redis-server rabbitmq-server nodejs npm prometheus systemd"),
		Entry("gcc", lacking("gcc"), "gcc libc6-dev"),
		Entry("curl", lacking("curl"), "curl"),
		Entry("a Redis", lacking("redis-server"), "redis-server"),
		Entry("a RabbitMQ", lacking("rabbitmq-server"), "rabbitmq-server"),
		Entry("Node.js", lacking("node", "npm"), "nodejs npm"),
		Entry("npm, which Debian has apart", lacking("npm"), "npm"),
		Entry("promtool, which Debian has with Prometheus", lacking("promtool"), "prometheus"),
		Entry("systemd-analyze, which Debian has with systemd", lacking("systemd-analyze"), "systemd"),
		Entry("what gcc needs to compile", has(lacking("gcc"), "gcc", fails), "gcc libc6-dev"),
	)

	DescribeTable("where it may not install fails, and says what is missing and what can be done",
		func(prepare func()) {
			prepare()
			code, said, calls := m.install()
			Expect(code).To(Equal(1))
			Expect(said).To(And(ContainSubstring("gcc libc6-dev curl"), ContainSubstring("make test-go")))
			Expect(calls).To(BeEmpty())
		},
		Entry("because it is not root", func() { m.has("id", somebody) }),
		Entry("because there is no apt-get", func() { Expect(os.Remove(filepath.Join(string(m), "apt-get"))).To(Succeed()) }),
	)

	It("whose gcc compiles nothing, even once it is installed, says so", func() {
		apt(fails)
		code, said, _ := m.install()
		Expect(code).To(Equal(1))
		Expect(said).To(ContainSubstring("compiles nothing"))
	})
})
