package config_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
