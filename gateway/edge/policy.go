package edge

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"strconv"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/coding"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/static"
	"github.com/stella-ops/router/internal/fault"
)

// Policy is what can change while the gateway runs. A request keeps the policy that it came under.
type Policy struct {
	// CORS says which sites' pages may read answers (Fetch standard, section 3.3). Of the entries whose Path a request is
	// at or below, the one with the longest counts.
	CORS []CORS
	// Certificates is how clients' certificates prove who calls. Nil: they do not.
	Certificates *auth.CertRule
	// TenantHeader is the request header field by which callers choose one of their tenants; such as [DefaultTenantHeader].
	// Empty: they act for their own, and nothing they send changes that.
	TenantHeader string
	// Compression says which answers are compressed. The zero value is none.
	Compression coding.Rule
	// Static are folders of files that are served where neither a service nor the gateway itself has the path, nor a legacy route as many
	// of whose path's segments are literals before the first parameter as Path has. Of the entries whose
	// Path a request is at or below, the one with the longest counts.
	Static []static.Dir
	// AccessLog has each request that is over be logged at level info, and not only at debug.
	AccessLog bool
	// Envelope is a signed copy of the identity for bridged handlers. Nil: there is none.
	Envelope *Envelope
	// Legacy is which requests go to HTTP servers that have not moved yet.
	Legacy legacy.Config
}

// prepared is a policy as requests use it.
type prepared struct {
	cors         []cors        // the longest path first
	certificates *certificates // nil: none proves who calls
	tenantHeader string        // canonical; empty: nobody chooses
	seals        *seals        // nil: there are no envelopes
	folders      []*static.Dir // of files; the longest path first
	accessLog    bool
	compression  *coding.Rule // nil: nothing is compressed
	legacy       *legacyTable // nil: there are no legacy routes
}

// Check says everything that is wrong with a policy.
func (p *Policy) Check() error {
	_, err := p.prepare()
	return err
}

func (p *Policy) prepare() (*prepared, error) {
	out := &prepared{accessLog: p.AccessLog}
	var errs []error
	for i := range p.CORS {
		c, err := p.CORS[i].prepare()
		errs = append(errs, fault.At("cors["+strconv.Itoa(i)+"]", err))
		out.cors = append(out.cors, c)
	}
	slices.SortStableFunc(out.cors, func(a, b cors) int { return len(b.path) - len(a.path) })
	for i := 1; i < len(out.cors); i++ {
		if out.cors[i].path == out.cors[i-1].path {
			errs = append(errs, fault.At("cors", errors.New("edge: CORS: two entries for the path "+out.cors[i].path)))
		}
	}
	for i := range p.Static {
		d := p.Static[i]
		if err := d.Check(); err != nil {
			errs = append(errs, fault.At("static["+strconv.Itoa(i)+"]", err))
		}
		out.folders = append(out.folders, &d)
	}
	slices.SortStableFunc(out.folders, func(a, b *static.Dir) int { return len(b.Path) - len(a.Path) })
	for i := 1; i < len(out.folders); i++ {
		if out.folders[i].Path == out.folders[i-1].Path {
			errs = append(errs, fault.At("static", errors.New("static: two folders for the path "+out.folders[i].Path)))
		}
	}
	if p.Certificates != nil {
		errs = append(errs, fault.At("certificates", p.Certificates.Check()))
		out.certificates = newCertificates(*p.Certificates)
	}
	if p.TenantHeader != "" {
		errs = append(errs, fault.At("tenant.header", checkTenantHeader(p.TenantHeader)))
		out.tenantHeader = http.CanonicalHeaderKey(p.TenantHeader)
	}
	errs = append(errs, fault.At("compression", p.Compression.Check()))
	if len(p.Compression.Types) > 0 {
		out.compression = &p.Compression
	}
	if p.Envelope != nil {
		made, err := newSeals(p.Envelope)
		errs = append(errs, fault.At("envelope.keyFile", err))
		out.seals = made
	}
	if len(p.Legacy.Upstreams)+len(p.Legacy.Routes) > 0 {
		table, err := newLegacyTable(&p.Legacy)
		errs = append(errs, err)
		out.legacy = table
	}
	return out, errors.Join(errs...)
}

// Apply puts a policy in force for the requests that come from now on, or says what is wrong with it.
func (e *Edge) Apply(p Policy) error {
	put, err := e.Prepare(p)
	if err != nil {
		return err
	}
	put()
	return nil
}

// Prepare says what is wrong with a policy, its files among it, or returns what puts it in force: nothing has changed before that
// is called.
func (e *Edge) Prepare(p Policy) (put func(), err error) {
	next, err := p.prepare()
	if err != nil {
		return nil, err
	}
	return func() {
		next.legacy.count(e.cfg.Telemetry)
		e.policy.Store(next)
	}, nil
}

// below reports whether a canonical path is at a prefix or below it.
func below(path, prefix string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix) && path[len(prefix)] == '/'
}

// folder is the one whose files are served at a canonical path; nil: there is none.
func (p *prepared) folder(path string) *static.Dir {
	for _, d := range p.folders {
		if below(path, d.Path) {
			return d
		}
	}
	return nil
}
