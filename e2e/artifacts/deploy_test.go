package artifacts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the files of examples/deploy", func() {
	const folder = "../../examples/deploy"
	const secret = "STELLA_TOKEN=0123456789abcdef0123"
	var gateway string
	BeforeEach(func() { gateway = filepath.Join(binaries(GinkgoT().TempDir()), "stella-gateway") })

	It("have a configuration that the gateway takes, once services have a token", func() {
		check := exec.Command(gateway, "check", filepath.Join(folder, "gateway.yaml"))
		out, err := check.CombinedOutput()
		Expect(err).To(HaveOccurred())
		Expect(string(out)).To(ContainSubstring("give services tokens"))
		check = exec.Command(gateway, "check", filepath.Join(folder, "gateway.yaml"))
		check.Env = append(os.Environ(), secret)
		out, err = check.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
	})

	It("have units that systemd takes", func() {
		text, err := os.ReadFile(filepath.Join(folder, "stella-gateway.service"))
		Expect(err).NotTo(HaveOccurred())
		absolute, err := filepath.Abs(gateway)
		Expect(err).NotTo(HaveOccurred())
		unit := strings.ReplaceAll(string(text), "/usr/local/bin/stella-gateway", absolute)
		Expect(unit).NotTo(Equal(string(text)))
		file := filepath.Join(GinkgoT().TempDir(), "stella-gateway.service")
		Expect(os.WriteFile(file, []byte(unit), 0o600)).To(Succeed())
		sockets, err := os.ReadFile(filepath.Join(folder, "stella-gateway.socket"))
		Expect(err).NotTo(HaveOccurred())
		socket := strings.TrimSuffix(file, "service") + "socket"
		Expect(os.WriteFile(socket, sockets, 0o600)).To(Succeed())
		text, err = os.ReadFile(filepath.Join(folder, "billing.service"))
		Expect(err).NotTo(HaveOccurred())
		service := filepath.Join(filepath.Dir(file), "billing.service")
		Expect(os.WriteFile(service, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/billing", absolute)), 0o600)).To(Succeed())
		out, err := exec.Command("systemd-analyze", "verify", file, socket, service).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).NotTo(Or(ContainSubstring("stella-gateway."), ContainSubstring("billing.")), "a warning")
	})

	// load reads Compose files, the later ones above the first, and expects of what is built here that it has what it needs.
	load := func(files []string, env ...string) (*types.Project, error) {
		GinkgoHelper()
		for i, f := range files {
			files[i] = filepath.Join(folder, f)
		}
		options, err := cli.NewProjectOptions(files, cli.WithEnv(env))
		Expect(err).NotTo(HaveOccurred())
		project, err := options.LoadProject(context.Background())
		if err != nil {
			return nil, err
		}
		for _, s := range project.Services {
			if s.Build != nil {
				Expect(s.ReadOnly).To(BeTrue())
				Expect(s.CapDrop).To(ConsistOf("ALL"))
				Expect(filepath.Join(s.Build.Context, s.Build.Dockerfile)).To(BeARegularFile())
				for _, v := range s.Volumes {
					Expect(v.Source).To(BeAnExistingFile())
				}
			}
		}
		Expect(*project.Services["billing"].Environment["STELLA_TOKEN"]).To(HaveLen(20))
		return project, nil
	}

	It("have a Compose file that Compose takes, whose parts have what they need", func() {
		_, err := load([]string{"compose.yaml"})
		Expect(err).To(MatchError(ContainSubstring("a secret of at least 16 characters")))
		project, err := load([]string{"compose.yaml"}, secret)
		Expect(err).NotTo(HaveOccurred())
		Expect(project.ServiceNames()).To(ConsistOf("gateway", "billing"))
		Expect(project.Services["gateway"].HealthCheck.Test).To(BeEquivalentTo([]string{"CMD", "/stella-gateway", "ctl", "check", "ready"}),
			"health would have a rogue's instance in quarantine start the gateway anew")
	})

	DescribeTable("have a Compose file by way of a broker, which gateway and service share, and no other network", func(file string) {
		_, err := load([]string{"compose.yaml", file}, secret)
		Expect(err).To(MatchError(ContainSubstring("a secret of letters and digits")))
		project, err := load([]string{"compose.yaml", file}, secret, "BROKER_PASSWORD=0123456789abcdef")
		Expect(err).NotTo(HaveOccurred())
		Expect(project.ServiceNames()).To(ConsistOf("gateway", "billing", "broker"))
		Expect(project.Services["billing"].Networks).To(And(HaveLen(1), HaveKey("broker")))
		Expect(project.Services["gateway"].Networks).To(HaveKey("broker"))
		listen, dial := *project.Services["gateway"].Environment["STELLA_LISTEN"], *project.Services["billing"].Environment["STELLA_GATEWAYS"]
		Expect(listen).To(Equal(dial))
		check := exec.Command(gateway, "check", filepath.Join(folder, "gateway.yaml"))
		check.Env = append(os.Environ(), secret, "STELLA_LISTEN="+listen)
		out, err := check.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
	},
		Entry("RabbitMQ", "compose.rabbitmq.yaml"),
		Entry("Valkey", "compose.valkey.yaml"),
	)
})
