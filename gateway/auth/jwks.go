package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Bounds of a key set, and of fetching one.
const (
	maxKeySet    = 1 << 20 // bytes
	maxKeys      = 100
	minRSA       = 2048 // bits (RFC 8725, section 3.5)
	fetchTimeout = 5 * time.Second
	minFresh     = time.Minute
	maxFresh     = 24 * time.Hour
	defaultFresh = 15 * time.Minute // where the answer does not say
	minBackoff   = time.Second
	maxBackoff   = time.Minute
	fileLook     = time.Second // the least between two looks at a file
)

// ErrKeys is what errors wrap that are nobody's but the gateway's and the issuer's: there is no key to check a token with.
var ErrKeys = errors.New("auth: no keys")

// key is one public key of an issuer.
type key struct {
	id, alg string // alg is empty where the issuer does not say
	public  any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// keySet is what an issuer had when it was asked. It is immutable.
type keySet struct {
	byID    map[string][]key
	all     []key
	fetched time.Time
	fresh   time.Duration // how long the issuer says it may be kept
}

// keySource keeps an issuer's keys. It may be used concurrently: requests read one pointer, and of those that have to wait
// for a fetch one makes it.
type keySource struct {
	issuer Issuer
	client *http.Client

	current atomic.Pointer[keySet]

	mu       sync.Mutex // held while fetching, and by whoever waits for that
	tried    time.Time  // when a fetch began last
	failed   int        // fetches in a row
	unknown  time.Time  // when a fetch was made for a key that was not known
	failure  string     // why the last fetch failed; empty: it did not
	fileSize int64
	fileTime time.Time
	looked   time.Time // at the file
}

func newKeySource(issuer Issuer) *keySource {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.DisableKeepAlives = true                           // it is asked once in many minutes
	return &keySource{issuer: issuer, client: &http.Client{
		Timeout: fetchTimeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects: name the address where the keys are") // elsewhere is not where the operator looked
		},
	}}
}

// find returns the keys that may have signed a token: those with its kid, or all of a token without one.
func (s *keySource) find(ctx context.Context, kid string, now time.Time) ([]key, *keySet, error) {
	set := s.current.Load()
	if set == nil || now.Sub(set.fetched) > s.issuer.MaxStale+set.fresh || s.isFile() {
		var err error
		if set, err = s.fetched(ctx, now, set); err != nil {
			return nil, nil, err
		}
	}
	if kid == "" {
		return set.all, set, nil
	}
	keys := set.byID[kid]
	if len(keys) == 0 {
		set = s.lookFor(ctx, now, set)
		keys = set.byID[kid]
	}
	return keys, set, nil
}

func (s *keySource) isFile() bool { return !strings.Contains(s.issuer.JWKS, "://") }

// fetched makes sure that there are keys that count. Whoever comes while somebody fetches waits for that.
func (s *keySource) fetched(ctx context.Context, now time.Time, seen *keySet) (*keySet, error) {
	if s.isFile() {
		return s.fromFile(now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.current.Load(); set != nil && set != seen {
		return set, nil
	}
	if wait := s.backoff(); s.failed > 0 && now.Sub(s.tried) < wait {
		return nil, fmt.Errorf("%w of %s: %s", ErrKeys, s.issuer.Issuer, s.failure)
	}
	return s.fetch(ctx, now)
}

// lookFor fetches for a key that is not known, unless that was done a moment ago: whoever makes keys up does not make the
// gateway ask. It returns what is known then.
func (s *keySource) lookFor(ctx context.Context, now time.Time, seen *keySet) *keySet {
	if s.isFile() {
		return seen // fromFile has looked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.current.Load(); set != seen { // somebody has fetched
		return set
	}
	if !s.unknown.IsZero() && now.Sub(s.unknown) < s.issuer.Cooldown {
		return seen
	}
	s.unknown = now
	if set, err := s.fetch(ctx, now); err == nil {
		return set
	}
	return seen
}

// backoff is how long to wait after so many failures. The caller holds mu.
func (s *keySource) backoff() time.Duration {
	return min(minBackoff<<min(max(s.failed-1, 0), 6), maxBackoff) //nolint:mnd // more are over the most anyway
}

// due is when the keys should be fetched again: before they are stale, each gateway at another moment.
func (s *keySource) due() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.current.Load()
	if s.failed > 0 || set == nil {
		return s.tried.Add(s.backoff())
	}
	early := time.Duration(rand.Int64N(int64(set.fresh)/10) + 1) //nolint:gosec,mnd // a tenth, to spread load; guards nothing
	return set.fetched.Add(set.fresh*4/5 - early)                //nolint:mnd // well before its end
}

// refresh fetches because it is time to.
func (s *keySource) refresh(ctx context.Context, now time.Time) error {
	if s.isFile() {
		_, err := s.fromFile(now)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.fetch(ctx, now)
	return err
}

// fetch asks the issuer. The caller holds mu.
func (s *keySource) fetch(ctx context.Context, now time.Time) (*keySet, error) {
	s.tried = now
	set, err := s.ask(context.WithoutCancel(ctx)) // others wait for it, too; the client has a timeout
	if err != nil {
		s.failed++
		s.failure = err.Error()
		return nil, fmt.Errorf("%w of %s: %w", ErrKeys, s.issuer.Issuer, err)
	}
	s.failed, s.failure = 0, ""
	set.fetched = now
	s.current.Store(set)
	return set, nil
}

func (s *keySource) ask(ctx context.Context) (*keySet, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer.JWKS, nil)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	q.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("jwks: %s answers %s", s.issuer.JWKS, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	set, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	set.fresh = freshness(resp.Header.Get("Cache-Control"))
	return set, nil
}

// freshness is how long an answer may be kept (RFC 9111, section 5.2.2.1), within bounds.
func freshness(cacheControl string) time.Duration {
	for part := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && n >= 0 {
			return min(max(time.Duration(min(n, int(maxFresh/time.Second)))*time.Second, minFresh), maxFresh)
		}
	}
	return defaultFresh
}

// fromFile returns what the file says, which is read again when it has changed. A broken one leaves what it said before.
func (s *keySource) fromFile(now time.Time) (*keySet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.current.Load()
	if set != nil && now.Sub(s.looked) < fileLook {
		return set, nil
	}
	s.looked = now
	info, err := os.Stat(s.issuer.JWKS)
	if err == nil && set != nil && info.Size() == s.fileSize && info.ModTime().Equal(s.fileTime) {
		return set, nil
	}
	var next *keySet
	if err == nil {
		next, err = readKeys(s.issuer.JWKS)
	}
	if err != nil {
		s.failed++
		s.failure = err.Error()
		if set != nil {
			return set, nil
		}
		return nil, fmt.Errorf("%w of %s: %w", ErrKeys, s.issuer.Issuer, err)
	}
	s.failed, s.failure, s.fileSize, s.fileTime = 0, "", info.Size(), info.ModTime()
	next.fetched, next.fresh = now, maxFresh
	s.current.Store(next)
	return next, nil
}

func readKeys(name string) (*keySet, error) {
	f, err := os.Open(name) //nolint:gosec // the file is configuration
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read only
	text, err := io.ReadAll(io.LimitReader(f, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	return parseKeys(text)
}

// parseKeys reads a JWK Set (RFC 7517, section 5). Keys that are not for signatures, secret, of a kind that the gateway does
// not know, or too short are left out.
func parseKeys(text []byte) (*keySet, error) {
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("jwks: over %d bytes", maxKeySet)
	}
	parsed, err := jwk.Parse(text, jwk.WithIgnoreParseError(true))
	if err != nil {
		return nil, fmt.Errorf("jwks: not a set of keys: %w", err)
	}
	if parsed.Len() > maxKeys {
		return nil, fmt.Errorf("jwks: %d keys, expected at most %d", parsed.Len(), maxKeys)
	}
	set := &keySet{byID: map[string][]key{}}
	for i := range parsed.Len() {
		k, ok := parsed.Key(i)
		if !ok {
			continue
		}
		if use, has := k.KeyUsage(); has && use != "sig" {
			continue
		}
		var raw any
		if err := jwk.Export(k, &raw); err != nil {
			continue
		}
		one := key{}
		switch public := raw.(type) {
		case *rsa.PublicKey:
			if public.N.BitLen() < minRSA {
				continue
			}
			one.public = public
		case *ecdsa.PublicKey, ed25519.PublicKey:
			one.public = public
		default:
			continue
		}
		one.id, _ = k.KeyID()
		if alg, has := k.Algorithm(); has {
			one.alg = alg.String()
		}
		set.all = append(set.all, one)
		if one.id != "" {
			set.byID[one.id] = append(set.byID[one.id], one)
		}
	}
	if len(set.all) == 0 {
		return nil, errors.New("jwks: no key that may sign tokens: RSA of at least 2048 bits, EC or Ed25519")
	}
	return set, nil
}

// KeyStatus is what operators see of an issuer's keys.
type KeyStatus struct {
	Issuer  string    `json:"issuer"`
	Keys    []string  `json:"keys"` // their ids
	Fetched time.Time `json:"fetched,omitzero"`
	Failure string    `json:"failure,omitempty"` // why the last fetch failed
}

func (s *keySource) status() KeyStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := KeyStatus{Issuer: s.issuer.Issuer, Keys: []string{}, Failure: s.failure}
	if set := s.current.Load(); set != nil {
		st.Fetched = set.fetched.UTC()
		for _, k := range set.all {
			st.Keys = append(st.Keys, k.id)
		}
	}
	return st
}
