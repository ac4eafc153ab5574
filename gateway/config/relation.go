package config

import (
	"strconv"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
)

// relations checks what no setting can say by itself.
func (r *reader) relations() {
	f := &r.loaded.File
	fault := func(path, message, hint string) {
		if r.hidden(path) {
			return
		}
		r.faults = append(r.faults, Fault{Origin: r.loaded.place(path), Path: path, Message: message, Hint: hint})
	}
	switch {
	case f.Dev.Enabled && f.Dev.TokenFile == "":
		fault("dev.enabled", "development mode needs a file for the token", "say dev.tokenFile")
	case !f.Dev.Enabled && f.Dev.TokenFile != "":
		fault("dev.tokenFile", "is for development mode alone", "say dev.enabled: true, or leave it out")
	case !f.Dev.Enabled && f.Dev.Key != "":
		fault("dev.key", "is for development mode alone", "say dev.enabled: true, or leave it out")
	}
	if len(f.Transports.Listen) == 0 {
		fault("transports.listen", "is an empty list: services could not dial in", "say where, or leave it out for "+gateway.DefaultListen)
	}
	switch {
	case f.Envelope.KeyFile != "" && len(f.Envelope.Services) == 0:
		fault("envelope.keyFile", "signs for no service", "say envelope.services, or leave it out")
	case f.Envelope.KeyFile == "" && len(f.Envelope.Services) > 0:
		fault("envelope.services", "get nothing without keys", "say envelope.keyFile, or leave it out")
	}
	if f.Log.Access && (f.Log.Level == "warn" || f.Log.Level == "error") {
		fault("log.access", "writes lines of level info, and log.level is "+f.Log.Level, "say log.level: info")
	}
	known := map[string]string{}
	for i := range f.Endpoints {
		e, path := &f.Endpoints[i], "endpoints["+strconv.Itoa(i)+"]"
		limited := e.Timeout > 0 || e.Idle > 0 || e.Body > 0
		if e.Public != "" && len(e.Claims) > 0 || e.Public == "" && len(e.Claims) == 0 && !limited {
			fault(path, "expected either claims, or why it is public", "an entry may have neither where it has timeout, idle or body")
		}
		identity, _ := spec.ParseIdentity(e.Endpoint) // it has been checked
		if first, ok := known[e.Service+" "+identity]; ok {
			fault(path, e.Endpoint+" of "+e.Service+" is there twice", "the other is "+first)
		}
		known[e.Service+" "+identity] = path
	}
}
