package udp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// cookieLife is the step of the time in a cookie. One is good for one to two of them.
const cookieLife = 10 * time.Second

// baker makes cookies, and knows its own again without having kept any.
type baker struct {
	secret [sha256.Size]byte
	start  time.Time
}

func newBaker() *baker {
	b := &baker{start: time.Now()}
	_, _ = rand.Read(b.secret[:]) // never fails
	return b
}

// bake makes the cookie of an address and a nonce at a time.
func (b *baker) bake(addr netip.AddrPort, nonce uint64, now time.Time) [cookieSize]byte {
	return b.cookie(addr, nonce, b.step(now))
}

// good reports whether the cookie was made for this address and nonce, not long ago.
func (b *baker) good(cookie [cookieSize]byte, addr netip.AddrPort, nonce uint64, now time.Time) bool {
	step := b.step(now)
	for _, s := range []uint64{step, step - 1} {
		if want := b.cookie(addr, nonce, s); hmac.Equal(cookie[:], want[:]) {
			return true
		}
	}
	return false
}

func (b *baker) step(now time.Time) uint64 { return uint64(now.Sub(b.start) / cookieLife) }

func (b *baker) cookie(addr netip.AddrPort, nonce, step uint64) (c [cookieSize]byte) {
	ip := addr.Addr().As16()
	mac := hmac.New(sha256.New, b.secret[:])
	msg := append([]byte(nil), ip[:]...)
	msg = binary.BigEndian.AppendUint16(msg, addr.Port())
	msg = binary.BigEndian.AppendUint64(msg, nonce)
	msg = binary.BigEndian.AppendUint64(msg, step)
	_, _ = mac.Write(msg) // never fails
	copy(c[:], mac.Sum(nil))
	return c
}
