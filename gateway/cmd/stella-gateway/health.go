package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stella-ops/router/gateway/config"
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

type ctlHealthCmd struct{}

// health is what a check has found.
type health struct {
	State    string   `json:"state"`
	Ready    bool     `json:"ready"`
	Services int      `json:"services"` // versions of services
	Live     int      `json:"live"`     // instances that are routed
	Degraded int      `json:"degraded"`
	Missing  []string `json:"missing"`     // versions without an instance, and services with fewer than they should have
	Held     []string `json:"quarantined"` // instances that are not routed, with the reason
	Refused  string   `json:"configRefused,omitempty"`

	code int
}

// Run checks.
func (ctlHealthCmd) Run(s streams, c *cli) error {
	found, err := look(&c.Ctl)
	if err != nil {
		found = &health{code: healthUnknown, Refused: "", Missing: []string{}, Held: []string{}}
	}
	found.State = healthWords[found.code]
	if printed := found.print(s, c.Ctl.Format, err); printed != nil {
		return printed
	}
	if found.code != healthOK {
		return exitError(found.code)
	}
	return nil
}

// exitError ends the command with this code, and says nothing more.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

var errNotReady = errors.New("the gateway does not take requests")

// look asks the gateway. Its error is why nothing is known.
func look(c *ctlCmd) (*health, error) {
	found := &health{Missing: []string{}, Held: []string{}, Ready: true}
	if _, err := c.ask(http.MethodGet, "/readyz", nil); err != nil {
		found.Ready = false
		if !strings.Contains(err.Error(), "draining") {
			return nil, err
		}
	}
	var v struct {
		Services []routing.ServiceView `json:"services"`
	}
	if _, err := c.ask(http.MethodGet, "/v1/services", &v); err != nil {
		return nil, err
	}
	for _, service := range v.Services {
		found.Services++
		live := 0
		for _, in := range service.Instances {
			switch {
			case in.Quarantine != "":
				found.Held = append(found.Held, fmt.Sprintf("%s %s %s: %s", service.Service, service.Version, in.ID, in.Quarantine))
			case in.Health == routing.Degraded:
				found.Degraded++
				live++
			case in.Health == routing.Healthy:
				live++
			}
		}
		found.Live += live
		if live == 0 {
			found.Missing = append(found.Missing, service.Service+" "+service.Version)
		}
	}
	var policies struct {
		Services []routing.PolicyView `json:"services"`
	}
	if _, err := c.ask(http.MethodGet, "/v1/routing", &policies); err != nil {
		return nil, err
	}
	absent := false
	for _, p := range policies.Services {
		if p.Live < p.Expected {
			found.Missing = append(found.Missing, fmt.Sprintf("%s has %d of the %d instances that it should have", p.Service, p.Live, p.Expected))
			absent = absent || p.Live == 0
		}
	}
	var state config.State
	if _, err := c.ask(http.MethodGet, "/v1/config", &state); err == nil {
		found.Refused = state.Refused
	}
	switch {
	case !found.Ready || absent || found.Services > 0 && found.Live == 0:
		found.code = healthCritical
	case len(found.Missing) > 0 || len(found.Held) > 0 || found.Degraded > 0 || found.Refused != "":
		found.code = healthWarning
	}
	return found, nil
}

func (found *health) print(s streams, format string, unknown error) error {
	said := fmt.Sprintf("%d versions of services, %d instances routed, %d degraded, %d versions without an instance, %d quarantined",
		found.Services, found.Live, found.Degraded, len(found.Missing), len(found.Held))
	switch {
	case unknown != nil:
		said = unknown.Error()
	case !found.Ready:
		said = errNotReady.Error() + "; " + said
	}
	switch format {
	case formatJSON:
		return writeJSON(s, found)
	case "nagios":
		return s.printf("STELLA %s - %s | live=%d;;;0 degraded=%d;;;0 missing=%d;;;0 quarantined=%d;;;0\n",
			found.State, oneLine(said), found.Live, found.Degraded, len(found.Missing), len(found.Held))
	case "prometheus":
		return s.printf("# HELP stella_check_state 0 ok, 1 warning, 2 critical, 3 unknown.\n# TYPE stella_check_state gauge\nstella_check_state %d\n", found.code)
	}
	if err := s.printf("%s: %s\n", found.State, oneLine(said)); err != nil {
		return err
	}
	for _, m := range found.Missing {
		if err := s.printf("missing: %s\n", oneLine(m)); err != nil {
			return err
		}
	}
	for _, q := range found.Held {
		if err := s.printf("quarantined: %s\n", oneLine(q)); err != nil {
			return err
		}
	}
	if found.Refused != "" {
		return s.printf("configuration refused: %s\n", oneLine(found.Refused))
	}
	return nil
}
