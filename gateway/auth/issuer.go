package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
)

// Issuer is somebody whose tokens the gateway takes. Zero fields mean the defaults.
type Issuer struct {
	Issuer     string   // iss, as its tokens have it
	Audiences  []string // a token has to be for one of them
	Algorithms []string // that may sign: see [Algorithms]
	// JWKS is where its keys are: an https URL, http on loopback alone, or a file.
	JWKS        string
	Skew        time.Duration // how far its clock and the gateway's may differ; [DefaultSkew]
	TenantClaim string        // the claim that names the caller's tenant; empty: tenant, or tid
	Cooldown    time.Duration // the least between two fetches for keys that are not known; [DefaultCooldown]
	MaxStale    time.Duration // how long keys count that cannot be fetched anew; [DefaultMaxStale]
}

// The defaults.
const (
	DefaultSkew     = 30 * time.Second
	DefaultCooldown = 30 * time.Second
	DefaultMaxStale = time.Hour
	maxSkew         = 5 * time.Minute
)

var algorithms = map[string]jwa.SignatureAlgorithm{
	"RS256": jwa.RS256(), "RS384": jwa.RS384(), "RS512": jwa.RS512(), "PS256": jwa.PS256(), "PS384": jwa.PS384(), "PS512": jwa.PS512(),
	"ES256": jwa.ES256(), "ES384": jwa.ES384(), "ES512": jwa.ES512(), "EdDSA": jwa.EdDSA(),
}

// Algorithms lists what may sign tokens. Whoever checks an HMAC could make one, and none is no signature: neither is there.
func Algorithms() []string {
	names := make([]string, 0, len(algorithms))
	for name := range algorithms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check says everything that is wrong with an issuer.
func (i *Issuer) Check() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("auth: issuer %q: "+format, append([]any{i.Issuer}, args...)...))
	}
	if i.Issuer == "" {
		fault("it has no name: expected what its tokens have as iss")
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		fault("expected at least one audience: without it, tokens for anybody else would do here")
	}
	if len(i.Algorithms) == 0 {
		fault("expected at least one algorithm of %s", strings.Join(Algorithms(), ", "))
	}
	for _, name := range i.Algorithms {
		if _, ok := algorithms[name]; !ok {
			fault("algorithm %.20q, expected one of %s", name, strings.Join(Algorithms(), ", "))
		}
	}
	if err := checkJWKS(i.JWKS); err != nil {
		fault("jwks %.200q: %w", i.JWKS, err)
	}
	if i.Skew < 0 || i.Skew > maxSkew {
		fault("skew %v, expected up to %v", i.Skew, maxSkew)
	}
	if i.Cooldown < 0 || i.MaxStale < 0 {
		fault("a time is negative")
	}
	return errors.Join(errs...)
}

func checkJWKS(text string) error {
	if text == "" {
		return errors.New("expected an https URL or a file")
	}
	if !strings.Contains(text, "://") {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err //nolint:wrapcheck // the caller says of what
	case u.Scheme == "https" && u.Host != "" && u.User == nil:
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()):
		return nil
	}
	return errors.New("expected an https URL without a login; http is for loopback alone, where nobody can change the keys on their way")
}

// withDefaults fills in the defaults.
func withDefaults(i Issuer) Issuer {
	if i.Skew == 0 {
		i.Skew = DefaultSkew
	}
	if i.Cooldown == 0 {
		i.Cooldown = DefaultCooldown
	}
	if i.MaxStale == 0 {
		i.MaxStale = DefaultMaxStale
	}
	return i
}
