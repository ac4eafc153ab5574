package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// configured is a gateway with a configuration file, and the echo service behind it.
type configured struct {
	*process

	file, http, admin string
}

func startConfigured() *configured {
	GinkgoHelper()
	c := &configured{file: filepath.Join(GinkgoT().TempDir(), "gateway.yaml"), http: address(), admin: address()}
	listen := "tcp://" + address()
	c.write("")
	c.process = start("gateway", nil, binary("stella-gateway"), "run", "--config", c.file, "--http", c.http, "--listen", listen, "--admin", c.admin)
	start("echo", []string{"STELLA_GATEWAYS=" + listen}, binary("echo"))
	Eventually(func() int {
		a, err := try(http.MethodPost, "http://"+c.http+"/echo", strings.NewReader("x"))
		if err != nil {
			return 0
		}
		return a.StatusCode
	}).Should(Equal(200))
	return c
}

// write writes the file whole, by another name first.
func (c *configured) write(more string) {
	GinkgoHelper()
	next := c.file + ".next"
	Expect(os.WriteFile(next, []byte("shutdown: {grace: 20s}\n"+more), 0o600)).To(Succeed())
	Expect(os.Rename(next, c.file)).To(Succeed())
}

// reload has the file read, and reports whether it was taken.
func (c *configured) reload() bool {
	GinkgoHelper()
	a := call(http.MethodPost, "http://"+c.admin+"/v1/config/reload", "")
	Expect(a.StatusCode).To(BeElementOf(200, 422), a.body)
	return a.StatusCode == http.StatusOK
}

// origin is the site that the policy in force lets read answers.
func (c *configured) origin(asks string) string {
	GinkgoHelper()
	return call(http.MethodPost, "http://"+c.http+"/echo", "x", header("Origin", asks)).Header.Get("Access-Control-Allow-Origin")
}

var _ = Describe("a configuration that is reloaded", func() {
	It("1,000 times, 300 of them wrong, costs no request, keeps the last good one, and no memory", func() {
		c := startConfigured()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var asked, failed atomic.Int64
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				defer GinkgoRecover()
				for ctx.Err() == nil {
					a, err := try(http.MethodPost, "http://"+c.http+"/echo", strings.NewReader("x"))
					if err != nil || a.StatusCode != http.StatusOK || a.body != "x" {
						failed.Add(1)
					}
					asked.Add(1)
				}
			})
		}
		var before int64
		refused, site := 0, ""
		for i := range 1000 {
			switch i % 10 {
			case 3:
				c.write("no such key: 1\n")
			case 6:
				c.write("cors: [{origins: ['*'], credentials: true}]\n")
			case 9:
				c.write("log: {level: [\n")
			default:
				site = fmt.Sprintf("https://site%d.example", i)
				c.write(fmt.Sprintf("cors: [{origins: ['%s']}]\nlog: {level: %s}\n", site, [...]string{"info", "warn"}[i%2]))
			}
			if !c.reload() {
				refused++
			}
			if i%10 == 9 {
				Expect(c.origin(site)).To(Equal(site), "what was good last")
			}
			if i == 100 {
				before = c.memory()
			}
		}
		grown := c.memory() - before
		cancel()
		load.Wait()
		Expect(refused).To(Equal(300))
		Expect(failed.Load()).To(BeZero(), "of %d", asked.Load())
		Expect(asked.Load()).To(BeNumerically(">", 1000))
		Expect(grown).To(BeNumerically("<", 16<<20))
		a := call(http.MethodGet, "http://"+c.admin+"/metrics", "")
		Expect(a.body).To(ContainSubstring(`stella_gateway_config_reloads_total{result="refused"}`))
		Expect(a.body).To(ContainSubstring("stella_gateway_config_refused 1\n"))
	})

	It("50 times leaves streams alone that had begun before", func() {
		c := startConfigured()
		const size = 64 << 20
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/stream/down?n=%d", c.http, size), http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		resp, err := http.DefaultClient.Do(q)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		var got int64
		for i := range 50 {
			n, err := io.CopyN(io.Discard, resp.Body, size/64)
			Expect(err).NotTo(HaveOccurred())
			got += n
			c.write(fmt.Sprintf("cors: [{origins: ['https://site%d.example']}]\n", i))
			Expect(c.reload()).To(BeTrue())
		}
		n, err := io.Copy(io.Discard, resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(got + n).To(BeEquivalentTo(size))
	})

	It("is what its file says when that changes by itself", func() {
		c := startConfigured()
		c.write("cors: [{origins: ['https://one.example']}]\n")
		Eventually(c.origin).WithArguments("https://one.example").Should(Equal("https://one.example"))
		a := call(http.MethodGet, "http://"+c.admin+"/v1/config", "")
		Expect(a.body).To(ContainSubstring(`"origin": "` + c.file + `:1:12"`))
		c.end()
	})
})
