package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

const (
	// devTokenTTL is how long a token in the file is good for.
	devTokenTTL = 15 * time.Minute
	// devTokenRenewal is how long before its end it is replaced, so that who reads the file has time to use it.
	devTokenRenewal = 5 * time.Minute
	// devTokenRetry is when to try again after a write that failed.
	devTokenRetry = 5 * time.Second
)

// tokenFile keeps a file with a token that may call every endpoint.
type tokenFile struct {
	path string
	key  *auth.DevKey
	log  *slog.Logger
	kick chan struct{} // the snapshot has changed
}

func newTokenFile(dev Dev, log *slog.Logger) (*tokenFile, error) {
	if info, err := os.Stat(dev.TokenFile); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: the file for the token, %s, is a directory", ErrConfig, dev.TokenFile)
	}
	keyFile := dev.KeyFile
	if keyFile == "" {
		keyFile = dev.TokenFile + ".key"
	}
	key, err := auth.EnsureDevKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &tokenFile{path: dev.TokenFile, key: key, log: log, kick: make(chan struct{}, 1)}, nil
}

// changed says that other claims may be asked for now. It does not block. A nil receiver is allowed.
func (t *tokenFile) changed() {
	if t == nil {
		return
	}
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// keep replaces the token whenever what endpoints ask for changes, and before it expires. It ends with ctx, or when another
// process has come to keep it.
func (t *tokenFile) keep(ctx context.Context, r *routing.Registry, succeeded <-chan struct{}) {
	timer := time.NewTimer(devTokenTTL - devTokenRenewal)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-succeeded:
			return
		case <-t.kick:
		case <-timer.C:
		}
		next := devTokenTTL - devTokenRenewal
		if err := t.write(time.Now(), r.Snapshot().Claims()); err != nil {
			t.log.Error("development token", "error", err)
			next = devTokenRetry
		}
		timer.Reset(next)
	}
}

func (t *tokenFile) write(now time.Time, required []spec.ClaimRequirement) error {
	token, err := t.key.Token(auth.Satisfying(required), now, devTokenTTL)
	if err != nil {
		return err
	}
	return auth.WriteFile(t.path, []byte(token+"\n"))
}
