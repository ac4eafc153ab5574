package config

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stella-ops/router/internal/strictyaml"
)

// lookEvery is how often a [Keeper] looks whether the file is another one. Looking costs less than being told: a file
// that is replaced, behind links or on a network, is noticed all the same.
const lookEvery = time.Second

// maxFile bounds what is read of a file: one byte more than is taken, so that a longer one is refused and not cut.
const maxFile = strictyaml.MaxBytes + 1

// ReadFile is the text of a configuration file.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the file that the operator names
	if err != nil {
		return nil, err //nolint:wrapcheck // it says which file, and why
	}
	defer func() { _ = f.Close() }() // it was read only
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	return text, nil
}

// KeeperConfig is what a [Keeper] needs.
type KeeperConfig struct {
	// Read makes the source anew: the file as it is now, with the same variables and flags as before.
	Read func() (Source, error)
	// Apply puts a configuration in force, whole or not at all. What only a restart can change it leaves alone.
	Apply func(*Loaded) error
	// Reloaded is told of each attempt that was made, and why. May be nil.
	Reloaded func(why string, err error)
	Logger   *slog.Logger
}

// Keeper keeps a gateway at what its file says. A file that is wrong changes nothing: what was in force stays in force,
// and log, metric and admin address say so. Its methods may be called concurrently.
type Keeper struct {
	cfg KeeperConfig

	mu      sync.Mutex
	current *Loaded
	running []Value // what is in force, and what waits
	seen    []byte  // the text that was tried last
	state   State
}

// State is how the file and what is in force stand to each other.
type State struct {
	File       string    `json:"file,omitempty"`     // empty: there is none
	Generation int       `json:"generation"`         // how often something was put in force; 1 at the start
	Since      time.Time `json:"since"`              // when that was
	Refused    string    `json:"refused,omitempty"`  // why the file as it is now is not in force
	RefusedAt  time.Time `json:"refusedAt,omitzero"` // when that was found
	Restart    []string  `json:"restart,omitempty"`  // settings of which only a restart puts in force what the file says
	Values     []Value   `json:"values,omitempty"`   // in force
}

// NewKeeper keeps what a gateway was started with.
func NewKeeper(cfg KeeperConfig, started *Loaded, source Source) *Keeper {
	return &Keeper{
		cfg: cfg, current: started, running: started.Values(), seen: source.Text,
		state: State{File: source.Name, Generation: 1, Since: time.Now().UTC()},
	}
}

// Watch reloads whenever the file has changed, until ctx ends.
func (k *Keeper) Watch(ctx context.Context) {
	k.mu.Lock()
	name := k.state.File
	k.mu.Unlock()
	if name == "" {
		return
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var last stamp // it may have changed since it was read: the first look is at its text
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := look(name); now != last {
			last = now
			_ = k.reload("the file has changed", false) // it has been said
		}
	}
}

// stamp tells one state of a file from another.
type stamp struct {
	size int64
	at   time.Time
}

func look(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{size: -1}
	}
	return stamp{info.Size(), info.ModTime()}
}

// Reload reads the file and puts what it says in force. The error says why what was in force before stays so.
func (k *Keeper) Reload(why string) error { return k.reload(why, true) }

func (k *Keeper) reload(why string, always bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	source, err := k.cfg.Read()
	if err == nil && !always && bytes.Equal(source.Text, k.seen) {
		return nil
	}
	var next *Loaded
	if err == nil {
		k.seen = source.Text
		if next, err = Load(source); err != nil {
			_, err = Check(source) // it names everything
		}
	}
	if err == nil {
		err = k.cfg.Apply(next)
	}
	if k.cfg.Reloaded != nil {
		k.cfg.Reloaded(why, err)
	}
	if err != nil {
		k.state.Refused, k.state.RefusedAt = err.Error(), time.Now().UTC()
		k.cfg.Logger.Error("configuration refused: what was in force stays so", "file", k.state.File, "why", why, "error", err)
		return fmt.Errorf("config: refused, what was in force stays so: %w", err)
	}
	changes := k.current.Diff(next)
	k.current = next
	k.state.Generation++
	k.state.Since, k.state.Refused, k.state.RefusedAt = time.Now().UTC(), "", time.Time{}
	k.running, k.state.Restart = reloaded(k.running, next.Values())
	k.cfg.Logger.Info("configuration in force", "file", k.state.File, "why", why, "generation", k.state.Generation, "changes", len(changes))
	if len(k.state.Restart) > 0 {
		k.cfg.Logger.Warn("these settings change with a restart alone", "settings", k.state.Restart)
	}
	return nil
}

// State is the state now.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state
	s.Values = slices.Clone(k.running)
	return s
}
