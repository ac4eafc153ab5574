package udp

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"time"
)

const (
	// window bounds how far the numbers of datagrams on their way may be apart, and by that what either end holds.
	window = 256
	// Bounds of how many datagrams may be on their way, and with how many a link begins.
	minFlight, startFlight, maxFlight = 4, 32, window
	// Bounds of the wait for a confirmation (RFC 6298, but with a floor for networks of one site), and what it is before
	// anything was measured.
	minWait, startWait, maxWait = 20 * time.Millisecond, 200 * time.Millisecond, time.Second
	// overtaken is by how many later ones that were confirmed a datagram counts as lost (RFC 9002, section 6.1.1).
	overtaken = 3
	// burst bounds the datagrams that are sent again at once for want of confirmation.
	burst      = 16
	burstPause = 2 * time.Millisecond
)

// packet is a datagram that was sent and not yet confirmed. Counts are of a link's transmissions.
type packet struct {
	b         []byte
	first     uint64 // count of its first transmission
	last      uint64 // and of its last one
	sent      time.Time
	again     bool // it was sent more than once
	waits     int  // how often it was sent again for want of confirmation
	confirmed bool
	room      [datagram]byte
}

var packets = sync.Pool{New: func() any { return new(packet) }}

// fragment says which part of a frame the packet is.
func (p *packet) fragment(index uint16, total uint32) {
	binary.BigEndian.PutUint16(p.b[indexAt:], index)
	binary.BigEndian.PutUint32(p.b[totalAt:], total)
}

// sender is the half of a link that sends.
type sender struct {
	ring   [window]*packet // by number; those from una up to next
	una    uint32          // lowest number that is not confirmed
	next   uint32          // number of the next datagram
	flying int             // datagrams that are not confirmed

	flight   float64 // how many may be
	steep    bool    // nothing was lost yet: the flight doubles each round trip
	recover  uint32  // a loss of a lower number belongs to one that has been answered for
	count    uint64  // transmissions
	highest  uint64  // count of the latest one that was confirmed
	srtt     time.Duration
	variance time.Duration
	rto      time.Duration
	progress time.Time // when something was confirmed last, or had to be from then on

	session uint32 // number of the last datagram of a session frame
	marked  bool   // there was one
}

func (s *sender) init() { s.flight, s.steep, s.rto = startFlight, true, startWait }

// hasRoom reports whether one more datagram may be sent.
func (s *sender) hasRoom() bool { return s.flying < int(s.flight) && s.next-s.una < window }

// add makes the next datagram.
func (s *sender) add(nonce uint64, k kind, session bool, now time.Time, payload []byte) *packet {
	p, _ := packets.Get().(*packet)
	p.again, p.waits, p.confirmed = false, 0, false
	head := dataHead
	if k == kindFragment {
		head = fragmentHead
	}
	p.b = appendHead(p.room[:0], k, nonce)[:head]
	p.b = append(p.b, payload...)
	binary.BigEndian.PutUint32(p.b[seqAt:], s.next)
	p.b[behindAt] = 0
	if d := s.next - s.session; s.marked && d < 1<<8 {
		p.b[behindAt] = byte(d)
	}
	if session {
		s.session, s.marked = s.next, true
	}
	if s.flying == 0 {
		s.progress = now
	}
	p.first = s.count
	s.ring[s.next%window] = p
	s.next++
	s.flying++
	return p
}

// clear forgets what has been sent.
func (s *sender) clear() {
	for ; s.una != s.next; s.una++ {
		s.forget(s.una)
	}
	s.flying = 0
}

func (s *sender) forget(seq uint32) {
	p := s.ring[seq%window]
	s.ring[seq%window] = nil
	packets.Put(p)
}

// sample takes a measured round trip in (RFC 6298, section 2).
func (s *sender) sample(rtt time.Duration) {
	if s.srtt == 0 {
		s.srtt, s.variance = rtt, rtt/2
	} else {
		s.variance += ((s.srtt - rtt).Abs() - s.variance) / 4
		s.srtt += (rtt - s.srtt) / 8
	}
	s.rto = min(max(s.srtt+4*s.variance+ackDelay, minWait), maxWait)
}

// confirm notes that a datagram has arrived. It reports whether that is news.
func (s *sender) confirm(seq uint32, now time.Time) bool {
	p := s.ring[seq%window]
	if p.confirmed {
		return false
	}
	p.confirmed = true
	s.flying--
	s.highest = max(s.highest, p.first)
	if !p.again {
		s.sample(now.Sub(p.sent))
	}
	return true
}

// lost slows down for a loss, once for all those of one flight.
func (s *sender) lost(seq uint32) {
	if int32(seq-s.recover) < 0 {
		return
	}
	s.flight, s.steep, s.recover = max(s.flight/2, minFlight), false, s.next
}

// grow speeds up after n confirmations.
func (s *sender) grow(n int) {
	more := float64(n)
	if !s.steep {
		more /= s.flight
	}
	s.flight = min(s.flight+more, maxFlight)
}

// confirmed takes in what a datagram says has arrived. The caller holds mu.
func (l *link) confirmed(e *envelope, now time.Time) {
	s := &l.sender
	if behind := s.una - e.ack; behind != 0 && behind < 1<<31 {
		return // an old one
	}
	if e.ack-s.una > s.next-s.una {
		l.drop()
		return
	}
	news, full := 0, s.flying >= int(s.flight)
	for seq := s.una; seq != e.ack; seq++ {
		if s.confirm(seq, now) {
			news++
		}
	}
	gaps := false
	for i, word := range e.bits {
		for ; word != 0; word &= word - 1 {
			seq := e.ack + 1 + uint32(64*i+bits.TrailingZeros64(word))
			if seq-s.una >= s.next-s.una {
				break // never sent
			}
			gaps = true
			if s.confirm(seq, now) {
				news++
			}
		}
	}
	for ; s.una != s.next && s.ring[s.una%window].confirmed; s.una++ {
		s.forget(s.una)
	}
	if int32(s.una-s.recover) > 0 {
		s.recover = s.una // numbers may not fall behind by half their range
	}
	if news == 0 {
		return
	}
	s.progress = now
	if full {
		s.grow(news)
	}
	if gaps {
		for seq := s.una; seq != s.next; seq++ {
			if p := s.ring[seq%window]; !p.confirmed && p.last+overtaken <= s.highest {
				s.lost(seq)
				l.again(p, now)
			}
		}
	}
	signal(l.room)
	if l.closed && s.flying == 0 {
		signal(l.wake)
	}
}

// transmit sends a datagram, with what has arrived here by now. The caller holds mu.
func (l *link) transmit(p *packet, now time.Time) {
	r := &l.receiver
	putAck(p.b, r, 1)
	if r.highest-r.next <= 64 {
		r.pending = 0
	}
	l.sender.count++
	p.last, p.sent = l.sender.count, now
	if !p.again {
		p.first = p.last
	}
	l.sock.write(p.b)
}

func (l *link) again(p *packet, now time.Time) {
	p.again = true
	l.transmit(p, now)
}

// resend sends again what was not confirmed in time, and returns when more will be due.
func (l *link) resend(now time.Time) (next time.Time) {
	s := &l.sender
	next = now.Add(forever)
	sent := 0
	for seq := s.una; seq != s.next; seq++ {
		p := s.ring[seq%window]
		if p.confirmed {
			continue
		}
		due := p.sent.Add(s.patience(p))
		if !now.Before(due) {
			if sent == burst {
				return now.Add(burstPause)
			}
			sent++
			s.lost(seq)
			p.waits++
			l.again(p, now)
			due = now.Add(s.patience(p))
		}
		if due.Before(next) {
			next = due
		}
	}
	return next
}

// patience is how long a packet's confirmation is waited for.
func (s *sender) patience(p *packet) time.Duration {
	return min(s.rto<<min(p.waits, 6), maxWait)
}
