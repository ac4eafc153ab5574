package session

import (
	"errors"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// assembly gathers the chunks of a manifest. The zero value is ready.
type assembly struct {
	bytes []byte
	next  uint32    // sequence of the next chunk
	begun time.Time // when the first came
}

// add copies a chunk, and reports whether it was the last.
func (a *assembly) add(f *transports.Frame) (whole bool, err error) {
	h := f.Header()
	if h.Aux != a.next {
		return false, protocolError("ENDPOINTS has sequence %d, expected %d", h.Aux, a.next)
	}
	if n := len(a.bytes) + int(h.Length); n > spec.MaxManifest {
		return false, protocolError("ENDPOINTS bring %d bytes, the limit is %d", n, spec.MaxManifest)
	}
	if a.next == 0 {
		a.begun = time.Now()
	}
	a.next++
	a.bytes = append(a.bytes, f.Body()...)
	return h.Flags&spec.FlagEnd != 0, nil
}

// late reports whether the rest of what has begun should have come by now.
func (a *assembly) late() bool { return a.next > 0 && time.Since(a.begun) > spec.ManifestTimeout }

// sendManifest queues ENDPOINTS.
func sendManifest(w *writer, manifest []byte) {
	for sequence := uint32(0); ; sequence++ {
		n := min(len(manifest), spec.MaxChunk)
		f := transports.NewFrame(n)
		f.SetBytes(append(f.Bytes(), manifest[:n]...))
		flags := spec.Flags(0)
		if manifest = manifest[n:]; len(manifest) == 0 {
			flags = spec.FlagEnd
		}
		f.Seal(spec.TypeEndpoints, flags, 0, sequence, 0)
		w.enqueue(f)
		if flags != 0 {
			return
		}
	}
}

// errEarly is what Append says as long as the gateway may ask for the manifest that HELLO has named.
var errEarly = errors.New("session: endpoints may be appended once the gateway has asked for the manifest, or called")

// Append announces endpoints beyond those that the gateway knows: manifest is the whole new one. Endpoints that it
// shares with the ones before keep their index, the others follow in the manifest's order, and calls to them come with
// the returned generation. It may be called concurrently. Where HELLO came without the manifest, it is an error until the
// gateway has asked for that or made a call: what is appended must not be taken for it.
func (s *Service) Append(manifest []byte) (generation uint32, err error) {
	s.appending.Lock() // chunks of two manifests must not mix
	defer s.appending.Unlock()
	if s.slim && !s.settled.Load() {
		return 0, errEarly
	}
	s.generation++
	sendManifest(s.w, manifest)
	return s.generation, nil
}

// onResync answers RESYNC, which a gateway may send once: the manifest that HELLO has named.
func (s *Service) onResync(f *transports.Frame) error {
	var r spec.Resync
	if err := spec.DecodeJSON(f.Meta(), &r); err != nil {
		return protocolError("%s", err)
	}
	switch {
	case s.resynced:
		return protocolError("second RESYNC")
	case r.ManifestDigest != s.cfg.Hello.ManifestDigest:
		return protocolError("RESYNC names manifest %.80q, HELLO has named %s", r.ManifestDigest, s.cfg.Hello.ManifestDigest)
	}
	s.resynced = true
	s.appending.Lock()
	defer s.appending.Unlock()
	if s.generation > 0 {
		return protocolError("RESYNC after endpoints were appended")
	}
	sendManifest(s.w, s.cfg.Manifest)
	s.settled.Store(true)
	return nil
}

// onEndpoints takes a chunk of a manifest that appends endpoints.
func (g *Gateway) onEndpoints(f *transports.Frame) error {
	g.mu.Lock()
	whole, err := g.appended.add(f)
	manifest := g.appended.bytes
	if whole {
		g.appended = assembly{}
	}
	g.mu.Unlock()
	if err != nil || !whole {
		return err
	}
	if g.cfg.Append == nil {
		return protocolError("endpoints appended, which this gateway does not take")
	}
	g.generation++
	if err := g.cfg.Append(g.generation, manifest); err != nil {
		return protocolError("%s", err)
	}
	return nil
}

// look ends the session when an announcement stops half way.
func (g *Gateway) look() {
	g.mu.Lock()
	late := g.appended.late()
	g.mu.Unlock()
	if late {
		why := "ENDPOINTS have stopped half way"
		g.leave(spec.CodeProtocol, why, closed(spec.CodeProtocol, why))
	}
}
