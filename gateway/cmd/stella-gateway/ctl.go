package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stella-ops/router/gateway/admin"
	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// ctlCmd asks a gateway that runs, by its address for operators.
type ctlCmd struct {
	Admin string `default:"${adminAddress}" env:"STELLA_ADMIN" help:"The gateway's address for operators (${default})." placeholder:"ADDR"`

	Token string `env:"STELLA_ADMIN_TOKEN" help:"An operator's token. Better give the variable: processes are listed." placeholder:"TOKEN"`

	Format string `default:"text" enum:"text,json,nagios,prometheus" help:"text, or the JSON that the gateway gives; checks have nagios and prometheus, too."`

	Services struct {
		Ls ctlServicesCmd `cmd:"" default:"1" help:"List services, versions and instances."`
	} `cmd:"" help:"Who is connected."`

	Endpoints struct {
		Ls ctlEndpointsCmd `cmd:"" default:"1" help:"List what is routed."`

		Show ctlEndpointCmd `cmd:"" help:"Show one endpoint whole: METHOD /path, in quotes."`
	} `cmd:"" help:"What is routed."`

	Instances struct {
		Drain  ctlDrainCmd  `cmd:"" help:"Take an instance out of routing. What it has begun goes on."`
		Resume ctlResumeCmd `cmd:"" help:"Let an instance in again."`
	} `cmd:"" help:"Instances, one by one."`

	Drain ctlDrainOneCmd `cmd:"" help:"Take an instance out of routing, by its id alone: as instances drain does."`

	Resume ctlResumeOneCmd `cmd:"" help:"Let an instance in again, by its id alone."`

	Inflight struct {
		Ls ctlInFlightCmd `cmd:"" default:"1" help:"List the requests that wait for a service, or stream."`

		Cancel ctlCancelCmd `cmd:"" help:"End a request."`
	} `cmd:"" help:"Requests that are on their way."`

	Legacy struct {
		Ls ctlLegacyCmd `cmd:"" default:"1" help:"List the legacy routes, their weights, and what both sides were asked."`
	} `cmd:"" help:"What has not moved yet, and what is moving."`

	Access ctlAccessCmd `cmd:"" help:"List who says who may call what, beside the services themselves."`

	Limits ctlLimitsCmd `cmd:"" help:"List the rate limits and what they have decided, and how much is served at once."`

	Tail ctlTailCmd `cmd:"" help:"Show requests as they end, until it is interrupted."`

	Top ctlTopCmd `cmd:"" help:"Show which endpoints are asked most, how fast and how well, until it is interrupted."`

	Request ctlRequestCmd `cmd:"" help:"Say where a request would go, and why."`

	Config struct {
		Show ctlConfigCmd `cmd:"" default:"1" help:"Show the configuration in force, and why the file is not."`

		Diff ctlConfigDiffCmd `cmd:"" help:"Say what a file has otherwise than the gateway has in force."`
	} `cmd:"" help:"The configuration in force."`

	Reload ctlReloadCmd `cmd:"" help:"Have the configuration read anew."`

	Restart ctlRestartCmd `cmd:"" help:"Have a new process take the gateway's place, without losing a request."`

	Audit ctlAuditCmd `cmd:"" help:"List what operators, signals and the file have changed."`

	Check struct {
		Ready ctlReadyCmd `cmd:"" help:"Say whether the gateway takes on requests, whatever is behind it: for what starts it anew. Exit codes: 0, 2 not, 3 unknown."`

		Health ctlHealthCmd `cmd:"" help:"Say whether the gateway is ready and what is behind it is well. Exit codes: 0, 1 a warning, 2 critical, 3 unknown."`
	} `cmd:"" help:"Checks for monitoring."`
}

// AfterApply refuses formats that a command does not have.
func (c *ctlCmd) AfterApply(k *kong.Context) error {
	checks := strings.HasPrefix(k.Command(), "ctl check ")
	if !checks && (c.Format == formatNagios || c.Format == formatPrometheus) {
		return usagef("--format %s is for ctl check; expected text or json", c.Format)
	}
	return nil
}

// ctlPatience bounds what a command waits for the gateway.
const ctlPatience = 30 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// send asks the gateway. The caller closes the answer's body, unless there is an error.
func (c *ctlCmd) send(ctx context.Context, method, path string) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	host := strings.TrimSuffix(strings.TrimPrefix(c.Admin, "http://"), "/") // as run prints it, too
	if file, ok := strings.CutPrefix(c.Admin, "unix://"); ok {
		host = "localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", file)
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, nil)
	if err != nil {
		return nil, usagef("--admin: %w", err)
	}
	if c.Token != "" {
		q.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := (&http.Client{Transport: transport}).Do(q)
	if err != nil {
		return nil, fmt.Errorf("the gateway's address for operators: %w; is it --admin or STELLA_ADMIN that names it?", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // as much as there is
	_ = resp.Body.Close()                                       // it has been read
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return nil, &answerError{resp.StatusCode, string(bytes.TrimSpace(text)) + "; give it in STELLA_ADMIN_TOKEN"}
	case http.StatusNotFound:
		return nil, &answerError{resp.StatusCode, "it does not have this: it is another version, or was started without it"}
	}
	return nil, &answerError{resp.StatusCode, string(bytes.TrimSpace(text))}
}

// answerError is what the gateway answers where it does not do what it is asked for.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return "the gateway: " + e.text }

// ask asks the gateway, and decodes its answer to v unless that is nil.
func (c *ctlCmd) ask(method, path string, v any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ctlPatience)
	defer cancel()
	resp, err := c.send(ctx, method, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the gateway's answer: %w", err)
	}
	if v == nil {
		return text, nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("the gateway's answer is not what this version expects: %w", err)
	}
	return text, nil
}

// table shows rows, or the gateway's own words where JSON is asked for.
func (c *ctlCmd) table(s streams, text []byte, head string, rows func(row func(columns ...any))) error {
	if c.Format == formatJSON {
		return s.printf("%s", text)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) //nolint:mnd // two spaces between columns
	_, _ = fmt.Fprintln(w, head)                     // Flush tells
	rows(func(columns ...any) {
		for i, column := range columns {
			if i > 0 {
				_, _ = fmt.Fprint(w, "\t")
			}
			_, _ = fmt.Fprint(w, oneLine(fmt.Sprint(column)))
		}
		_, _ = fmt.Fprintln(w)
	})
	if err := w.Flush(); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// ago is how long ago something was, for people.
func ago(t time.Time) string { return time.Since(t).Truncate(time.Second).String() }

type ctlServicesCmd struct{}

// Run lists instances.
func (ctlServicesCmd) Run(s streams, c *cli) error {
	var v struct {
		Services []routing.ServiceView `json:"services"`
	}
	text, err := c.Ctl.ask(http.MethodGet, "/v1/services", &v)
	if err != nil {
		return err
	}
	return c.Ctl.table(s, text, "SERVICE\tVERSION\tINSTANCE\tREGION\tHEALTH\tIN FLIGHT\tLEASE\tSINCE\tNOTE", func(row func(...any)) {
		for _, service := range v.Services {
			if len(service.Instances) == 0 {
				row(service.Service, service.Version, "-", "", "gone", "", "", "", service.Warning)
			}
			for _, in := range service.Instances {
				health, note := standing(&in)
				row(service.Service, service.Version, in.ID, in.Region, health, in.InFlight, in.Lease, ago(in.Since), note)
			}
		}
	})
}

// standing is what an instance is to requests, and everything that there is to say of that.
func standing(in *routing.InstanceView) (health, note string) {
	var notes []string
	health = string(in.Health)
	if in.Cordoned {
		notes = append(notes, "taken out of routing by an operator")
	}
	if in.Ejected != "" {
		notes = append(notes, "ejected: "+in.Ejected)
	}
	if in.Quarantine != "" {
		notes = append(notes, in.Quarantine)
	}
	switch {
	case in.Health == routing.Draining:
	case in.Quarantine != "":
		health = "quarantined"
	case in.Health != routing.Unhealthy && in.Ejected != "":
		health = "ejected"
	}
	return health, strings.Join(notes, "; ")
}

// endpoints are all that is routed.
func (c *ctlCmd) endpoints() ([]routing.EndpointView, []byte, error) {
	var v struct {
		Endpoints []routing.EndpointView `json:"endpoints"`
	}
	text, err := c.ask(http.MethodGet, "/v1/endpoints", &v)
	return v.Endpoints, text, err
}

type ctlEndpointsCmd struct{}

// Run lists endpoints.
func (ctlEndpointsCmd) Run(s streams, c *cli) error {
	list, text, err := c.Ctl.endpoints()
	if err != nil {
		return err
	}
	return c.Ctl.table(s, text, "METHOD\tPATH\tSERVICE\tVERSION\tSELECTED\tINSTANCES\tCLAIMS\tFROM", func(row func(...any)) {
		for _, e := range list {
			claims := make([]string, len(e.Effective.Claims))
			for i, claim := range e.Effective.Claims {
				claims[i] = claim.String()
			}
			row(e.Method, e.Path, e.Service, e.Version, e.Selected, e.Instances, strings.Join(claims, " "), e.Effective.Origin)
		}
	})
}

type ctlEndpointCmd struct {
	Name string `arg:"" help:"METHOD /path, in quotes." name:"endpoint"`
}

// Run shows all versions of one endpoint.
func (e *ctlEndpointCmd) Run(s streams, c *cli) error {
	identity, err := spec.ParseIdentity(e.Name)
	if err != nil {
		return usagef("expected METHOD /path in quotes, such as 'GET /invoices/{id}', and got %q: %w", e.Name, err)
	}
	list, _, err := c.Ctl.endpoints()
	if err != nil {
		return err
	}
	var found []routing.EndpointView
	for _, v := range list {
		if is, err := spec.ParseIdentity(v.Method + " " + v.Path); err == nil && is == identity {
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("nothing is routed as %q: stella-gateway ctl endpoints ls lists what is", e.Name)
	}
	return writeJSON(s, found)
}

// instance names an instance of a service.
type instance struct {
	Service string `arg:"" help:"The service's name."`

	ID string `arg:"" help:"The instance's id." name:"instance"`
}

func (i *instance) change(s streams, c *cli, action string) error {
	if i.Service == "" || i.ID == "" {
		return usagef("expected the name of a service and the id of an instance, and got %q and %q: stella-gateway ctl services ls lists them", i.Service, i.ID)
	}
	path := "/v1/services/" + url.PathEscape(i.Service) + "/instances/" + url.PathEscape(i.ID) + "/" + action
	if _, err := c.Ctl.ask(http.MethodPost, path, nil); err != nil {
		return err
	}
	return s.printf("%s %s: %s\n", i.Service, i.ID, action)
}

type ctlDrainCmd struct{ instance }

// Run takes an instance out of routing.
func (d *ctlDrainCmd) Run(s streams, c *cli) error { return d.change(s, c, "drain") }

type ctlResumeCmd struct{ instance }

// Run lets an instance in again.
func (r *ctlResumeCmd) Run(s streams, c *cli) error { return r.change(s, c, "resume") }

// instanceOf names an instance by its id, and its service where that does not say enough.
type instanceOf struct {
	Names []string `arg:"" help:"The instance's id; behind its service's name where instances of several services have the id." name:"instance"`
}

func (i *instanceOf) change(s streams, c *cli, action string) error {
	var one instance
	switch len(i.Names) {
	case 1:
		service, err := c.Ctl.serviceOf(i.Names[0])
		if err != nil {
			return err
		}
		one = instance{service, i.Names[0]}
	case 2: //nolint:mnd // as instances drain has them
		one = instance{i.Names[0], i.Names[1]}
	default:
		return usagef("expected one instance: [SERVICE] INSTANCE, and got %q", i.Names)
	}
	return one.change(s, c, action)
}

// serviceOf finds the service that has an instance of this id.
func (c *ctlCmd) serviceOf(id string) (string, error) {
	var v struct {
		Services []routing.ServiceView `json:"services"`
	}
	if _, err := c.ask(http.MethodGet, "/v1/services", &v); err != nil {
		return "", err
	}
	var found []string
	for _, service := range v.Services {
		has := slices.ContainsFunc(service.Instances, func(in routing.InstanceView) bool { return in.ID == id })
		if has && !slices.Contains(found, service.Service) {
			found = append(found, service.Service)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no service has an instance %q: stella-gateway ctl services ls lists them", id)
	case 1:
		return found[0], nil
	}
	return "", usagef("services %s each have an instance %q: name one before it", strings.Join(found, ", "), id)
}

type ctlDrainOneCmd struct{ instanceOf }

// Run takes an instance out of routing.
func (d *ctlDrainOneCmd) Run(s streams, c *cli) error { return d.change(s, c, "drain") }

type ctlResumeOneCmd struct{ instanceOf }

// Run lets an instance in again.
func (r *ctlResumeOneCmd) Run(s streams, c *cli) error { return r.change(s, c, "resume") }

type ctlInFlightCmd struct{}

// Run lists requests.
func (ctlInFlightCmd) Run(s streams, c *cli) error {
	var v struct {
		Requests []edge.InFlight `json:"requests"`
	}
	text, err := c.Ctl.ask(http.MethodGet, "/v1/inflight", &v)
	if err != nil {
		return err
	}
	return c.Ctl.table(s, text, "REQUEST\tAGE\tMETHOD\tPATH\tSERVICE\tVERSION\tINSTANCE\tPEER\tSUBJECT", func(row func(...any)) {
		for _, r := range v.Requests {
			where := r.Service
			if r.Legacy != "" {
				where = legacyName(r.Legacy)
			}
			row(r.ID, time.Since(r.Since).Round(time.Millisecond), r.Method, r.Path, where, r.Version, r.Instance, r.Peer, r.Subject)
		}
	})
}

type ctlCancelCmd struct {
	ID string `arg:"" help:"The request's id, as in X-Request-Id." name:"request"`
}

// Run ends a request.
func (r *ctlCancelCmd) Run(s streams, c *cli) error {
	if r.ID == "" {
		return usagef("expected the id of a request, as X-Request-Id has it: stella-gateway ctl inflight ls lists them")
	}
	if _, err := c.Ctl.ask(http.MethodPost, "/v1/inflight/"+url.PathEscape(r.ID)+"/cancel", nil); err != nil {
		return err
	}
	return s.printf("%s: cancel\n", r.ID)
}

type ctlConfigCmd struct{}

// Run shows the configuration.
func (ctlConfigCmd) Run(s streams, c *cli) error {
	var state config.State
	text, err := c.Ctl.ask(http.MethodGet, "/v1/config", &state)
	if err != nil {
		return err
	}
	notes := ""
	if state.Refused != "" {
		notes = fmt.Sprintf("%s is refused since %s ago, and an older one in force:\n%s\n\n", state.File, ago(state.RefusedAt), state.Refused)
	}
	if len(state.Restart) > 0 {
		notes += fmt.Sprintf("these change with a restart alone: %s\n\n", strings.Join(state.Restart, ", "))
	}
	if c.Ctl.Format != formatJSON {
		if err := s.printf("%s", notes); err != nil {
			return err
		}
	}
	return c.Ctl.table(s, text, "SETTING\tVALUE\tORIGIN", func(row func(...any)) {
		for _, v := range state.Values {
			if next := v.AfterRestart; next != nil {
				row(v.Path, fmt.Sprintf("%s (after a restart: %s)", v.Text, next.Text), cmp.Or(next.Origin, v.Origin))
				continue
			}
			row(v.Path, v.Text, v.Origin)
		}
	})
}

type ctlConfigDiffCmd struct {
	File string `arg:"" help:"The configuration file that is to come."`
}

// Run compares a file, which has to be right, with what is in force.
func (d *ctlConfigDiffCmd) Run(s streams, c *cli) error {
	if _, err := checkFile(d.File); err != nil {
		return err
	}
	text, err := readConfig(d.File)
	if err != nil {
		return err
	}
	loaded, err := loadConfig(config.Source{Name: d.File, Text: text}) // the gateway's variables count, and not this process's
	if err != nil {
		return err
	}
	var state config.State
	if _, err := c.Ctl.ask(http.MethodGet, "/v1/config", &state); err != nil {
		return err
	}
	return showChanges(s, state.Diff(loaded), c.Ctl.Format)
}

type ctlReloadCmd struct{}

// Run has the configuration read anew.
func (ctlReloadCmd) Run(s streams, c *cli) error {
	if _, err := c.Ctl.ask(http.MethodPost, "/v1/config/reload", nil); err != nil {
		return err
	}
	return s.printf("in force\n")
}

type ctlRestartCmd struct{}

// Run has another process take the gateway's place.
func (ctlRestartCmd) Run(s streams, c *cli) error {
	if _, err := c.Ctl.ask(http.MethodPost, "/v1/restart", nil); err != nil {
		return err
	}
	return s.printf("a new process serves\n")
}

type ctlAuditCmd struct{}

// Run lists changes.
func (ctlAuditCmd) Run(s streams, c *cli) error {
	var v struct {
		Changes []admin.Change `json:"changes"`
	}
	text, err := c.Ctl.ask(http.MethodGet, "/v1/audit", &v)
	if err != nil {
		return err
	}
	return c.Ctl.table(s, text, "AT\tWHO\tROLE\tACTION\tTARGET\tERROR", func(row func(...any)) {
		for _, ch := range v.Changes {
			row(ch.At.Format(time.RFC3339), ch.Who, cmp.Or(ch.Role, "-"), ch.Action, ch.Target, ch.Error)
		}
	})
}
