package routing

import "fmt"

// admit lets an instance stand, or says why it has to be quarantined. The caller holds the registry's mutex.
//
// Whoever stands keeps standing: an instance never loses its place to a newcomer. A service without instances
// still owns its paths as long as it is known.
func (r *Registry) admit(in *Instance) (reason string) {
	offered := in.release
	known := r.find(offered)
	if known != nil && len(known.standing) > 0 && known.contract != offered.contract {
		return fmt.Sprintf("contract %s differs from %s of the live instance %s of %s %s: a changed contract needs a new version",
			offered.contract, known.contract, known.standing[0].ID(), offered.service, offered.version)
	}
	if reason := r.owned(offered); reason != "" {
		return reason
	}
	if known == nil {
		known = &release{service: offered.service, version: offered.version, contract: offered.contract}
		r.releases = append(r.releases, known)
	}
	if known.contract != offered.contract {
		r.cfg.Logger.Warn("contract replaced without a new version", "service", offered.service, "version", offered.version.String(),
			"from", known.contract, "to", offered.contract)
		known.contract = offered.contract
	}
	if len(known.standing) == 0 {
		known.offers, known.manifest = offered.offers, offered.manifest
	}
	known.standing = append(known.standing, in)
	in.release = known
	return ""
}

func (r *Registry) find(offered *release) *release {
	for _, rel := range r.releases {
		if rel.service == offered.service && rel.version.String() == offered.version.String() {
			return rel
		}
	}
	return nil
}

// owned names the first endpoint that another known service owns.
func (r *Registry) owned(offered *release) string {
	mine := make(map[string]bool, len(offered.offers))
	for i := range offered.offers {
		mine[offered.offers[i].identity] = true
	}
	for _, rel := range r.releases {
		if rel.service == offered.service {
			continue
		}
		for i := range rel.offers {
			if o := &rel.offers[i]; mine[o.identity] {
				return fmt.Sprintf("%s %s belongs to service %s", o.Method, o.Path, rel.service)
			}
		}
	}
	return ""
}
