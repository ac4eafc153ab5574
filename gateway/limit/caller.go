package limit

import (
	"hash/maphash"
	"net/netip"

	"github.com/stella-ops/router/spec"
)

// mix is odd, so that multiplying by it loses nothing. It keeps a rule's salt apart from the hashes of keys.
const mix = 0x9e3779b97f4a7c15

// Caller is who asks, as far as rules count by it.
type Caller struct {
	Address  string         // host:port
	Identity *spec.Identity // nil: nobody knows
}

// subject is what a rule counts a request by. An address is kept as bytes: a text of it would have to be made.
type subject struct {
	text    string
	network network
	address bool
}

// hash is the key of a rule's count in memory. With 100,000 keys the chance that any two share a count is one in three
// thousand million, and who may choose keys does not know the seed.
func (s *subject) hash(seed maphash.Seed, salt uint64) uint64 {
	if s.address {
		return maphash.Bytes(seed, s.network[:]) ^ salt
	}
	return maphash.String(seed, s.text) ^ salt
}

// name is what a rule counts a request by, as bytes for a server.
func (s *subject) name() []byte {
	if s.address {
		return s.network[:]
	}
	return []byte(s.text)
}

// of is what a rule counts a request by. It is empty where a caller lacks it.
func (r *rule) of(c *Caller) subject {
	switch r.kind {
	case ByAll:
		return subject{}
	case ByAddress:
		peer, err := netip.ParseAddrPort(c.Address)
		if err != nil {
			return subject{text: c.Address} // of no network, such as a socket's
		}
		return subject{network: networkOf(peer.Addr()), address: true}
	}
	if c.Identity == nil {
		return subject{}
	}
	switch r.kind {
	case BySubject:
		return subject{text: c.Identity.Subject}
	case ByTenant:
		return subject{text: c.Identity.Tenant}
	}
	for i := range c.Identity.Claims {
		if c.Identity.Claims[i].Type == r.claim {
			return subject{text: c.Identity.Claims[i].Value}
		}
	}
	return subject{}
}

// network is the part of an address by which a client is told from others: an IPv4 address whole, the first 64 bits of an
// IPv6 address, since a client has all of the others. The first byte says which.
type network [9]byte

func networkOf(a netip.Addr) (n network) {
	const v4, v6, prefix = 4, 6, 8
	if a = a.Unmap(); a.Is4() {
		four := a.As4()
		n[0] = v4
		copy(n[1:], four[:])
		return n
	}
	sixteen := a.As16()
	n[0] = v6
	copy(n[1:], sixteen[:prefix])
	return n
}
