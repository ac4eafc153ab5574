package config

import (
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/routing"
)

// Paths of settings that more than one place knows.
const (
	httpPath       = "http"
	legacyPath     = "legacy"
	listenersPath  = "listeners"
	routingPath    = "routing"
	transportsPath = "transports"
)

func servicePath(service string) string { return "services[" + service + "]" }

// policy is what has been said of a policy, as routing has it: there zero is what nobody has said, and a zero that was said is
// off.
func (l *Loaded) policy(p *Policy, path string) routing.Policy {
	at := func(key string) string { return join(path, key) }
	e := &p.Ejection
	out := routing.Policy{
		Balancer: said(l, at("balancer"), p.Balancer), SlowStart: orOff(l, at("slowStart"), p.SlowStart),
		PanicPercent: orOff(l, at("panicPercent"), p.PanicPercent), Instances: orOff(l, at("instances"), p.Instances),
		Hedge: routing.Hedge{After: orOff(l, at("hedge.after"), p.Hedge.After)}, Trust: routing.Trust(said(l, at("trust"), p.Trust)),
		Ejection: routing.Ejection{
			ConsecutiveFailures: orOff(l, at("ejection.consecutiveFailures"), e.ConsecutiveFailures),
			FailurePercent:      orOff(l, at("ejection.failurePercent"), e.FailurePercent),
			MinRequests:         said(l, at("ejection.minRequests"), e.MinRequests),
			Window:              said(l, at("ejection.window"), e.Window), BaseTime: said(l, at("ejection.baseTime"), e.BaseTime),
			MaxTime: said(l, at("ejection.maxTime"), e.MaxTime), MaxEjectedPercent: said(l, at("ejection.maxEjectedPercent"), e.MaxEjectedPercent),
		},
	}
	if l.says(at("overlays.loosen")) {
		out.Loosen = p.Overlays.Loosen
	}
	if l.says(at("ejection.off")) {
		out.Ejection.Off = new(e.Off)
	}
	if l.saysVersion(path) {
		out.Version = routing.VersionPolicy{
			Default: said(l, at("version.default"), p.Version.Default), Weights: p.Version.Weights, Sticky: p.Version.Sticky,
		}
	}
	return out
}

// says reports whether somebody has said a setting.
func (l *Loaded) says(path string) bool {
	_, ok := l.origins[path]
	return ok
}

// saysVersion reports whether a policy says anything of versions: then it says everything of them.
func (l *Loaded) saysVersion(path string) bool {
	return l.says(path+".version.default") || l.says(path+".version.weights") || l.says(path+".version.sticky")
}

// said is a value that was said, or zero.
func said[T any](l *Loaded, path string, v T) T {
	if !l.says(path) {
		return *new(T)
	}
	return v
}

// orOff is a number or time that was said, of which zero is off, or zero.
func orOff[T int | time.Duration](l *Loaded, path string, v T) T {
	if l.says(path) && v == 0 {
		return routing.Off
	}
	return said(l, path, v)
}

// policies keeps what was said of policies, and puts what is in force into the file: what nobody has said of a service is what
// routing says.
func (l *Loaded) policies() {
	l.routing = l.policy(&l.File.Routing, routingPath)
	l.File.Routing = policyOf(l.routing.Over(routing.Policy{}))
	for service, p := range l.File.Services {
		own := l.policy(&p, servicePath(service))
		if l.services == nil {
			l.services = map[string]routing.Policy{}
		}
		l.services[service], l.File.Services[service] = own, policyOf(own.Over(l.routing))
	}
}

// policyOf is a policy that is in force as the file would say it.
func policyOf(p routing.Policy) Policy {
	return Policy{
		Version: Version(p.Version), Balancer: p.Balancer, SlowStart: p.SlowStart, PanicPercent: p.PanicPercent, Instances: p.Instances,
		Hedge: Hedge(p.Hedge), Trust: string(p.Trust), Overlays: Overlays{Loosen: slices.Clone(p.Loosen)},
		Ejection: Ejection{
			Off: *p.Ejection.Off, ConsecutiveFailures: p.Ejection.ConsecutiveFailures, FailurePercent: p.Ejection.FailurePercent,
			MinRequests: p.Ejection.MinRequests, Window: p.Ejection.Window, BaseTime: p.Ejection.BaseTime, MaxTime: p.Ejection.MaxTime,
			MaxEjectedPercent: p.Ejection.MaxEjectedPercent,
		},
	}
}

// inherited is the path of the setting that counts where nobody has said this one of a service's policy; empty: there is none.
func (l *Loaded) inherited(path string) string {
	if !strings.HasPrefix(path, "services[") {
		return ""
	}
	service, key, ok := strings.Cut(path, "].")
	if !ok || strings.HasPrefix(key, "version.") && l.saysVersion(service+"]") {
		return ""
	}
	return join(routingPath, key)
}
