package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
)

// Names of descriptors that one process hands to the next (LISTEN_FDNAMES). A service manager gives other names.
const (
	nameControl = "stella-control" // one end of the pair over which the processes speak; always the first
	nameBound   = "stella-bound"   // a socket that a process of the gateway has bound
	nameGiven   = "stella-given"   // one that a service manager had given it
)

// Sockets are the listening sockets of a process: those that it was given and those that it has bound. The zero value, and
// nil, was given none. It may be used concurrently. It implements transports.Sockets.
type Sockets struct {
	mu     sync.Mutex
	given  []socket // not taken yet
	listen []listening
	lent   bool // until Own: what was given is still the process before's, which goes on should this one fail
}

// socket is a descriptor that nobody has taken yet.
type socket struct {
	file  *os.File
	addr  net.Addr
	bound bool // by a process of the gateway, which therefore removes the path of one in the file system
}

// listening is a socket that is listened on.
type listening struct {
	net.Listener

	bound bool
}

// Inherited is the socket of an address, host:port of network tcp or a path of network unix, that the process was given, or
// nil. Port 0 is nobody's.
func (s *Sockets) Inherited(network, address string) (net.Listener, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // none is no error: it is to be bound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.given, func(g socket) bool { return isAt(g.addr, network, address) })
	if i < 0 {
		return nil, nil //nolint:nilnil // as above
	}
	g := s.given[i]
	s.given = slices.Delete(s.given, i, i+1)
	ln, err := net.FileListener(g.file) // a descriptor of its own
	if err = errors.Join(err, g.file.Close()); err != nil {
		return nil, fmt.Errorf("handover: the socket of %s: %w", address, err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(g.bound && !s.lent)
	}
	s.listen = append(s.listen, listening{ln, g.bound})
	return ln, nil
}

// Own makes the sockets this process's, which serves: from now on it removes the paths of those that a process of the gateway has
// bound. Before, the process whose place it takes still listens there.
func (s *Sockets) Own() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent = false
	for _, l := range s.listen {
		if u, ok := l.Listener.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(l.bound)
		}
	}
}

// isAt reports whether a socket has an address. Those that are no address of one interface are one.
func isAt(addr net.Addr, network, address string) bool {
	switch a := addr.(type) {
	case *net.UnixAddr:
		return network == "unix" && a.Name == address
	case *net.TCPAddr:
		if network != "tcp" {
			return false
		}
		want, err := net.ResolveTCPAddr(network, address)
		if err != nil || want.Port == 0 || want.Port != a.Port || want.Zone != a.Zone {
			return false
		}
		anywhere := len(want.IP) == 0 || want.IP.IsUnspecified()
		return want.IP.Equal(a.IP) || anywhere && a.IP.IsUnspecified()
	}
	return false
}

// Bound notes a socket on which the process listens. Those that were inherited are known already.
func (s *Sockets) Bound(ln net.Listener) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.listen, func(l listening) bool { return l.Listener == ln }) {
		s.listen = append(s.listen, listening{ln, true})
	}
}

// Listen is the socket of an address that the process was given, or the one that bind makes.
func (s *Sockets) Listen(network, address string, bind func() (net.Listener, error)) (net.Listener, error) {
	ln, err := s.Inherited(network, address)
	if ln != nil || err != nil {
		return ln, err
	}
	if ln, err = bind(); err != nil {
		return nil, err
	}
	s.Bound(ln)
	return ln, nil
}

// Drop closes the sockets that nobody has taken, and returns their addresses.
func (s *Sockets) Drop() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]string, len(s.given))
	for i, g := range s.given {
		left[i] = g.addr.Network() + "://" + g.addr.String()
		_ = g.file.Close() // nobody listens
	}
	s.given = nil
	return left
}

// Hold duplicates the sockets on which the process listens now, so that they outlive its listeners and can be given away.
func (s *Sockets) Hold() (*Held, error) {
	if s == nil {
		return nil, errors.New("handover: there are no sockets")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := new(Held)
	open := s.listen[:0]
	for _, l := range s.listen {
		file, err := duplicate(l.Listener)
		switch {
		case errors.Is(err, net.ErrClosed):
			continue
		case err != nil:
			return nil, errors.Join(fmt.Errorf("handover: the socket of %s: %w", l.Addr(), err), h.Close())
		}
		open = append(open, l)
		h.sockets = append(h.sockets, socket{file, l.Addr(), l.bound})
		h.listeners = append(h.listeners, l)
	}
	clear(s.listen[len(open):])
	s.listen = open
	return h, nil
}

// Held are sockets that stay open whatever becomes of their listeners.
type Held struct {
	sockets   []socket
	listeners []listening
}

// Keep leaves the paths of sockets in the file system where they are when their listeners close, or not.
func (h *Held) Keep(keep bool) {
	for _, l := range h.listeners {
		if u, ok := l.Listener.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(l.bound && !keep)
		}
	}
}

// Return makes the sockets whose listeners have been closed ones that the process was given, so that it can listen on them
// again. The others are closed.
func (h *Held) Return(s *Sockets) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for i, l := range h.listeners {
		again, err := duplicate(l.Listener)
		if errors.Is(err, net.ErrClosed) {
			s.given = append(s.given, h.sockets[i])
			continue
		}
		if err == nil {
			err = again.Close()
		}
		errs = append(errs, err, h.sockets[i].file.Close())
	}
	h.sockets, h.listeners = nil, nil
	return errors.Join(errs...)
}

// Close gives up the descriptors. Listeners that are open stay so.
func (h *Held) Close() error {
	var errs []error
	for _, s := range h.sockets {
		errs = append(errs, s.file.Close())
	}
	h.sockets, h.listeners = nil, nil
	return errors.Join(errs...)
}

// names are what the next process is told of its descriptors, and the descriptors.
func (h *Held) names() (names []string, files []*os.File) {
	for _, s := range h.sockets {
		name := nameGiven
		if s.bound {
			name = nameBound
		}
		names, files = append(names, name), append(files, s.file)
	}
	return names, files
}

// String lists the addresses.
func (h *Held) String() string {
	var all []string
	for _, s := range h.sockets {
		all = append(all, s.addr.String())
	}
	return strings.Join(all, ", ")
}
