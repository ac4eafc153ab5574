package transports

// Datagrams is a [Listener] on a socket to which anybody may send datagrams.
type Datagrams interface {
	Listener
	// Dropped is how many datagrams were thrown away since the listener began, by every reason that the transport has.
	// It may be called concurrently, and after Close.
	Dropped() map[Drop]uint64
}

// Drop is why a datagram was thrown away.
type Drop string

// The reasons.
const (
	DropMalformed Drop = "malformed" // none of the transport's, or cut off on the way
	DropNoLink    Drop = "no_link"   // of a link that is not, or is no more
	DropCookie    Drop = "cookie"    // of an opening, without the cookie that was sent to this address, or with an old one
	DropFull      Drop = "full"      // of an opening, for which there is no room
	DropMisplaced Drop = "misplaced" // of a link, and such as no peer sends: it is beyond the window, say
)
