package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/stella-ops/router/internal/fault"
)

// bound is an address that a setting has the gateway take.
type bound struct {
	setting string
	text    string // as it is written
	network string // tcp, udp or unix
	host    string // or the path of a socket
	port    string
}

const (
	networkTCP  = "tcp"
	networkUDP  = "udp"
	networkUnix = "unix"
)

// ports are those of the transports that listen on an address of this machine, where their URLs name none.
var ports = map[string]struct{ network, port string }{
	"tcp": {networkTCP, "5100"}, "tls": {networkTCP, "5101"}, "udp": {networkUDP, "5102"}, "quic": {networkUDP, "5103"},
}

// addresses are all that the gateway takes. Those that are malformed are left out: others say so.
func (c *Config) addresses() []bound {
	var all []bound
	add := func(setting, text, network, address string) {
		if host, port, err := net.SplitHostPort(address); err == nil {
			all = append(all, bound{setting, text, network, host, port})
		}
	}
	listeners := c.listeners()
	for i := range listeners {
		l := &listeners[i]
		add(c.listener(i), l.Address, networkTCP, l.Address)
		if l.TLS != nil && l.TLS.HTTP3 {
			add(c.listener(i)+".tls.http3", l.Address, networkUDP, l.Address)
		}
	}
	for i, raw := range c.Listen {
		setting := "transports.listen[" + strconv.Itoa(i) + "]"
		u, err := url.Parse(raw)
		if err != nil {
			continue
		}
		if u.Scheme == networkUnix {
			all = append(all, bound{setting, u.Redacted(), u.Scheme, u.Path, ""})
			continue
		}
		if own, ok := ports[u.Scheme]; ok {
			port := u.Port()
			if port == "" {
				port = own.port
			}
			add(setting, u.Redacted(), own.network, net.JoinHostPort(u.Hostname(), port))
		}
	}
	if path, ok := strings.CutPrefix(c.Admin, unixScheme); ok {
		all = append(all, bound{"admin.address", c.Admin, networkUnix, path, ""})
	} else {
		add("admin.address", c.Admin, networkTCP, c.Admin)
	}
	return all
}

// checkAddresses refuses addresses that are taken twice: the second time fails. Names are not resolved, so of two names of one
// host nothing is said.
func (c *Config) checkAddresses() error {
	var errs []error
	all := c.addresses()
	for i := range all {
		for j := range i {
			if all[i].meets(&all[j]) {
				errs = append(errs, fault.At(all[i].setting, fmt.Errorf("%w: %s is taken already, by %s (%s): expected another address",
					ErrConfig, all[i].text, all[j].setting, all[j].text)))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// meets reports whether two addresses cannot both be taken. Port 0 is any that is free.
func (b *bound) meets(other *bound) bool {
	if b.network != other.network || b.port != other.port || b.port == "0" {
		return false
	}
	if b.network == networkUnix || b.host == other.host {
		return b.host == other.host
	}
	mine, theirs := addressOf(b.host), addressOf(other.host)
	if !mine.IsValid() || !theirs.IsValid() { // a name
		return false
	}
	return mine == theirs || covers(mine, theirs) || covers(theirs, mine)
}

// covers reports whether every address of this machine is meant, and the other one is among them.
func covers(every, one netip.Addr) bool { return every.IsUnspecified() && (every.Is6() || one.Is4()) }

// addressOf is the address of a host; none is every one of this machine (IPv6 takes IPv4 along), and a name is not valid.
func addressOf(host string) netip.Addr {
	if host == "" {
		return netip.IPv6Unspecified()
	}
	address, _ := netip.ParseAddr(host) // see above
	return address.Unmap()
}
