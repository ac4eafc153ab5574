package h2spec

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	stella "github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tcp"
)

const (
	patience = 15 * time.Second // for a process to start
	timeout  = time.Second      // for a case; a server that does nothing is judged after it
	attempts = 3                // for a case that the gateway fails: the machine may be busy
	workers  = 8                // cases at once

	// certain is how often a case that the gateway fails has to pass at net/http: two cases of section 5.1, whose frames race with
	// the end of a stream, fail there every other time, and say nothing of the gateway.
	certain = 20
	body    = "h2spec wants an answer that has some bytes"
)

// least is how many cases there have to be: fewer mean that h2spec is not what it was.
const least = 140

// TestHTTP2 proves that no case fails at the gateway that passes at a bare net/http server in the same run.
func TestHTTP2(t *testing.T) {
	gateway, plain := target(startGateway(t)), target(startPlain(t))
	var cases []*spec.TestCase
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		cases = collect(cases, group)
	}
	if len(cases) < least {
		t.Fatalf("h2spec has %d cases, expected %d at least", len(cases), least)
	}
	work, feed := sync.WaitGroup{}, make(chan *spec.TestCase)
	failed := make(chan string, 2*len(cases))
	for range workers {
		work.Go(func() {
			for c := range feed {
				bare := run(plain, c)
				ours := run(gateway, c)
				for i := 1; i < attempts && ours != nil && bare == nil; i++ {
					ours = run(gateway, c)
				}
				for i := 0; i < certain && ours != nil && bare == nil; i++ {
					bare = run(plain, c)
				}
				switch {
				case ours != nil && bare == nil:
					t.Errorf("%s: %s: %v, and net/http passes", c.Parent.ID(), c.Desc, ours)
				case ours != nil:
					failed <- fmt.Sprintf("%s: %s: %v; so it is with net/http", c.Parent.ID(), c.Desc, ours)
				case bare != nil:
					failed <- fmt.Sprintf("%s: %s: passes; net/http alone: %v", c.Parent.ID(), c.Desc, bare)
				}
			}
		})
	}
	for _, c := range cases {
		feed <- c
	}
	close(feed)
	work.Wait()
	close(failed)
	t.Logf("%d cases", len(cases))
	for f := range failed {
		t.Log(f)
	}
}

// collect adds the cases of a group and of those below it, the strict ones too.
func collect(cases []*spec.TestCase, g *spec.TestGroup) []*spec.TestCase {
	cases = append(append(cases, g.Tests...), g.StrictTests...)
	for _, below := range g.Groups {
		cases = collect(cases, below)
	}
	return cases
}

// target is what h2spec needs to know of a server. It reads nothing else of its configuration once a case runs.
func target(addr string) config.Config {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return config.Config{Host: host, Port: n, Path: "/", Timeout: timeout, MaxHeaderLen: 4000, Strict: true}
}

// run runs one case on a connection of its own. A case that does not apply has not failed.
func run(c config.Config, of *spec.TestCase) error {
	conn, err := spec.Dial(&c)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	if err = of.Run(&c, conn); err == spec.ErrSkipped { //nolint:errorlint // h2spec returns it bare
		return nil
	}
	return err
}

// startPlain starts a bare net/http server.
func startPlain(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				_, _ = io.WriteString(w, body)
			}
		}),
		Protocols: new(http.Protocols), ReadHeaderTimeout: patience,
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return l.Addr().String()
}

// startGateway starts a gateway process, with a service that does what the bare server does.
func startGateway(t *testing.T) string {
	t.Helper()
	addrs := make([]string, 3)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = l.Addr().String()
		_ = l.Close()
	}
	cmd := exec.Command(binary(t), "run", "--http", addrs[0], "--listen", "tcp://"+addrs[1], "--admin", addrs[2])
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	serve(ctx, t, "tcp://"+addrs[1])
	if err := answers(ctx, "http://"+addrs[0]+"/"); err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// binary is the gateway's: that of the build, or a new one.
func binary(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("E2E_BIN"); dir != "" {
		return filepath.Join(dir, "stella-gateway")
	}
	path := filepath.Join(t.TempDir(), "stella-gateway")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./gateway/cmd/stella-gateway")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// serve joins a service as soon as the gateway takes it.
func serve(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	m := stella.Manifest{Service: "h2spec", Version: "1.0.0"}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		m.Endpoints = append(m.Endpoints, stella.Endpoint{
			Method: method, Path: "/", Handler: "Handler", Kind: stella.KindRaw, Status: http.StatusOK, Stream: stella.StreamNone,
			Public: "a test", Limits: stella.DefaultLimits,
		})
	}
	manifest, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for {
		link, err := transports.Dial(ctx, url)
		if err == nil {
			s, err := session.Open(ctx, link, session.ServiceConfig{
				Hello:    stella.Hello{Instance: stella.Instance{Service: "h2spec", Version: "1.0.0", ID: "one"}, Lease: 1024},
				Manifest: manifest, Serve: answer,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return
		}
		select {
		case <-time.After(10 * time.Millisecond): // until the process listens
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func answer(in *session.Incoming) {
	if _, err := io.Copy(io.Discard, in); err == nil {
		_ = in.Respond(&stella.Response{Status: http.StatusOK, ContentLength: -1}, []byte(body))
	}
}

// answers waits until a GET is answered with 200: the gateway knows the service.
func answers(ctx context.Context, url string) error {
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(q)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("got %s", resp.Status)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", url, err)
		}
	}
}
