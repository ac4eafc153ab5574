package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	minFresh     = time.Minute
	maxFresh     = 24 * time.Hour
	defaultFresh = 10 * time.Minute // where the answer does not say

	// filePace is how often a file is looked at.
	filePace = time.Second
	// fileFresh is how long a file's content is good for after it was last looked at.
	fileFresh = time.Minute

	maxAnswerHeader = 64 << 10 // bytes
)

// document is what is loaded, in words, and how long it may be.
type document struct {
	what   string // at the beginning of errors
	accept string // media types, for who serves it
	limit  int64  // bytes
}

// keySets are what issuers publish.
var keySets = document{"key set", "application/jwk-set+json, application/json", maxKeySet}

// remote gets a document by HTTP.
type remote[T any] struct {
	document

	url       string
	tokenFile string // with what it is asked, read each time; empty: without
	client    *http.Client
}

// newRemote makes its own client: one that keeps no connection for an hour, and goes nowhere else than to url.
func newRemote[T any](d document, url string, config *tls.Config) *remote[T] {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &remote[T]{document: d, url: url, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config.Clone(), DisableKeepAlives: true,
			DisableCompression: true, MaxResponseHeaderBytes: maxAnswerHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (r *remote[T]) load(ctx context.Context, _ bool, parse func([]byte) (*T, error)) (*T, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", r.what, err)
	}
	q.Header.Set("Accept", r.accept)
	q.Header.Set("User-Agent", "stella-gateway")
	if r.tokenFile != "" {
		token, err := readToken(r.tokenFile)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", r.what, err)
		}
		q.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := r.client.Do(q)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", r.what, err)
	}
	defer func() { _ = a.Body.Close() }() // it was read
	if a.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s: %s answered %s: expected 200, redirects are not followed", r.what, r.url, a.Status)
	}
	text, err := readAtMost(a.Body, r.limit)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %s: %w", r.what, r.url, err)
	}
	set, err := parse(text)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %s: %w", r.what, r.url, err)
	}
	return set, freshness(a.Header), nil
}

// maxTokenFile bounds a file with a token, in bytes.
const maxTokenFile = 16 << 10

// readToken reads a token (RFC 6750, section 2.1) from a file that has nothing else but white space around it.
func readToken(path string) (string, error) {
	r, err := os.Open(path) //nolint:gosec // the operator has named it
	if err != nil {
		return "", fmt.Errorf("the token: %w", err)
	}
	defer func() { _ = r.Close() }() // it was only read
	text, err := readAtMost(r, maxTokenFile)
	if err != nil {
		return "", fmt.Errorf("the token in %s: %w", path, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s: expected a token of visible ASCII characters, and nothing else", path)
	}
	return token, nil
}

// pace fetches anew after three to four fifths of the time, so that a failure or two cost nothing.
func (*remote[T]) pace(fresh time.Duration, failures int) time.Duration {
	if failures == 0 {
		return jitter(fresh * 4 / 5)
	}
	return jitter(min(minBackOff<<min(failures-1, 10), maxBackOff))
}

func (*remote[T]) cooldown(d time.Duration) time.Duration { return d }

// freshness is how long an answer is good for: what is left of max-age (RFC 9111, section 4.2), within bounds.
func freshness(h http.Header) time.Duration {
	fresh := defaultFresh
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			fresh = seconds(strings.Trim(value, `"`)) - seconds(h.Get("Age"))
		}
	}
	return min(max(fresh, minFresh), maxFresh)
}

// seconds is zero for what is no number, and no more than twice what counts.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(n, uint64(2*maxFresh/time.Second))) * time.Second
}

// file reads a document from a file, when the file has changed.
type file[T any] struct {
	document

	path  string
	last  os.FileInfo // as it was when it was read; nil: never
	error error       // what came of that
}

func (f *file[T]) load(_ context.Context, asked bool, parse func([]byte) (*T, error)) (*T, time.Duration, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", f.what, err)
	}
	if !info.Mode().IsRegular() { // anything else may never end
		return nil, 0, fmt.Errorf("%s: %s is not a file", f.what, f.path)
	}
	same := f.last != nil && os.SameFile(f.last, info) && f.last.ModTime().Equal(info.ModTime()) && f.last.Size() == info.Size()
	if same && !asked {
		return nil, fileFresh, f.error
	}
	set, err := f.read(parse)
	f.last, f.error = info, err
	return set, fileFresh, err
}

func (f *file[T]) read(parse func([]byte) (*T, error)) (*T, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.what, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	text, err := readAtMost(r, f.limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", f.what, f.path, err)
	}
	set, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", f.what, f.path, err)
	}
	return set, nil
}

func (*file[T]) pace(time.Duration, int) time.Duration { return filePace }

func (*file[T]) cooldown(time.Duration) time.Duration { return filePace }

// readAtMost refuses what is longer than limit, having read one byte of the rest.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("it has over %d bytes", limit)
	}
	return text, nil
}
