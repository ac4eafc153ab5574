package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/config"
)

var _ = Describe("a keeper", func() {
	var (
		file    string
		applied []string // levels that were put in force
		told    []error
		whys    []string
		refuse  error
		k       *config.Keeper
	)
	write := func(text string) {
		GinkgoHelper()
		next := file + ".next"
		Expect(os.WriteFile(next, []byte(text), 0o600)).To(Succeed())
		Expect(os.Rename(next, file)).To(Succeed())
	}
	BeforeEach(func() {
		file, applied, told, whys, refuse = filepath.Join(GinkgoT().TempDir(), "gateway.yaml"), nil, nil, nil, nil
		write("log: {level: info}\n")
		read := func() (config.Source, error) {
			text, err := config.ReadFile(file)
			return config.Source{Name: file, Text: text}, err
		}
		source, err := read()
		Expect(err).NotTo(HaveOccurred())
		started, err := config.Load(source)
		Expect(err).NotTo(HaveOccurred())
		k = config.NewKeeper(config.KeeperConfig{
			Read: read, Logger: slog.New(slog.NewTextHandler(GinkgoWriter, nil)), Reloaded: func(why string, err error) { told, whys = append(told, err), append(whys, why) },
			Apply: func(l *config.Loaded) error {
				if refuse == nil {
					applied = append(applied, l.File.Log.Level)
				}
				return refuse
			},
		}, started, source)
	})

	It("puts in force what the file has come to say", func() {
		write("log: {level: warn}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(applied).To(Equal([]string{"warn"}))
		Expect(told).To(Equal([]error{nil}))
		Expect(whys).To(Equal([]string{"a test"}))
		Expect(k.State().Generation).To(Equal(2))
		Expect(k.State().Values).To(ContainElement(And(HaveField("Path", "log.level"), HaveField("Text", "warn"), HaveField("Origin", file+":1:7"))))
	})

	It("keeps what was in force when the file is wrong, and says why until it is right", func() {
		write("log: {level: loud}\n")
		Expect(k.Reload("a test")).To(MatchError(ContainSubstring("what was in force stays so")))
		Expect(applied).To(BeEmpty())
		Expect(k.State()).To(And(HaveField("Generation", 1), HaveField("Refused", ContainSubstring(`got "loud"`))))
		Expect(k.State().Values).To(ContainElement(And(HaveField("Path", "log.level"), HaveField("Text", "info"))))
		Expect(os.Remove(file)).To(Succeed())
		Expect(k.Reload("a test")).To(MatchError(ContainSubstring("no such file")))
		write("log: {level: error}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(k.State().Refused).To(BeEmpty())
		Expect(told).To(HaveExactElements(HaveOccurred(), HaveOccurred(), BeNil()))
	})

	It("keeps it when the gateway refuses what the file says, too", func() {
		refuse = errors.New("not with me")
		write("log: {level: warn}\n")
		Expect(k.Reload("a test")).To(MatchError(refuse))
		Expect(k.State()).To(And(HaveField("Generation", 1), HaveField("Refused", "not with me")))
	})

	It("names what only a restart changes, until the file says again what is", func() {
		write("admin: {address: '127.0.0.1:1'}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(k.State().Restart).To(Equal([]string{"admin.address"}))
		write("log: {level: info}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(k.State().Restart).To(BeEmpty())
	})

	It("shows what is in force, and beside it what waits for a restart", func() {
		value := func(path string) string {
			for _, v := range k.State().Values {
				if v.Path == path && v.AfterRestart != nil {
					return strings.TrimSpace(fmt.Sprintf("%s %s", v.Text, v.Origin)) + " -> " + strings.TrimSpace(v.AfterRestart.Text+" "+v.AfterRestart.Origin)
				} else if v.Path == path {
					return v.Text + " " + v.Origin
				}
			}
			return ""
		}
		for range 2 {
			write("admin: {address: '127.0.0.1:1'}\nlisteners: [{address: '127.0.0.1:2'}]\nlog: {level: warn}\n")
			Expect(k.Reload("a test")).To(Succeed())
			Expect(value("admin.address")).To(Equal("127.0.0.1:5190 default -> 127.0.0.1:1 " + file + ":1:9"))
			Expect(value("listeners[0].address")).To(Equal(" -> 127.0.0.1:2 " + file + ":2:14"))
			Expect(value("log.level")).To(Equal("warn " + file + ":3:7"))
			Expect(k.State().Restart).To(Equal([]string{"http", "listeners[0].address", "listeners[0].proxyProtocol", "admin.address"}))
		}
		write("log: {level: warn}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(value("admin.address")).To(Equal("127.0.0.1:5190 default"))
		Expect(value("listeners[0].address")).To(BeEmpty())
		Expect(k.State().Restart).To(BeEmpty())
	})

	It("shows what a restart takes away", func() {
		write("listeners: [{address: '127.0.0.1:2'}]\n")
		text, err := config.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		source := config.Source{Name: file, Text: text}
		started, err := config.Load(source)
		Expect(err).NotTo(HaveOccurred())
		read := func() (config.Source, error) {
			text, err := config.ReadFile(file)
			return config.Source{Name: file, Text: text}, err
		}
		k = config.NewKeeper(config.KeeperConfig{
			Read: read, Apply: func(*config.Loaded) error { return nil }, Logger: slog.New(slog.NewTextHandler(GinkgoWriter, nil)),
		}, started, source)
		for range 2 {
			write("log: {level: warn}\n")
			Expect(k.Reload("a test")).To(Succeed())
			Expect(k.State().Values).To(ContainElement(And(
				HaveField("Path", "listeners[0].address"), HaveField("Text", "127.0.0.1:2"), HaveField("AfterRestart", Equal(new(config.Waiting))),
			)))
		}
	})

	It("has neighbours wait with the region that they are those of", func() {
		write("node: {region: eu-1, neighbours: [eu-2]}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(k.State().Restart).To(Equal([]string{"node.region", "node.neighbours"}))
		write("node: {neighbours: [eu-2]}\n")
		Expect(k.Reload("a test")).To(Succeed())
		Expect(k.State().Restart).To(BeEmpty())
	})

	It("compares what is in force with another file, but for what counts above files", func() {
		source := config.Source{
			Name: file, Text: []byte("log: {level: warn}\ntransports: {token: [abcdefghijklmnop]}\nlisteners: [{address: '127.0.0.1:1'}]\n"), Host: "host-7",
			Variable: func(name string) (string, bool) { return "eu", name == "STELLA_REGION" },
			Flags:    []config.Flag{{Name: "--grace", Path: "shutdown.grace", Text: "7s"}},
		}
		started, err := config.Load(source)
		Expect(err).NotTo(HaveOccurred())
		state := config.NewKeeper(config.KeeperConfig{}, started, source).State()
		text, err := json.Marshal(state)
		Expect(err).NotTo(HaveOccurred())
		var told config.State // as operators have it
		Expect(json.Unmarshal(text, &told)).To(Succeed())
		next, err := config.Load(config.Source{Name: "next.yaml", Host: "host-8", Text: []byte(
			"node: {region: us}\nshutdown: {grace: 8s}\nlog: {level: error}\ntransports: {token: [abcdefghijklmnoq], retain: 1h}\n")})
		Expect(err).NotTo(HaveOccurred())
		Expect(told.Diff(next)).To(Equal([]config.Change{
			{Path: "http", New: "127.0.0.1:8080", Kind: "changed", Origin: "default", Restart: true},
			{Path: "transports.retain", Old: "10m", New: "1h", Kind: "changed", Origin: "next.yaml:4:41"},
			{Path: "log.level", Old: "warn", New: "error", Kind: "changed", Origin: "next.yaml:3:7"},
			{Path: "listeners[0].address", Old: "127.0.0.1:1", Kind: "removed", Origin: file + ":3:14", Restart: true},
			{Path: "listeners[0].proxyProtocol", Kind: "removed", Origin: "default", Restart: true},
		}))
	})

	It("notices by itself that the file is another one", func() {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			k.Watch(ctx)
		}()
		write("log: {level: debug}\n")
		generation := func() int { return k.State().Generation }
		Eventually(generation).WithTimeout(5 * time.Second).Should(Equal(2))
		write("log: {level: loud}\n")
		Eventually(func() string { return k.State().Refused }).WithTimeout(5 * time.Second).ShouldNot(BeEmpty())
		cancel()
		Eventually(ended).WithTimeout(5 * time.Second).Should(BeClosed())
		Expect(applied).To(Equal([]string{"debug"}))
	})
})
