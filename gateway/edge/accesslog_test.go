package edge_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("the access log", func() {
	It("has a line of level info for each request that is over, and none unless it is asked for", func() {
		lines, file := gbytes.NewBuffer(), filepath.Join(GinkgoT().TempDir(), "token")
		r := start(func(c *gateway.Config) {
			c.Logger = slog.New(slog.NewJSONHandler(lines, nil))
			c.Dev = &gateway.Dev{TokenFile: file}
		})
		key, err := auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		token, err := key.Token([]spec.Claim{{Type: "scope", Value: "read"}}, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		r.join(identity{service: "shop", version: "1.2.0", id: "one"}, echo, endpoint("POST", "/books/{id}", claims("scope=read")))
		ask := func() answer {
			return r.do("POST", "/books/7?secret=1", "hello", "Authorization", "Bearer "+token, "X-Request-Id", "mine")
		}
		logged := func() (found []map[string]any) {
			for line := range strings.Lines(string(lines.Contents())) {
				var m map[string]any
				Expect(json.Unmarshal([]byte(line), &m)).To(Succeed(), line)
				if m["msg"] == "request" {
					found = append(found, m)
				}
			}
			return found
		}
		Expect(ask().StatusCode).To(Equal(200))
		Expect(r.g.Apply(gateway.Config{Policy: edge.Policy{AccessLog: true}})).To(Succeed())
		got := ask()
		Expect(got.StatusCode).To(Equal(200))
		Eventually(logged).WithTimeout(patience).Should(HaveLen(1))
		line := logged()[0]
		Expect(line).To(HaveKeyWithValue("milliseconds", BeNumerically(">", 0)))
		Expect(line).To(HaveKeyWithValue("peer", HavePrefix("127.0.0.1:")))
		for _, varies := range []string{"time", "milliseconds", "peer"} {
			delete(line, varies)
		}
		Expect(line).To(Equal(map[string]any{
			"level": "INFO", "msg": "request", "method": "POST", "path": "/books/7", "protocol": "HTTP/1.1", "status": 200.0, "outcome": "ok",
			"received": 5.0, "bytes": float64(len(got.body)), "requestId": got.Header.Get("X-Request-Id"), "clientRequestId": "mine",
			"service": "shop", "version": "1.2.0", "endpoint": "POST /books/{id}", "instance": "one", "subject": "developer",
		}), "and nothing of the query, which may have secrets")

		Expect(r.do("POST", "/books/7", "x").StatusCode).To(Equal(401))
		Eventually(logged).WithTimeout(patience).Should(HaveLen(2))
		Expect(logged()[1]).To(And(HaveKeyWithValue("outcome", "unauthenticated"), HaveKeyWithValue("code", "unauthenticated"), Not(HaveKey("subject"))))
		Expect(r.do("GET", "/nothing", "").StatusCode).To(Equal(404))
		Eventually(logged).WithTimeout(patience).Should(HaveLen(3))
		Expect(logged()[2]).To(And(HaveKeyWithValue("outcome", "not_found"), Not(HaveKey("endpoint"))))

		Expect(r.g.Apply(gateway.Config{})).To(Succeed())
		Expect(ask().StatusCode).To(Equal(200))
		Consistently(logged).WithTimeout(50 * time.Millisecond).Should(HaveLen(3))
	})
})
