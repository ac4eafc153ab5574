package routing

import (
	"fmt"
	"strings"

	"github.com/stella-ops/router/spec"
)

// Owners say by configuration which service owns a path and all that is below it: by path, such as /invoices. The
// longest path counts, and / is every path.
type Owners map[string]string

// ParseOwner reads PATH=SERVICE.
func ParseOwner(text string) (path, service string, err error) {
	path, service, ok := strings.Cut(text, "=")
	if !ok {
		return "", "", fmt.Errorf("routing: owner %q, expected PATH=SERVICE such as /invoices=billing", text)
	}
	if err := CheckPath(path); err != nil {
		return "", "", fmt.Errorf("routing: owner %q: %w", text, err)
	}
	if err := spec.CheckService(service); err != nil {
		return "", "", fmt.Errorf("routing: owner %q: %w", text, err)
	}
	return path, service, nil
}

// CheckPath says what is wrong with a path that stands for all below it, too.
func CheckPath(path string) error {
	p, err := spec.ParsePattern(path)
	if err != nil {
		return err
	}
	for _, s := range p.Segments {
		if s.Param != "" || s.Rest {
			return fmt.Errorf("%s has parameters, expected a path such as /invoices", path)
		}
	}
	return nil
}

// of is the service that owns a pattern, and the path by which it does; both are empty where nobody does.
func (o Owners) of(p spec.Pattern) (service, path string) {
	if len(o) == 0 {
		return "", ""
	}
	service, path = o["/"], "/"
	var at strings.Builder
	for _, s := range p.Segments {
		if s.Rest || s.Param != "" { // what is below may be anybody's
			break
		}
		at.WriteString("/" + s.Literal)
		if owner, ok := o[at.String()]; ok {
			service, path = owner, at.String()
		}
	}
	if service == "" {
		return "", ""
	}
	return service, path
}

// forbids names the first endpoint of a service that another one owns.
func (o Owners) forbids(service string, offers []offer) (reason string) {
	for i := range offers {
		owner, path := o.of(offers[i].pattern)
		if owner != "" && owner != service {
			return fmt.Sprintf("%s %s belongs to service %s, which this gateway's configuration names the owner of %s",
				offers[i].Method, offers[i].Path, owner, path)
		}
	}
	return ""
}
