package udp

import (
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
)

// void is a socket that loses everything.
type void struct{}

func (void) write([]byte) {}
func (void) dropped()     {}

func (void) ended(*link) {}

// FuzzEnvelope has the decoder take any datagram, and a link whatever passes.
func FuzzEnvelope(f *testing.F) {
	const nonce = 1
	s := sender{}
	s.init()
	data := call(1, 100)
	f.Add(s.add(nonce, kindData, false, time.Now(), data.Bytes()).b)
	large := hello(3000)
	for i := range 3 {
		p := s.add(nonce, kindFragment, true, time.Now(), large.Bytes()[i*chunk:min((i+1)*chunk, 3000+spec.HeaderSize)])
		p.fragment(uint16(i), 3000+spec.HeaderSize)
		f.Add(p.b)
	}
	f.Add(initFor(nonce, 1, 1))
	f.Add(openFor(nonce, 1, 1, [cookieSize]byte{}))
	f.Add(appendVersions(appendHead(nil, kindAccept, nonce), 1, 2))
	f.Add(appendHead(make([]byte, 0, datagram), kindAck, nonce)[:ackSize])
	f.Add(appendHead(make([]byte, 0, datagram), kindClose, nonce)[:closeSize])
	f.Add(appendHead(nil, kindReset, nonce))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := decode(b)
		if !ok {
			return
		}
		if len(b) > datagram || len(e.payload) > len(b) {
			t.Fatalf("%d bytes with %d of payload", len(b), len(e.payload))
		}
		if e.kind == kindFragment && uint32(e.index) >= fragments(e.total) {
			t.Fatalf("fragment %d of %d", e.index, fragments(e.total))
		}
		l := newLink(void{}, nonce, "fuzz")
		for range 2 {
			l.receive(&e)
			e.seq++
		}
		if l.err == nil && len(l.receiver.queue)+len(l.receiver.waiting) > 2 {
			t.Fatal("more frames than datagrams")
		}
	})
}
