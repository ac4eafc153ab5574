package admin

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Role is what an operator may do. Each may do what those before it may.
type Role int

// The roles.
const (
	Viewer        Role = iota + 1 // sees everything but profiles
	Changer                       // ends requests, takes instances out of routing, has the configuration read anew
	Administrator                 // sees profiles, which may hold whatever is in memory
)

var roles = []string{"", "viewer", "operator", "admin"}

func (r Role) String() string { return roles[r] }

// Operator is who asks.
type Operator struct {
	Name string
	Role Role
}

// Access says who may ask.
type Access struct {
	// Tokens are those that operators have. Nil: there are none, and whoever reaches the address may do everything.
	Tokens *Tokens
	// Hosts are names that the address may be asked by, beside those of loopback and addresses: a page of another site that
	// makes its name point here is refused by its name.
	Hosts []string
}

// local is who asks where nobody has a token.
var local = Operator{"local", Administrator}

var (
	errNoToken    = errors.New("expected an operator's token: Authorization: Bearer TOKEN")
	errWrongToken = errors.New("the token is no operator's")
)

// operator is who makes a request.
func (a *Access) operator(r *http.Request) (Operator, error) {
	if a.Tokens == nil {
		return local, nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return Operator{}, errNoToken
	}
	return a.Tokens.of(token)
}

func (a *Access) checkHost(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "" || host == "localhost" || net.ParseIP(host) != nil || slices.Contains(a.Hosts, host) {
		return nil
	}
	return fmt.Errorf("this address is not called %.80q: ask it by its address, or name it in admin.hosts", host)
}

const (
	minToken     = 16       // characters
	maxTokenFile = 64 << 10 // bytes
)

// Tokens are those of a file with lines of NAME ROLE TOKEN, which is read again when it has changed. It may be used
// concurrently.
type Tokens struct {
	file string
	log  *slog.Logger

	mu     sync.Mutex
	listed map[[sha256.Size]byte]Operator // by the token's digest, so that comparing tells nothing by its time
	size   int64
	at     time.Time
	broken string // what was wrong with the file at last
}

// NewTokens reads the file for the first time.
func NewTokens(file string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{file: file, log: log}
	return t, t.read()
}

func (t *Tokens) of(token string) (Operator, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if info, err := os.Stat(t.file); err != nil || info.Size() != t.size || !info.ModTime().Equal(t.at) {
		if err := t.read(); err != nil && err.Error() != t.broken {
			t.broken = err.Error()
			t.log.Warn("the operators' tokens that were read before stay good", "error", err)
		}
	}
	who, ok := t.listed[sha256.Sum256([]byte(token))]
	if !ok {
		return Operator{}, errWrongToken
	}
	return who, nil
}

// read reads the file. The caller holds mu, or is the only one.
func (t *Tokens) read() error {
	f, err := os.Open(t.file)
	if err != nil {
		return fmt.Errorf("admin: tokens: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read only
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("admin: tokens: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return fmt.Errorf("admin: tokens: %w", err)
	}
	listed, err := parseTokens(t.file, text)
	if err != nil {
		return err
	}
	t.listed, t.size, t.at, t.broken = listed, info.Size(), info.ModTime(), ""
	return nil
}

// parseTokens reads lines of NAME ROLE TOKEN. Empty lines, and those that begin with #, say nothing.
func parseTokens(name string, text []byte) (map[[sha256.Size]byte]Operator, error) {
	if len(text) > maxTokenFile {
		return nil, fmt.Errorf("admin: tokens: %s: over %d bytes", name, maxTokenFile)
	}
	listed := map[[sha256.Size]byte]Operator{}
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 3 || slices.Index(roles, fields[1]) < 1 || len(fields[2]) < minToken {
			errs = append(errs, fmt.Errorf("admin: tokens: %s:%d: expected NAME ROLE TOKEN, the role being %s, and the token at least %d characters",
				name, n, strings.Join(roles[1:], ", "), minToken))
			continue
		}
		digest := sha256.Sum256([]byte(fields[2]))
		if other, twice := listed[digest]; twice {
			errs = append(errs, fmt.Errorf("admin: tokens: %s:%d: it is the token of %s, too", name, n, other.Name))
			continue
		}
		listed[digest] = Operator{fields[0], Role(slices.Index(roles, fields[1]))}
	}
	if err := errors.Join(append(errs, lines.Err())...); err != nil {
		return nil, err
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("admin: tokens: %s holds no token", name)
	}
	return listed, nil
}
