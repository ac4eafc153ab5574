package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tutorial is what the page has the reader type. The first two blocks are what the specs of stellagen init do.
const tutorial = `(cd ~/router && make build)
~/router/bin/stellagen init hello && cd hello
go test ./...
go tool stellagen dev --gateway ~/router/bin/stella-gateway
curl http://127.0.0.1:8080/hello/Ada
go tool stellagen new POST "/notes/{id}" --public "a test"
curl http://127.0.0.1:8080/notes/7 --json '{"text":"remember"}'
mkdir hello && cd hello
go mod init example.com/hello
go mod edit -require github.com/stella-ops/router@v0.0.0 \
    -replace github.com/stella-ops/router=$HOME/router \
    -tool github.com/stella-ops/router/generator/cmd/stellagen
go mod tidy
go tool stellagen generate ./...
(cd ~/router && make build)
~/router/bin/stella-gateway run &
go mod tidy && go run ./cmd/hello &
curl http://127.0.0.1:8080/hello/Ada
curl http://127.0.0.1:8080/hello/Ada/greetings
curl -H "Accept: text/event-stream" http://127.0.0.1:8080/hello/Ada/greetings
curl http://127.0.0.1:5190/v1/services
curl http://127.0.0.1:5190/v1/endpoints
go tool stellagen check ./...
`

// The Go blocks of the tutorial are its two files. The module's requirements are found in the clone and in the module
// cache, because a test must not need the network.
var _ = Describe("docs/tutorial.md", Label("docs"), func() {
	It("leads from an empty folder to an answer", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		var files []string
		typed := ""
		for _, b := range blocks("../docs/tutorial.md") {
			switch b.language {
			case "go":
				files = append(files, b.text)
			case "sh":
				typed += b.text
			}
		}
		Expect(typed).To(Equal(tutorial), "what is run here, and by the specs of stellagen init, has to be what the page says")
		Expect(files).To(HaveLen(2))
		Expect(os.MkdirAll(filepath.Join(dir, "cmd", "hello"), 0o750)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "hello.go"), []byte(files[0]), 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "cmd", "hello", "main.go"), []byte(files[1]), 0o600)).To(Succeed())
		sums, err := os.ReadFile("../go.sum")
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600)).To(Succeed())
		root, err := filepath.Abs("..")
		Expect(err).NotTo(HaveOccurred())

		run := func(command string, args ...string) {
			GinkgoHelper()
			cmd := exec.CommandContext(ctx, command, args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0")
			out, err := cmd.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), "%s %q\n%s", command, args, out)
		}
		run("go", "mod", "init", "example.com/hello")
		run("go", "mod", "edit", "-require", module+"@v0.0.0", "-replace", module+"="+root, "-tool", module+"/generator/cmd/stellagen")
		run(binary("stellagen"), "generate", "./...")
		run(binary("stellagen"), "check", "./...")
		run("go", "build", "-trimpath", "-o", "service", "./cmd/hello")

		s := &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address()}
		s.startGateway()
		hello := start("hello", []string{"STELLA_GATEWAYS=" + s.listen}, filepath.Join(dir, "service"))
		Eventually(func() string {
			a, err := try(http.MethodGet, s.url("/hello/Ada"), nil)
			if err != nil {
				return err.Error()
			}
			return a.body
		}).Should(MatchJSON(`{"text":"Hello, Ada!"}`))
		a := call(http.MethodGet, s.url("/hello/Ada/greetings"), "")
		Expect(a.body).To(Equal("{\"text\":\"Hello, Ada!\"}\n{\"text\":\"Hello again, Ada!\"}\n{\"text\":\"Goodbye, Ada!\"}\n"))
		a = call(http.MethodGet, s.url("/hello/Ada/greetings"), "", header("Accept", events))
		Expect(a.body).To(HavePrefix("data: {\"text\":\"Hello, Ada!\"}\n\ndata: "))
		hello.end()
		s.gateway.end()
	}, NodeTimeout(2*time.Minute))
})
