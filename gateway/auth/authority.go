package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
)

const (
	// DefaultEvery is how often an authority is asked by HTTP.
	DefaultEvery = 30 * time.Second
	minEvery     = time.Second

	maxDecrees = 4 << 20 // bytes
	maxRules   = 16_384  // in a document
)

// decreed is what an authority publishes.
var decreed = document{"authority", "application/json", maxDecrees}

// Rule is who may call an endpoint, by an authority's word. It has either claims or a reason to be public.
type Rule struct {
	Service  string
	Endpoint string // METHOD /path
	Claims   []spec.ClaimRequirement
	Public   string
}

// Decrees are all that an authority says. They are not changed.
type Decrees struct {
	Rules  []Rule
	Digest string // of the document: sha256: and hexadecimal digits
}

// AuthorityConfig is what an [Authority] needs.
type AuthorityConfig struct {
	Source string        // a URL by https (by http from this machine only), or the path of a file
	Every  time.Duration // how often a URL is asked; [DefaultEvery]. Files are looked at once a second
	// TokenFile has what is sent to a URL as Authorization: Bearer. It is read each time, so that the token may change. Empty:
	// nothing is.
	TokenFile string
	Logger    *slog.Logger // nil: [slog.Default]
	TLS       *tls.Config  // how it is asked by https. Nil: the system's roots, TLS 1.2 or later
	// Changed is told what it says, whenever that is something else than before: by
	// [NewAuthority] what a file says, then by [Authority.Run].
	Changed func(*Decrees)
}

// Check says what is wrong with the configuration, the file with the token among it, without a look at the source.
func (c *AuthorityConfig) Check() error {
	if problem := checkSource(c.Source); problem != "" {
		return fmt.Errorf("%w: authority: %s", ErrConfig, problem)
	}
	switch {
	case c.TokenFile == "":
	case !isURL(c.Source):
		return fmt.Errorf("%w: authority: a token is for a URL, and the source is the file %s", ErrConfig, c.Source)
	default:
		if _, err := readToken(c.TokenFile); err != nil {
			return fmt.Errorf("%w: authority: %w", ErrConfig, err)
		}
	}
	if c.Every != 0 && c.Every < minEvery {
		return fmt.Errorf("%w: authority: it is asked every %s: expected at least %s", ErrConfig, c.Every, minEvery)
	}
	return nil
}

// Authority keeps what somebody outside of the gateway says of who may call which endpoints. While it cannot be asked, or says
// what cannot be read, its last word counts. It may be used concurrently.
type Authority struct {
	cfg    AuthorityConfig
	log    *slog.Logger
	loader loader[Decrees]

	mu       sync.Mutex
	current  *Decrees // nil: it has not been reached
	at       time.Time
	failed   error // of the last time that it was asked; nil: it answered
	since    time.Time
	failures int
	next     time.Time
}

// NewAuthority checks the configuration, whose errors wrap [ErrConfig], and reads a source that is a file. Nothing is fetched
// before [Authority.Run].
func NewAuthority(cfg AuthorityConfig) (*Authority, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	a := &Authority{cfg: cfg, log: cfg.Logger}
	if a.log == nil {
		a.log = slog.Default()
	}
	if isURL(cfg.Source) {
		r := newRemote[Decrees](decreed, cfg.Source, cfg.TLS)
		r.tokenFile, a.loader = cfg.TokenFile, r
		return a, nil
	}
	a.loader = &file[Decrees]{document: decreed, path: cfg.Source}
	a.ask(context.Background())
	if a.failed != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, a.failed)
	}
	return a, nil
}

// Decrees is its last word; nil: it has not been reached yet.
func (a *Authority) Decrees() *Decrees {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// Run asks again and again until ctx ends. It may be called once.
func (a *Authority) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(a.ask(ctx))
	}
}

// ask asks once, and returns how long to wait for the next time.
func (a *Authority) ask(ctx context.Context) time.Duration {
	old := a.Decrees()
	said, _, err := a.loader.load(ctx, false, func(text []byte) (*Decrees, error) {
		sum := sha256.Sum256(text)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		if old != nil && old.Digest == digest {
			return old, nil
		}
		rules, err := parseDecrees(text)
		return &Decrees{Rules: rules, Digest: digest}, err
	})
	if ctx.Err() != nil {
		return 0 // Run ends
	}
	if said == nil || err != nil {
		said = old // a file that has not changed, or nothing that could be understood
	}
	changed, wait := a.settle(said, err, time.Now())
	if changed && a.cfg.Changed != nil {
		a.cfg.Changed(said)
	}
	return wait
}

// settle takes in what came of asking.
func (a *Authority) settle(said *Decrees, err error, now time.Time) (changed bool, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait = a.loader.pace(a.cfg.Every*5/4, 0) // of which a remote one takes four fifths
	if err != nil {
		if a.failed == nil {
			a.since = now
		}
		if a.failed == nil || a.failed.Error() != err.Error() {
			a.log.Warn("the authority over who may call what cannot be asked: its last word counts", "error", err, "reached", a.current != nil)
		}
		a.failed = err
		a.failures++
		wait = min(wait, a.loader.pace(0, a.failures))
	} else {
		if a.failed != nil {
			a.log.Info("the authority over who may call what can be asked again")
		}
		a.failed, a.since, a.failures, a.at = nil, time.Time{}, 0, now
	}
	changed = said != a.current
	if changed {
		a.current = said
		a.log.Info("the authority says who may call what", "rules", len(said.Rules), "digest", said.Digest)
	}
	a.next = now.Add(wait)
	return changed, wait
}

// AuthorityStatus is what is known of an authority.
type AuthorityStatus struct {
	Source    string        `json:"source"`
	Reached   bool          `json:"reached"` // at least once: its last word counts
	Rules     int           `json:"rules"`
	Digest    string        `json:"digest,omitempty"`
	AskedAt   time.Time     `json:"askedAt,omitzero"` // when it last answered
	Age       time.Duration `json:"age"`              // since then, in nanoseconds
	LastError string        `json:"lastError,omitempty"`
	FailsFrom time.Time     `json:"failsFrom,omitzero"` // since when it cannot be asked
	NextAt    time.Time     `json:"nextAt,omitzero"`
}

// Status is what is known now.
func (a *Authority) Status() AuthorityStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := AuthorityStatus{Source: a.cfg.Source, Reached: a.current != nil, AskedAt: a.at, FailsFrom: a.since, NextAt: a.next}
	if a.current != nil {
		s.Rules, s.Digest = len(a.current.Rules), a.current.Digest
	}
	if !a.at.IsZero() {
		s.Age = time.Since(a.at)
	}
	if a.failed != nil {
		s.LastError = a.failed.Error()
	}
	return s
}

// parseDecrees reads a document of rules, and takes it whole or not at all:
//
//	{"services": {"billing": {"POST /invoices": {"claims": [{"type": "scope", "value": "billing:write"}]},
//	                          "GET /prices":    {"public": "printed in every catalogue"}}}}
//
// Members of other names, and names that stand twice, are errors: a rule that is misspelt must not be one that is missing.
func parseDecrees(text []byte) ([]Rule, error) {
	if len(text) > maxDecrees {
		return nil, fmt.Errorf("it has over %d bytes", maxDecrees)
	}
	p := &decreeParser{d: json.NewDecoder(bytes.NewReader(text))}
	found := false
	err := p.object("", func(name, at string) error {
		if name != "services" {
			return p.unknown(at, "services")
		}
		found = true
		return p.object(at, p.service)
	})
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(text[p.d.InputOffset():])) > 0:
		return nil, errors.New("something follows the JSON object")
	case !found:
		return nil, errors.New(`it has no member "services"`)
	}
	return p.rules, nil
}

// decreeParser reads a document token by token: encoding/json takes names in any letter case, and the last of two.
type decreeParser struct {
	d     *json.Decoder
	rules []Rule
	known map[string]bool // service and identity
}

// object reads an object; each reads the value of a member, whose place is a JSON pointer.
func (p *decreeParser) object(at string, each func(name, at string) error) error {
	if t, err := p.d.Token(); err != nil || t != json.Delim('{') {
		return p.expected(at, "an object", err)
	}
	names := map[string]bool{}
	for p.d.More() {
		t, err := p.d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return p.expected(at, "a name", err)
		}
		below := at + "/" + pointer(name)
		if names[name] {
			return fmt.Errorf("%.200s: it is there twice", below)
		}
		names[name] = true
		if err := each(name, below); err != nil {
			return err
		}
	}
	if _, err := p.d.Token(); err != nil {
		return p.expected(at, "the end of the object", err)
	}
	return nil
}

func (p *decreeParser) service(service, at string) error {
	if err := spec.CheckService(service); err != nil {
		return fmt.Errorf("%.200s: %w", at, err)
	}
	return p.object(at, func(endpoint, at string) error {
		identity, err := spec.ParseIdentity(endpoint)
		if err != nil {
			return fmt.Errorf("%.200s: %w", at, err)
		}
		key := service + " " + identity
		if p.known[key] {
			return fmt.Errorf("%.200s: the same endpoint is there twice: the names of path parameters do not count", at)
		}
		if len(p.rules) == maxRules {
			return fmt.Errorf("it has more than %d endpoints", maxRules)
		}
		if p.known == nil {
			p.known = map[string]bool{}
		}
		p.known[key] = true
		return p.rule(Rule{Service: service, Endpoint: endpoint}, at)
	})
}

func (p *decreeParser) rule(r Rule, at string) error {
	err := p.object(at, func(name, at string) (err error) {
		switch name {
		case "public":
			r.Public, err = p.word(at)
			return err
		case "claims":
			r.Claims, err = p.claims(at)
			return err
		}
		return p.unknown(at, "claims or public")
	})
	if err != nil {
		return err
	}
	if (r.Public == "") == (len(r.Claims) == 0) {
		return fmt.Errorf("%.200s: expected either claims, or why it is public", at)
	}
	p.rules = append(p.rules, r)
	return nil
}

func (p *decreeParser) claims(at string) ([]spec.ClaimRequirement, error) {
	if t, err := p.d.Token(); err != nil || t != json.Delim('[') {
		return nil, p.expected(at, "a list", err)
	}
	var list []spec.ClaimRequirement
	for p.d.More() {
		if len(list) == spec.MaxFields {
			return nil, fmt.Errorf("%.200s: more than %d claims", at, spec.MaxFields)
		}
		var c spec.ClaimRequirement
		below := fmt.Sprintf("%s/%d", at, len(list))
		err := p.object(below, func(name, at string) (err error) {
			switch name {
			case "type":
				c.Type, err = p.word(at)
				return err
			case "value":
				if c.Value, err = p.word(at); err == nil && c.Value == "" {
					err = fmt.Errorf("%.200s: it is empty: leave it out for any value", at)
				}
				return err
			}
			return p.unknown(at, "type or value")
		})
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			return nil, fmt.Errorf("%.200s: %w", below, err)
		}
		list = append(list, c)
	}
	if _, err := p.d.Token(); err != nil {
		return nil, p.expected(at, "the end of the list", err)
	}
	return list, nil
}

func (p *decreeParser) word(at string) (string, error) {
	t, err := p.d.Token()
	s, ok := t.(string)
	if err != nil || !ok {
		return "", p.expected(at, "a string", err)
	}
	return s, nil
}

func (p *decreeParser) unknown(at, want string) error {
	return fmt.Errorf("%.200s: there is no such member: expected %s", at, want)
}

func (p *decreeParser) expected(at, want string, err error) error {
	if at == "" {
		at = "/"
	}
	if err != nil {
		return fmt.Errorf("%.200s: expected %s: %w", at, want, err)
	}
	return fmt.Errorf("%.200s: expected %s", at, want)
}

// pointer is a name as a JSON pointer has it (RFC 6901, section 3).
func pointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
