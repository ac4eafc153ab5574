package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway/admin"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
)

// The states of a check, which are its exit codes, too, as plug-ins of Nagios have them.
const (
	healthOK = iota
	healthWarning
	healthCritical
	healthUnknown
)

var healthWords = []string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// exitError ends the command with this code, and says nothing more.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// nagiosReasons bounds the reasons in the one line that plug-ins of Nagios have, the gravest first: what is too long is cut.
const nagiosReasons = 5

// finding is what a check has found.
type finding struct {
	State   string   `json:"state"`
	Reasons []string `json:"reasons"` // why it is not OK, the gravest first

	code    int
	reasons []reason
}

type reason struct {
	code int
	text string
}

// becausef notes a reason, which makes the state at least as grave.
func (f *finding) becausef(code int, format string, args ...any) {
	f.reasons = append(f.reasons, reason{code, fmt.Sprintf(format, args...)})
	f.code = max(f.code, code)
}

// unknown drops what was found: the gateway could not be asked for all of it.
func (f *finding) unknown(err error) {
	f.reasons, f.code = []reason{{healthUnknown, err.Error()}}, healthUnknown
}

// conclude sorts the reasons.
func (f *finding) conclude() {
	slices.SortStableFunc(f.reasons, func(a, b reason) int { return cmp.Compare(b.code, a.code) })
	f.State, f.Reasons = healthWords[f.code], make([]string, len(f.reasons))
	for i, r := range f.reasons {
		f.Reasons[i] = r.text
	}
}

// print shows what was found in a format; said sums it up, perf is for plug-ins of Nagios, and all is the JSON.
func (f *finding) print(s streams, format, said, perf string, all any) error {
	switch format {
	case formatJSON:
		if err := writeJSON(s, all); err != nil {
			return err
		}
	case formatNagios:
		parts := slices.Clone(f.Reasons[:min(len(f.Reasons), nagiosReasons)])
		if more := len(f.Reasons) - len(parts); more > 0 {
			parts = append(parts, fmt.Sprintf("and %d more reasons", more))
		}
		if f.code != healthUnknown {
			parts = append(parts, said)
		}
		line := strings.ReplaceAll(oneLine(strings.Join(parts, "; ")), "|", "/") // which would begin the numbers
		if err := s.printf("STELLA %s - %s%s\n", f.State, line, perf); err != nil {
			return err
		}
	case formatPrometheus:
		const head = "# HELP stella_check_state 0 ok, 1 warning, 2 critical, 3 unknown.\n# TYPE stella_check_state gauge\n"
		if err := s.printf("%sstella_check_state %d\n", head, f.code); err != nil {
			return err
		}
	default:
		if f.code == healthUnknown {
			said = strings.Join(f.Reasons, "; ")
		}
		if err := s.printf("%s: %s\n", f.State, oneLine(said)); err != nil {
			return err
		}
		for _, r := range f.Reasons {
			if f.code == healthUnknown {
				break
			}
			if err := s.printf("%s\n", oneLine(r)); err != nil {
				return err
			}
		}
	}
	if f.code != healthOK {
		return exitError(f.code)
	}
	return nil
}

// ready asks whether the gateway takes on requests, and why not.
func (c *ctlCmd) ready() (why string, err error) {
	_, err = c.ask(http.MethodGet, "/readyz", nil)
	if refused, ok := errors.AsType[*answerError](err); ok && refused.status == http.StatusServiceUnavailable {
		return refused.text, nil
	}
	return "", err
}

type ctlReadyCmd struct{}

// Run checks whether the gateway takes on requests, and nothing else.
func (ctlReadyCmd) Run(s streams, c *cli) error {
	var found finding
	why, err := c.Ctl.ready()
	said := "the gateway takes on requests"
	switch {
	case err != nil:
		found.unknown(err)
	case why != "":
		said = "the gateway takes on no requests"
		found.becausef(healthCritical, "not ready: %s", why)
	}
	found.conclude()
	return found.print(s, c.Ctl.Format, said, "", &found)
}

type ctlHealthCmd struct{}

// health is what a check of the gateway and of what is behind it has found.
type health struct {
	finding

	Ready    bool     `json:"ready"`
	Services int      `json:"services"` // versions of services
	Live     int      `json:"live"`     // instances that are routed
	Degraded int      `json:"degraded"`
	Missing  []string `json:"missing"`     // versions without an instance that is routed
	Short    []string `json:"short"`       // services with fewer instances than they should have
	Held     []string `json:"quarantined"` // instances that are not routed, with the reason
	Refused  string   `json:"configRefused,omitempty"`
}

// Run checks.
func (ctlHealthCmd) Run(s streams, c *cli) error {
	found := &health{Missing: []string{}, Short: []string{}, Held: []string{}}
	if err := found.look(&c.Ctl); err != nil {
		found.unknown(err)
	}
	found.conclude()
	said := fmt.Sprintf("%d versions of services, %d instances routed, %d degraded, %d versions without an instance, "+
		"%d services with too few instances, %d quarantined",
		found.Services, found.Live, found.Degraded, len(found.Missing), len(found.Short), len(found.Held))
	perf := fmt.Sprintf(" | live=%d;;;0 degraded=%d;;;0 missing=%d;;;0 short=%d;;;0 quarantined=%d;;;0",
		found.Live, found.Degraded, len(found.Missing), len(found.Short), len(found.Held))
	return found.print(s, c.Ctl.Format, said, perf, found)
}

// look asks the gateway. Its error is why not all is known.
func (h *health) look(c *ctlCmd) error {
	why, err := c.ready()
	if err != nil {
		return err
	}
	h.Ready = why == ""
	if !h.Ready {
		h.becausef(healthCritical, "not ready: %s", why)
	}
	for _, part := range []func(*ctlCmd) error{h.instances, h.expected, h.configuration, h.authority, h.issuers, h.limits} {
		if err := part(c); err != nil {
			return err
		}
	}
	return nil
}

// optional asks for what a gateway may be without.
func (c *ctlCmd) optional(path string, v any) error {
	_, err := c.ask(http.MethodGet, path, v)
	if missing, ok := errors.AsType[*answerError](err); ok && missing.status == http.StatusNotFound {
		return nil
	}
	return err
}

func (h *health) instances(c *ctlCmd) error {
	var v struct {
		Services []routing.ServiceView `json:"services"`
	}
	if _, err := c.ask(http.MethodGet, "/v1/services", &v); err != nil {
		return err
	}
	for i := range v.Services {
		h.version(&v.Services[i])
	}
	if h.Live > 0 {
		return nil
	}
	if h.Services > 0 {
		h.becausef(healthCritical, "nothing is routed: no instance takes calls")
		return nil
	}
	var legacy struct {
		Routes []edge.LegacyView `json:"routes"`
	}
	err := c.optional("/v1/legacy", &legacy)
	if err == nil && len(legacy.Routes) == 0 {
		h.becausef(healthCritical, "nothing is routed: no service is connected, and there is no legacy route")
	}
	return err
}

// version looks at one version of a service.
func (h *health) version(v *routing.ServiceView) {
	name, live, held := v.Service+" "+v.Version, 0, 0
	for i := range v.Instances {
		in := &v.Instances[i]
		which := name + " " + in.ID
		switch {
		case in.Quarantine != "" && in.Health == routing.Draining && !in.Cordoned: // it leaves, as one does whose next session has its place
			held++
		case in.Quarantine != "":
			held++
			h.Held = append(h.Held, which+": "+in.Quarantine)
			h.becausef(healthWarning, "quarantined: %s: %s", which, in.Quarantine)
		case in.Ejected != "" && !v.Panic:
			h.becausef(healthWarning, "ejected: %s: %s", which, in.Ejected)
		case in.Health == routing.Degraded:
			h.Degraded++
			live++
			h.becausef(healthWarning, "degraded: %s", which)
		case in.Health == routing.Healthy:
			live++
		}
	}
	if held > 0 && held == len(v.Instances) && v.GoneSince == nil { // a contract that is not known, of somebody who may not stand
		return
	}
	h.Services++
	h.Live += live
	if live == 0 {
		h.Missing = append(h.Missing, name)
		h.becausef(healthWarning, "missing: %s has no instance that takes calls", name)
	}
}

func (h *health) expected(c *ctlCmd) error {
	var v struct {
		Services []routing.PolicyView `json:"services"`
	}
	if _, err := c.ask(http.MethodGet, "/v1/routing", &v); err != nil {
		return err
	}
	for _, p := range v.Services {
		if p.Live >= p.Expected {
			continue
		}
		short, code := fmt.Sprintf("%s has %d of the %d instances that it should have", p.Service, p.Live, p.Expected), healthWarning
		if p.Live == 0 {
			code = healthCritical
		}
		h.Short = append(h.Short, short)
		h.becausef(code, "missing: %s", short)
	}
	return nil
}

func (h *health) configuration(c *ctlCmd) error {
	var state config.State
	if err := c.optional("/v1/config", &state); err != nil {
		return err
	}
	if h.Refused = state.Refused; h.Refused != "" {
		h.becausef(healthWarning, "configuration refused: %s", h.Refused)
	}
	return nil
}

// authority is critical where nobody passes, which readiness says, too.
func (h *health) authority(c *ctlCmd) error {
	var v admin.AccessView
	if err := c.optional("/v1/access", &v); err != nil {
		return err
	}
	a := v.Authority
	switch {
	case a == nil || a.Reached && a.LastError == "":
	case a.Reached:
		h.becausef(healthWarning, "authority %s: its last word, of %s ago, counts: %s", a.Source, ago(a.AskedAt), a.LastError)
	case v.Awaiting:
		h.becausef(healthCritical, "authority %s: never reached, and nobody passes before: %s", a.Source, cmp.Or(a.LastError, notYet))
	default:
		h.becausef(healthWarning, "authority %s: never reached, and what services and configuration say counts until then: %s", a.Source,
			cmp.Or(a.LastError, notYet))
	}
	return nil
}

// notYet is said of an authority or issuer of which no failure is known.
const notYet = "it has not answered yet"

// issuers are critical where no token of any is taken.
func (h *health) issuers(c *ctlCmd) error {
	var v struct {
		Issuers []auth.IssuerStatus `json:"issuers"`
	}
	if err := c.optional("/v1/issuers", &v); err != nil {
		return err
	}
	code := healthWarning
	if !slices.ContainsFunc(v.Issuers, func(s auth.IssuerStatus) bool { return !s.Closed }) {
		code = healthCritical
	}
	for i := range v.Issuers {
		s := &v.Issuers[i]
		switch {
		case s.Closed:
			h.becausef(code, "issuer %s: closed, no token of it is taken: %s", s.Issuer, cmp.Or(s.LastError, "it has no key that could be used"))
		case s.Stale && s.LastError != "":
			h.becausef(healthWarning, "issuer %s: its keys, of %s ago, serve on: %s", s.Issuer, ago(s.FetchedAt), s.LastError)
		}
	}
	return nil
}

// limits are critical where the server is down that counts, and a rule for everything refuses then.
func (h *health) limits(c *ctlCmd) error {
	var v limit.View
	if err := c.optional("/v1/limits", &v); err != nil {
		return err
	}
	if v.Store == nil || v.Store.Answers {
		return nil
	}
	for i := range v.Rules {
		r := &v.Rules[i]
		if r.Scope != limit.ScopeEnvironment {
			continue
		}
		down := fmt.Sprintf("limits: %s does not answer (%s), and rule %s", v.Store.Address, v.Store.Error, r.Name)
		switch of := strings.TrimSpace(r.Service + " " + r.Endpoint); {
		case r.Failure != limit.FailureClosed:
			h.becausef(healthWarning, "%s fails %s", down, r.Failure)
		case of == "":
			h.becausef(healthCritical, "%s fails closed: everything that no more specific rule is for is refused", down)
		default:
			h.becausef(healthWarning, "%s fails closed: %s is refused", down, of)
		}
	}
	return nil
}
