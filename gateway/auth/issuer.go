package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The values of an [Issuer] that says nothing else.
const (
	DefaultSkew     = 30 * time.Second
	DefaultMaxStale = time.Hour
	DefaultCooldown = 30 * time.Second

	defaultTenantClaim  = "tenant"
	fallbackTenantClaim = "tid"

	maxSkew     = 5 * time.Minute
	maxMaxStale = 7 * 24 * time.Hour
	minCooldown = time.Second
	maxCooldown = time.Hour
)

// Algorithms are those that an [Issuer] can be allowed. With any of them the gateway holds nothing that could sign.
var Algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// Issuer is one issuer of tokens, and what its tokens must be like. It is plain data.
type Issuer struct {
	Issuer     string   // as tokens say it in iss, compared byte for byte
	Audiences  []string // a token must be for one of them (aud)
	Algorithms []string // that its keys may sign with; see [Algorithms]
	// JWKS is where its keys are: a URL by https (by http from this machine only), or the path of a file.
	JWKS string

	Skew time.Duration // how far its clock may differ from the gateway's; [DefaultSkew], at most 5 minutes

	// TenantClaim names the claim that says which tenant the caller belongs to. Empty: tenant, and tid where that is missing.
	TenantClaim string
	// TenantsClaim names the claim that lists the tenants which the caller may choose from. Empty: there is no choice.
	TenantsClaim string

	// MaxStale is how long keys are used after they should have been fetched again, while they cannot be: from then on no
	// token of the issuer is taken. [DefaultMaxStale]; at most 7 days.
	MaxStale time.Duration
	// Cooldown is how often tokens with unknown keys can make the gateway ask for the keys: once in that time.
	// [DefaultCooldown]; 1 second to 1 hour. Files are read again once a second at most, whatever it is.
	Cooldown time.Duration

	// anyTenant takes a tenant that is none for none: a development token may have to hold two to call everything.
	anyTenant bool
}

// FieldError is one fault of an [Issuer].
type FieldError struct {
	Field   string // JSON pointer within the issuer as it stands in the configuration's file, such as /algorithms/1
	Problem string // what was expected, what came
}

func (f *FieldError) Error() string { return strings.TrimPrefix(f.Field, "/") + ": " + f.Problem }

// setting is what the fault is about, as gateway.yaml has it below an issuer: .algorithms[1].
func (f *FieldError) setting() string {
	field, item, isItem := strings.Cut(strings.TrimPrefix(f.Field, "/"), "/")
	if isItem {
		return "." + field + "[" + item + "]"
	}
	return "." + field
}

// Check returns every fault at once, each a [*FieldError], joined by [errors.Join]. It opens no file and asks no one.
func (i *Issuer) Check() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch i.Issuer {
	case "":
		fault("/issuer", "it is empty: expected what tokens say in iss")
	case devIssuer:
		fault("/issuer", "%q is the development key's own", devIssuer)
	}
	if len(i.Audiences) == 0 {
		fault("/audiences", "it is empty: expected at least one, or tokens that were issued for others would be taken")
	}
	for n, a := range i.Audiences {
		if a == "" {
			fault(item("/audiences", n), "it is empty")
		}
	}
	if len(i.Algorithms) == 0 {
		fault("/algorithms", "it is empty: expected one or more of %s", strings.Join(Algorithms, ", "))
	}
	for n, a := range i.Algorithms {
		if !slices.Contains(Algorithms, a) {
			fault(item("/algorithms", n), "%q is none of %s", a, strings.Join(Algorithms, ", "))
		}
	}
	if i.JWKS == "" {
		fault("/jwks", "it is empty: expected the URL of a JSON Web Key Set, or the path of a file that holds one")
	} else if problem := checkSource(i.JWKS); problem != "" {
		fault("/jwks", "%s", problem)
	}
	within := func(field string, d, low, high time.Duration) {
		if d != 0 && (d < low || d > high) {
			fault(field, "it is %s: expected %s to %s", d, low, high)
		}
	}
	within("/skew", i.Skew, 0, maxSkew)
	within("/maxStale", i.MaxStale, 0, maxMaxStale)
	within("/cooldown", i.Cooldown, minCooldown, maxCooldown)
	return errors.Join(faults...)
}

func item(field string, n int) string { return field + "/" + strconv.Itoa(n) }

// checkSource says what is wrong with the place of a document: a URL, or the path of a file.
func checkSource(s string) string {
	if !isURL(s) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return "it is not a URL"
	}
	switch {
	case u.Host == "" || u.Hostname() == "":
		return "it names no host"
	case u.User != nil || u.Fragment != "":
		return "it has a login or a fragment: expected neither, since what is there is no secret"
	case u.Scheme == "https":
	case u.Scheme != "http":
		return fmt.Sprintf("its scheme is %q: expected https, or the path of a file", u.Scheme)
	case !isLoopback(u.Hostname()):
		return "it is http and not on this machine: expected https, or anyone on the way could replace what is there"
	}
	return ""
}

func isURL(s string) bool { return strings.Contains(s, "://") }

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// withDefaults fills in what was left out.
func withDefaults(i Issuer) Issuer {
	if i.Skew == 0 {
		i.Skew = DefaultSkew
	}
	if i.MaxStale == 0 {
		i.MaxStale = DefaultMaxStale
	}
	if i.Cooldown == 0 {
		i.Cooldown = DefaultCooldown
	}
	return i
}
