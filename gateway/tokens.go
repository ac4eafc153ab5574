package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
)

// Bounds of tokens and of the file that holds them, in bytes.
const (
	minToken     = 16
	maxTokenFile = 64 << 10
)

// everyService stands for the name of any service.
const everyService = "*"

// Tokens say who may register. Services prove that they know one of the tokens that are good for their name; several may
// be good at once, so that they can be replaced one service at a time. The zero value asks nobody.
type Tokens struct {
	File string   // lines of SERVICE TOKEN, * being every service; read again when it has changed
	Any  []string // good for every service
}

func (t *Tokens) asked() bool { return t.File != "" || len(t.Any) > 0 }

// tokens answers which tokens are good for a service. It may be used concurrently.
type tokens struct {
	cfg Tokens
	log *slog.Logger

	mu     sync.Mutex
	listed map[string][]string // of the file, by service
	size   int64               // of the file that was read
	at     time.Time           // when that was changed
	broken string              // what was wrong with it at last
}

// newTokens checks the tokens, and reads the file for the first time.
func newTokens(cfg Tokens, log *slog.Logger) (*tokens, error) {
	for i, token := range cfg.Any {
		if err := checkToken(token); err != nil {
			return nil, fmt.Errorf("%w: token %d of %d: %w", ErrConfig, i+1, len(cfg.Any), err)
		}
	}
	t := &tokens{cfg: cfg, log: log}
	if cfg.File != "" {
		if err := t.read(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	return t, nil
}

func checkToken(token string) error {
	if len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("expected at least %d printable characters without spaces, such as `openssl rand -hex 32` gives", minToken)
	}
	return nil
}

// of returns the tokens that are good for a service.
func (t *tokens) of(service string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg.File != "" && t.changed() {
		if err := t.readLocked(); err != nil && err.Error() != t.broken {
			t.broken = err.Error()
			t.log.Warn("the tokens that were read before stay good", "error", err)
		}
	}
	good := append([]string(nil), t.cfg.Any...)
	good = append(good, t.listed[service]...)
	return append(good, t.listed[everyService]...)
}

// changed reports whether the file is another than the one that was read. The caller holds mu.
func (t *tokens) changed() bool {
	info, err := os.Stat(t.cfg.File)
	return err != nil || info.Size() != t.size || !info.ModTime().Equal(t.at)
}

func (t *tokens) read() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readLocked()
}

func (t *tokens) readLocked() error {
	f, err := os.Open(t.cfg.File)
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read only
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	listed, err := parseTokens(t.cfg.File, text)
	if err != nil {
		return err
	}
	if others := info.Mode().Perm() & 0o077; others != 0 {
		t.log.Warn("others may read the file with the tokens: chmod 600", "file", t.cfg.File, "mode", info.Mode().Perm().String())
	}
	t.listed, t.size, t.at, t.broken = listed, info.Size(), info.ModTime(), ""
	return nil
}

// parseTokens reads lines of SERVICE TOKEN. Empty lines, and those that begin with #, say nothing.
func parseTokens(name string, text []byte) (map[string][]string, error) {
	if len(text) > maxTokenFile {
		return nil, fmt.Errorf("tokens: %s: over %d bytes", name, maxTokenFile)
	}
	listed := map[string][]string{}
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		err := errors.New("expected SERVICE TOKEN, or * TOKEN for every service")
		if len(fields) == 2 { //nolint:mnd // a name and a token
			err = checkToken(fields[1])
			if fields[0] != everyService {
				err = errors.Join(spec.CheckService(fields[0]), err)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("tokens: %s:%d: %w", name, n, err))
			continue
		}
		listed[fields[0]] = append(listed[fields[0]], fields[1])
	}
	if err := errors.Join(append(errs, lines.Err())...); err != nil {
		return nil, err
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("tokens: %s holds no token", name)
	}
	return listed, nil
}
