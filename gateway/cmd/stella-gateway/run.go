package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/gateway/handover"
)

// settings are the flags that stand above the configuration file and the variables.
type settings struct {
	Config string `env:"STELLA_CONFIG" help:"The configuration file; stella-gateway config reference lists what it may hold." placeholder:"FILE"`

	HTTP string `help:"${http}" name:"http" placeholder:"ADDR"`

	Listen []string `help:"${listen}" placeholder:"URL[,URL]"`

	TokenFile string `help:"${token_file}" placeholder:"FILE"`

	Token []string `help:"${token}" placeholder:"TOKEN[,TOKEN]"`

	Owner []string `help:"${owner}" placeholder:"PATH=SERVICE"`

	Peer []string `help:"${peer}" placeholder:"URL[,URL]"`

	AcceptRate string `help:"${accept_rate}" placeholder:"N"`

	Queue string `help:"${queue}" placeholder:"URL"`

	Memory string `help:"${memory}" placeholder:"SIZE"`

	DrainDelay string `help:"${drain_delay}" placeholder:"DURATION"`

	Admin string `help:"${admin}" placeholder:"ADDR"`

	Region string `help:"${region}" placeholder:"NAME"`

	Node string `help:"${node}" placeholder:"NAME"`

	Grace string `help:"${grace}" placeholder:"DURATION"`

	Retain string `help:"${retain}" placeholder:"DURATION"`

	LogLevel string `help:"${log_level}" placeholder:"LEVEL"`

	Dev bool `help:"${dev}"`

	DevTokenFile string `help:"${dev_token_file}" placeholder:"FILE"`

	DevKey string `help:"${dev_key}" placeholder:"FILE"`
}

// flagPaths are the settings that flags give, by the flags' names.
var flagPaths = map[string]string{ //nolint:gosec // names
	"http": "http", "listen": "transports.listen", "token-file": "transports.tokenFile", "token": "transports.token",
	"owner": "transports.owners", "peer": "transports.peers", "accept-rate": "transports.acceptRate", "queue": "transports.queue",
	"memory": "transports.memory", "drain-delay": "shutdown.drainDelay", "admin": "admin.address", "region": "node.region", "node": "node.id",
	"grace": "shutdown.grace", "retain": "transports.retain", "log-level": "log.level", "dev": "dev.enabled",
	"dev-token-file": "dev.tokenFile", "dev-key": "dev.key",
}

// flagHelp are the texts of the flags: what the settings' own say.
func flagHelp() map[string]string {
	texts := map[string]string{}
	for name, path := range flagPaths {
		texts[strings.ReplaceAll(name, "-", "_")] = config.Help(path)
	}
	return texts
}

func (c *settings) flags() []config.Flag {
	var list []config.Flag
	add := func(name, text string) {
		if text != "" {
			list = append(list, config.Flag{Name: "--" + name, Path: flagPaths[name], Text: text})
		}
	}
	add("http", c.HTTP)
	add("listen", strings.Join(c.Listen, ","))
	add("token-file", c.TokenFile)
	add("token", strings.Join(c.Token, ","))
	add("owner", strings.Join(c.Owner, ","))
	add("peer", strings.Join(c.Peer, ","))
	add("accept-rate", c.AcceptRate)
	add("queue", c.Queue)
	add("memory", c.Memory)
	add("drain-delay", c.DrainDelay)
	add("admin", c.Admin)
	add("region", c.Region)
	add("node", c.Node)
	add("grace", c.Grace)
	add("retain", c.Retain)
	add("log-level", c.LogLevel)
	if c.Dev {
		add("dev", "true")
	}
	add("dev-token-file", c.DevTokenFile)
	add("dev-key", c.DevKey)
	return list
}

// source is what the configuration is made of: flags above variables above the file.
func (c *settings) source() (config.Source, error) {
	text, err := readConfig(c.Config)
	host, _ := os.Hostname() // a name for people; it may be empty
	return config.Source{Name: c.Config, Text: text, Variable: os.LookupEnv, Flags: c.flags(), Host: host}, err
}

func (c *settings) load() (*config.Loaded, config.Source, error) {
	source, err := c.source()
	if err != nil {
		return nil, source, err
	}
	loaded, err := loadConfig(source)
	return loaded, source, err
}

func readConfig(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	text, err := config.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	return text, nil
}

func loadConfig(s config.Source) (*config.Loaded, error) {
	l, err := config.Load(s)
	if err != nil {
		_, err = config.Check(s) // it names everything
		return nil, fmt.Errorf("%w:\n%w", gateway.ErrConfig, err)
	}
	return l, nil
}

type runCmd struct {
	settings
}

// Run serves.
func (c *runCmd) Run(s streams) error {
	refused := outlived(os.Getpid(), os.Getppid(), os.Getenv(envNotify)) // as long as its parent is who started it
	sockets, before, skipped := handover.Inherit()
	if before != nil {
		refused = nil // the process before has been asked
	}
	loaded, source, err := c.load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	cfg := loaded.Gateway(s.err, level)
	for _, v := range config.UnknownVariables(os.Environ()) { // their values may be secrets
		cfg.Logger.Warn("there is no such variable, it is ignored", "variable", v.Name, "nearest", v.Nearest)
	}
	if skipped != nil {
		cfg.Logger.Warn("this process was given what it cannot use", "error", skipped)
	}
	var (
		g      *gateway.Gateway
		keeper *config.Keeper
	)
	keeper = config.NewKeeper(config.KeeperConfig{
		Read: c.source, Logger: cfg.Logger, Reloaded: func(why string, err error) {
			g.Reloaded(err)
			if why != whyOperator { // else the address where it was asked for writes down who
				g.Changed(why, "reload", "configuration", err)
			}
		},
		Apply: func(l *config.Loaded) error {
			if err := g.Apply(l.Gateway(io.Discard, new(slog.LevelVar))); err != nil {
				return l.Explain(err, gateway.ErrConfig)
			}
			l.File.Log.Set(level)
			return nil
		},
	}, loaded, source)
	var followed atomic.Bool // by the service manager: this process is the one whose state counts
	followed.Store(before == nil)
	tell := func(state string) {
		if err := notify(state); err != nil {
			cfg.Logger.Warn("service manager", "error", err)
		}
	}
	cfg.Configuration = func() any { return keeper.State() }
	cfg.Reload = func() error { return keeper.Reload(whyOperator) }
	cfg.Sockets, cfg.Predecessor = sockets, before
	cfg.Restart = func() error {
		err := refused
		if err == nil {
			err = restart(g, tell)
		}
		switch {
		case err == nil:
			followed.Store(false)
		case !errors.Is(err, gateway.ErrHandover): // else the gateway has said so
			cfg.Logger.Error("handover not begun", "error", err)
		}
		return err
	}
	cfg.Serving = func() {
		if err := s.printf("stella-gateway serves http://%s, services dial %s, operators %s\n",
			strings.Join(g.HTTPAddrs(), ","), strings.Join(g.ListenAddrs(), ","), g.AdminURL()); err != nil {
			cfg.Logger.Warn("nobody reads the standard output", "error", err)
		}
		if before == nil { // else that one tells: the service manager does not listen to this process yet
			tell(nowReady)
		}
		followed.Store(true)
	}
	if g, err = gateway.New(cfg); err != nil {
		if errors.Is(err, gateway.ErrConfig) {
			err = cmp.Or(gateway.Check(cfg), err) // it names everything, not only what is found first
		}
		return loaded.Explain(err, gateway.ErrConfig)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { keeper.Watch(ctx) })
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx) }()
	return c.wait(ctx, s, served, acts{
		drain: func() {
			if followed.Load() {
				tell(nowStopping)
			}
			cancel()
		},
		end:     func() { _ = g.Close() },               // Serve tells
		reload:  func() { _ = keeper.Reload("SIGHUP") }, // it has been logged
		restart: func() { watching.Go(func() { g.Changed("SIGUSR2", "restart", "gateway", cfg.Restart()) }) },
	})
}

// restart starts another process of this program, with the same arguments, which takes this one's place.
func restart(g *gateway.Gateway, tell func(state string)) error {
	command, err := handover.Current()
	if err != nil {
		return err
	}
	pid := 0
	err = g.Handover(func(h *handover.Held) (*handover.Successor, error) {
		next, err := command.Start(h)
		if err == nil {
			pid = next.PID()
		}
		return next, err
	})
	if err == nil {
		tell(fmt.Sprintf(nowAnother, pid))
	}
	return err
}

// whyOperator is why the configuration is read anew when an operator asks for it by the admin address.
const whyOperator = "an operator asks for it"

// acts are what signals may have done.
type acts struct{ drain, end, reload, restart func() }

// wait does what signals say until the gateway has ended: SIGHUP reloads, SIGUSR2 hands over, the first other drains, the
// second ends.
func (c *runCmd) wait(ctx context.Context, s streams, served <-chan error, a acts) error {
	forced := false
	for {
		select {
		case err := <-served:
			if err == nil && forced {
				return errForced
			}
			return err
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGHUP:
				a.reload()
			case restartSignal:
				a.restart()
			default:
				if ctx.Err() != nil {
					forced = true
					a.end()
				}
				a.drain()
			}
		}
	}
}

// What a process would start would not outlive it.
var (
	errFirst = errors.New("this process is the first of its container, which ends with it: start another container, and then end this one")
	errInit  = errors.New("the first process of this machine or container has started this one, and may end all that it has started when " +
		"this one ends: under systemd give the unit Type=notify; in a container start another one, and then end this one")
)

// outlived says why what a process starts may be ended with it. parent is who has started it, and notify where a service manager
// listens that can be told to follow another process.
func outlived(pid, parent int, notify string) error {
	switch {
	case pid == 1:
		return errFirst
	case parent == 1 && notify == "":
		return errInit
	}
	return nil
}

var errForced = errors.New("ended by a second signal, before open requests had ended")
