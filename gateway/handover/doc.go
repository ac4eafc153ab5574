// Package handover lets one process of a gateway take the place of another without a gap: sockets on which a process listens
// come from outside, from a service manager (sd_listen_fds(3)) or from the process before; and the two processes agree over
// a pair of sockets on when the one begins to serve and the other ends.
//
// The order is always the same. The new process says that its configuration is good (begun). The old one stops taking sessions
// and tells which instances it has (instances): from then on whoever dials reaches the new one. The new one says when it
// serves (ready), and the old one ends. Until then the old one can go on as if nothing had been: the sockets are its own, too.
//
// The package knows nothing of gateways: what an instance is to them, and what ending means, is theirs. Start reading at
// [Inherit] for the new process, and at [Sockets.Hold] and [Command.Start] for the old one.
package handover
