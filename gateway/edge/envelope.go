package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/trust"
)

const (
	// envelopeLife is how long an envelope is good for: one call's way. Clocks may differ by [spec.EnvelopeSkew] beside.
	envelopeLife = time.Minute
	// envelopeLook is how often the file of keys is looked at, at most.
	envelopeLook = time.Second
	claimScope   = "scope"
)

// envelopeRoles are the claims that an envelope has as roles.
var envelopeRoles = []string{"role", "roles"}

// Envelope says to which services' bridged handlers a signed copy of the identity goes along (PROTOCOL.md, section 8.4).
type Envelope struct {
	// KeyFile has a key of at least 32 printable characters on each line. The first one signs; the others are those that readers
	// take as well while keys are replaced. It is read again when it has changed.
	KeyFile  string
	Services []string
	Logger   *slog.Logger // told what is wrong with the file; nil: [slog.Default]
}

// seals makes envelopes.
type seals struct {
	services []string
	file     *trust.Watched[[][]byte]
	log      *slog.Logger
	held     atomic.Pointer[heldKey]
}

// heldKey is what signs, and when to look for another one.
type heldKey struct {
	key  []byte
	next time.Time
}

func newSeals(cfg *Envelope) (*seals, error) {
	s := &seals{services: cfg.Services, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	var errs []error
	if len(cfg.Services) == 0 {
		errs = append(errs, errors.New("edge: envelope: expected the services that get it"))
	}
	for _, name := range cfg.Services {
		errs = append(errs, spec.CheckService(name))
	}
	s.file = &trust.Watched[[][]byte]{
		Files: []string{cfg.KeyFile}, Read: func() ([][]byte, error) { return readEnvelopeKeys(cfg.KeyFile, s.log) },
		Broken: func(err error) { s.log.Warn("the keys of envelopes", "error", err) },
	}
	_, err := s.file.Get()
	return s, errors.Join(append(errs, err)...)
}

// readEnvelopeKeys reads lines of one key each.
func readEnvelopeKeys(file string, log *slog.Logger) ([][]byte, error) {
	var keys [][]byte
	err := trust.Words(file, log, func(words []string) error {
		if len(words) != 1 || len(words[0]) < spec.MinEnvelopeKey {
			return fmt.Errorf("expected one key of at least %d characters without spaces, such as `openssl rand -hex 32` gives", spec.MinEnvelopeKey)
		}
		keys = append(keys, []byte(words[0]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("edge: envelope: %w", err)
	}
	return keys, nil
}

// key is what signs at a moment.
func (s *seals) key(now time.Time) []byte {
	held := s.held.Load()
	if held == nil || now.After(held.next) {
		keys, _ := s.file.Get() // it has been read: there is no error
		held = &heldKey{key: keys[0], next: now.Add(envelopeLook)}
		s.held.Store(held)
	}
	return held.key
}

// seal adds the envelope to a request of somebody who has proved who they are, if the endpoint is a bridged one of a service
// that is listed. A client's own have been scrubbed. A job gets none: it would have expired.
func (x *Exchange) seal() *problem {
	s := x.policy.seals
	if s == nil || x.request.Identity == nil || x.route.Kind != spec.KindHTTP || x.route.Queue != nil || !slices.Contains(s.services, x.route.Release.Service) {
		return nil
	}
	if len(x.request.Header)+2 > spec.MaxFields { //nolint:mnd // the two fields that follow
		return &problem{Kind: kindHeaders, detail: "the request has more header fields than the gateway passes on with the identity"}
	}
	e := envelopeOf(x.request.Identity)
	e.Service, e.Request = x.route.Release.Service, x.request.ID.String()
	e.IssuedAt, e.Expires = x.start.Unix(), x.start.Add(envelopeLife).Unix()
	envelope, signature, err := e.Seal(s.key(x.start))
	if err != nil {
		return &problem{Kind: kindHeaders, detail: "the caller's identity is too long to pass on"}
	}
	for _, f := range [...]spec.Field{{Name: spec.HeaderEnvelope, Value: envelope}, {Name: spec.HeaderEnvelopeSignature, Value: signature}} {
		x.request.Header = append(x.request.Header, f)
		x.room += len(f.Name) + len(f.Value) + fieldOverhead
	}
	return nil
}

// envelopeOf is an identity as envelopes have it.
func envelopeOf(i *spec.Identity) spec.Envelope {
	e := spec.Envelope{Subject: i.Subject, Tenant: i.Tenant}
	for _, c := range i.Claims {
		switch {
		case c.Type == claimScope:
			e.Scopes = append(e.Scopes, c.Value)
		case slices.Contains(envelopeRoles, c.Type):
			e.Roles = append(e.Roles, c.Value)
		}
	}
	return e
}
