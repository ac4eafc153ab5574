package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"sync"

	"github.com/stella-ops/router/internal/fault"
)

// roster is whose tokens are taken. It is not changed once it is in force.
type roster struct {
	sources map[string]*source // by issuer
	order   []*source          // that of development first, the others as configured
}

func (r *roster) add(s *source) {
	if r.sources == nil {
		r.sources = map[string]*source{}
	}
	r.sources[s.issuer.Issuer] = s
	r.order = append(r.order, s)
}

// Prepare checks other issuers, reads those of their key sets that are files, and returns what puts them in force: nothing
// has changed before that is called. An error wraps [ErrConfig], and names everything that is wrong.
//
// An issuer whose entry is the same keeps its keys, and what is remembered of its tokens. One whose entry has changed keeps
// its keys where they come from the same place, for the same algorithms; its tokens are held against the new entry. The
// tokens of one that is no longer there are refused at once.
func (v *Verifier) Prepare(issuers []Issuer) (put func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, next := v.roster.Load(), new(roster)
	if v.cfg.Dev != nil {
		s := now.sources[devIssuer]
		if s == nil {
			s = v.cfg.Dev.source()
		}
		next.add(s)
	}
	var faults []error
	for i, issuer := range issuers {
		s, err := now.prepare(issuer, next, v.cfg)
		if err != nil {
			for _, leaf := range fault.Leaves(err) {
				setting := "issuers[" + strconv.Itoa(i) + "]"
				if field, ok := errors.AsType[*FieldError](leaf.Err); ok {
					setting += field.setting()
				}
				faults = append(faults, fault.At(setting, fmt.Errorf("%w: issuer %q: %w", ErrConfig, issuer.Issuer, leaf.Err)))
			}
			continue
		}
		next.add(s)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return func() { v.put(next) }, nil
}

// prepare returns the source of an issuer of the next roster: the present one, if nothing has changed.
func (r *roster) prepare(issuer Issuer, next *roster, cfg Config) (*source, error) {
	if err := issuer.Check(); err != nil {
		return nil, err
	}
	if next.sources[issuer.Issuer] != nil {
		return nil, errors.New("it is there twice: expected one entry, with all its audiences")
	}
	if s := r.sources[issuer.Issuer]; s != nil && reflect.DeepEqual(s.issuer, withDefaults(issuer)) {
		return s, nil
	}
	return newSource(issuer, cfg)
}

// put puts a roster in force.
func (v *Verifier) put(next *roster) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.roster.Load()
	for _, s := range next.order {
		if before := old.sources[s.issuer.Issuer]; before != nil && before != s {
			s.adopt(before)
		}
	}
	v.roster.Store(next)
	for _, s := range old.order { // from now on nobody finds them, and what is remembered by them counts no more
		if next.sources[s.issuer.Issuer] != s {
			s.leave()
		}
	}
	if v.begin == nil {
		return
	}
	for _, s := range next.order {
		if old.sources[s.issuer.Issuer] != s {
			v.begin(s)
		}
	}
}

// Takes reports whether any tokens are taken at all.
func (v *Verifier) Takes() bool { return v != nil && len(v.roster.Load().order) > 0 }

// Run gets the keys of all issuers, and keeps them fresh until ctx ends. It may be called once.
func (v *Verifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	v.mu.Lock()
	v.begin = func(s *source) {
		if s.load == nil {
			return
		}
		inner, stop := context.WithCancel(ctx)
		s.stop = stop
		wg.Go(func() { s.run(inner) })
	}
	for _, s := range v.roster.Load().order {
		v.begin(s)
	}
	v.mu.Unlock()
	<-ctx.Done()
	v.mu.Lock()
	v.begin = nil
	v.mu.Unlock()
	wg.Wait()
}

// adopt takes over what is known of the keys of the same issuer, if they are got in the same way.
func (s *source) adopt(old *source) {
	if s.load == nil || s.issuer.JWKS != old.issuer.JWKS || !reflect.DeepEqual(s.issuer.Algorithms, old.issuer.Algorithms) {
		return
	}
	if _, isFile := s.load.(*file[keySet]); isFile { // it has just been read
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	set := old.set.Load()
	if set == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set.Store(set)
	s.flight = nil
	// They are got anew at once: what the old source learns from now on is lost.
	s.askedAt, s.fetched, s.fresh, s.failures, s.failed = old.askedAt, old.fetched, old.fresh, old.failures, old.failed
	maps.Copy(s.unknown, old.unknown)
	if len(set.keys) > 0 { // else they were withdrawn
		s.usable.Store(s.fresh.Add(s.issuer.MaxStale).UnixNano())
	}
}

// leave ends a source that is no longer in force: nothing that it has verified counts, and nobody waits for it.
func (s *source) leave() {
	s.gone.Store(true)
	if s.stop != nil {
		s.stop() // run abandons its flight
		return
	}
	s.abandon()
}
