package admin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/stella-ops/router/transports/trust"
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

// crossOrigin knows browsers by what they say of a request's origin (Sec-Fetch-Site, else Origin), which other programs do not.
var crossOrigin = http.NewCrossOriginProtection()

// checkOrigin refuses requests that may change something and that a browser sends for a page of another origin: where operators
// have no tokens, every page that is open on this machine could make changes. The answers to other requests such a page cannot read.
func checkOrigin(r *http.Request) error {
	if err := crossOrigin.Check(r); err != nil {
		return fmt.Errorf("a page of another origin (%.80q) asks for a change, and changes are made from a shell or from pages of this address: %w",
			r.Header.Get("Origin"), err)
	}
	return nil
}

// minToken is the least length of a token, in bytes.
const minToken = 16

// digest is a token's SHA-256: looking one up tells nothing by its time.
type digest = [sha256.Size]byte

// Tokens are those of a file with lines of NAME ROLE TOKEN, which is read again when it has changed. It may be used
// concurrently.
type Tokens struct {
	listed *trust.Watched[map[digest]Operator]
}

// NewTokens reads the file for the first time.
func NewTokens(file string, log *slog.Logger) (*Tokens, error) {
	listed := &trust.Watched[map[digest]Operator]{
		Files: []string{file}, Read: func() (map[digest]Operator, error) { return readTokens(file, log) },
		Broken: func(err error) { log.Warn("the operators' tokens", "error", err) },
	}
	if _, err := listed.Get(); err != nil {
		return nil, err
	}
	return &Tokens{listed}, nil
}

func (t *Tokens) of(token string) (Operator, error) {
	listed, _ := t.listed.Get() // it has been read: there is no error
	who, ok := listed[sha256.Sum256([]byte(token))]
	if !ok {
		return Operator{}, errWrongToken
	}
	return who, nil
}

// readTokens reads lines of NAME ROLE TOKEN.
func readTokens(file string, log *slog.Logger) (map[digest]Operator, error) {
	listed := map[digest]Operator{}
	err := trust.Words(file, log, func(words []string) error {
		if len(words) != 3 || slices.Index(roles, words[1]) < 1 || len(words[2]) < minToken {
			return fmt.Errorf("expected NAME ROLE TOKEN, the role being %s, and the token at least %d characters",
				strings.Join(roles[1:], ", "), minToken)
		}
		token := sha256.Sum256([]byte(words[2]))
		if other, twice := listed[token]; twice {
			return fmt.Errorf("it is the token of %s, too", other.Name)
		}
		listed[token] = Operator{words[0], Role(slices.Index(roles, words[1]))}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("admin: tokens: %w", err)
	}
	return listed, nil
}
