package routing

import (
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// Health is what the gateway makes of an instance's signs of life.
type Health string

// The healths. A Degraded instance is picked when its tier has no healthy one; an Unhealthy or Draining one never.
const (
	Healthy   Health = "healthy"
	Degraded  Health = "degraded"  // no HEARTBEAT for 2 intervals ([Config.DegradedAfter]), or it says so itself
	Unhealthy Health = "unhealthy" // no HEARTBEAT for 3 intervals ([Config.UnhealthyAfter])
	Draining  Health = "draining"
)

// Intervals without HEARTBEAT until an instance counts as Degraded, and as Unhealthy, where [Config] says nothing else.
const (
	DefaultDegradedAfter  = 2
	DefaultUnhealthyAfter = 3
)

// Instance is one connected process of a service.
type Instance struct {
	Session *session.Gateway
	since   time.Time
	offer   *Offer
	index   atomic.Pointer[spec.Index] // of its session's endpoints, once some were appended
	overlay *overlay                   // nil: it has none
	offered *release                   // what it came with, and has appended since; guarded by the registry's mutex

	// Written by the session's reader, which must not wait for a lock.
	beat   atomic.Int64 // when HEARTBEAT came last, in Unix nanoseconds
	status atomic.Pointer[spec.Status]
	leaves atomic.Bool

	lost     atomic.Bool // its session is lost, and that has been noted
	vitals   *vitals     // never changes once it stands
	cordoned atomic.Bool // an operator has taken it out of routing

	// Guarded by the registry's mutex.
	release    *release // where it stands; nil while it is quarantined
	health     Health
	quarantine string // why it is not routed; empty when it is
	superseded bool   // a newer session of the same instance has taken its place
	adopted    bool   // it has stood before
}

// Service is the name of the instance's service.
func (in *Instance) Service() string { return in.Session.Hello().Instance.Service }

// ID is the instance's id.
func (in *Instance) ID() string { return in.Session.Hello().Instance.ID }

// Region is where the instance says that it is; it may be empty.
func (in *Instance) Region() string { return in.Session.Hello().Instance.Region }

// InFlight is how many calls the instance is serving for this gateway.
func (in *Instance) InFlight() int { return in.Session.InFlight() }

// Latency is a moving average of the time to RESPONSE, which rises at once and falls slowly; 0 when there is none.
func (in *Instance) Latency(now time.Time) time.Duration {
	return time.Duration(in.vitals.latency(now.UnixNano()))
}

// Ping is a moving average of the session's round trips; 0 when none has been measured.
func (in *Instance) Ping() time.Duration { return in.Session.Ping() }

// assess returns the instance's health at a moment.
func (in *Instance) assess(now time.Time, cfg *Config) Health {
	status, silent := *in.status.Load(), now.Sub(time.Unix(0, in.beat.Load()))
	switch {
	case in.leaves.Load() || in.cordoned.Load() || status == spec.StatusDraining:
		return Draining
	case silent > time.Duration(cfg.UnhealthyAfter)*cfg.Heartbeat:
		return Unhealthy
	case silent > time.Duration(cfg.DegradedAfter)*cfg.Heartbeat || status == spec.StatusDegraded:
		return Degraded
	}
	return Healthy
}

// usable reports whether the instance may be picked at all.
func (h Health) usable() bool { return h == Healthy || h == Degraded }
