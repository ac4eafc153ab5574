package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/trust"
)

// minToken is the least length of a token, in bytes.
const minToken = 16

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
	any    []string
	listed *trust.Watched[map[string][]string] // by service; nil without a file
}

// newTokens checks the tokens, and reads the file for the first time.
func newTokens(cfg Tokens, log *slog.Logger) (*tokens, error) {
	for i, token := range cfg.Any {
		if err := checkToken(token); err != nil {
			return nil, fmt.Errorf("%w: token %d of %d: %w", ErrConfig, i+1, len(cfg.Any), err)
		}
	}
	t := &tokens{any: cfg.Any}
	if cfg.File == "" {
		return t, nil
	}
	t.listed = &trust.Watched[map[string][]string]{
		Files: []string{cfg.File}, Read: func() (map[string][]string, error) { return readTokens(cfg.File, log) },
		Broken: func(err error) { log.Warn("the services' tokens", "error", err) },
	}
	if _, err := t.listed.Get(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
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
	good := slices.Clone(t.any)
	if t.listed == nil {
		return good
	}
	listed, _ := t.listed.Get() // it has been read: there is no error
	return slices.Concat(good, listed[service], listed[everyService])
}

// readTokens reads lines of SERVICE TOKEN.
func readTokens(file string, log *slog.Logger) (map[string][]string, error) {
	listed := map[string][]string{}
	err := trust.Words(file, log, func(words []string) error {
		if len(words) != 2 { //nolint:mnd // a name and a token
			return errors.New("expected SERVICE TOKEN, or * TOKEN for every service")
		}
		service, token := words[0], words[1]
		err := checkToken(token)
		if service != everyService {
			err = errors.Join(spec.CheckService(service), err)
		}
		listed[service] = append(listed[service], token)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return listed, nil
}
