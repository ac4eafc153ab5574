//go:build !nobrokers

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/transports/brokertest"
)

var _ = Describe("docs/queues.md", Label("docs"), func() {
	It("has commands that do what it says, with a report of no month as the dead job", func(ctx SpecContext) {
		var lines []string
		for _, b := range blocks("../docs/queues.md") {
			if b.language == "sh" {
				lines = append(lines, strings.Split(strings.TrimSpace(b.text), "\n")...)
			}
		}
		Expect(lines).To(HaveLen(9))
		Expect(lines[:2]).To(Equal([]string{ // they are started below, at addresses of their own
			"STELLA_QUEUE=valkey://127.0.0.1:6379 stella-gateway run", "STELLA_QUEUE=valkey://127.0.0.1:6379 STELLA_JOBS=16 billing",
		}))
		lines = lines[2:]
		dir := GinkgoT().TempDir()
		url := "valkey://" + brokertest.DurableValkey(GinkgoT()).Addr
		s := &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address(), rest: map[program]held{}}
		s.settings.queue = url
		s.settings.dev = &gateway.Dev{TokenFile: filepath.Join(dir, "token"), KeyFile: filepath.Join(dir, "key")}
		s.startGateway()
		start("billing", []string{
			"STELLA_GATEWAYS=" + s.listen, "STELLA_INSTANCE_ID=clerk", "STELLA_QUEUE=" + url, "STELLA_JOBS=16", "BILLING_DATA=" + dir,
		}, binary("billing"))
		Eventually(s.serves).WithArguments("clerk").Should(BeTrue())
		d := &depot{stack: s, broker: queueBroker{url: url}}
		token := func() string {
			text, err := os.ReadFile(s.settings.dev.TokenFile)
			Expect(err).NotTo(HaveOccurred())
			return "Bearer " + strings.TrimSpace(string(text))
		}
		var id string
		Eventually(func() int { // the token has the claims that endpoints ask for a moment after they are known
			a := call(http.MethodPost, s.url("/reports"), `{"month":"nonsense"}`, header("Authorization", token()), header("Content-Type", "application/json"))
			id = strings.TrimPrefix(a.Header.Get("Location"), "/_stella/jobs/")
			return a.StatusCode
		}).Should(Equal(http.StatusAccepted))
		dead := func() {
			GinkgoHelper()
			Eventually(func() string {
				return call(http.MethodGet, s.url("/_stella/jobs/"+id), "", header("Authorization", token())).body
			}).Should(ContainSubstring(`"state":"dead"`))
		}
		Expect(call(http.MethodGet, s.url("/_stella/jobs/"+id), "").StatusCode).To(Equal(http.StatusNotFound), "it is somebody else's")

		env := append(os.Environ(), "PATH="+filepath.Dir(binary("stella-gateway"))+":"+os.Getenv("PATH"))
		for _, line := range lines {
			line = strings.NewReplacer("valkey://127.0.0.1:6379", url, "01975bd9-9a00-7abc-8def-0123456789ab", id).Replace(line)
			if set, ok := strings.CutPrefix(line, "export "); ok {
				env = append(env, set)
				continue
			}
			dead()
			cmd := exec.CommandContext(ctx, "sh", "-c", line)
			cmd.Env, cmd.Dir = env, dir
			out, err := cmd.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), "%s\n%s", line, out)
			want := map[string]string{"ls": "billing POST /reports", "peek": id, "export": "", "requeue": id, "purge": "1 jobs"}[strings.Fields(line)[2]]
			Expect(string(out)).To(ContainSubstring(want), "%s", line)
		}
		text, err := os.ReadFile(filepath.Join(dir, "dead.ndjson"))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(And(ContainSubstring(id), ContainSubstring(`"owner":"/developer"`)))
		Expect(d.dlq("peek", "billing POST /reports")).NotTo(ContainSubstring(id))
	})
})
