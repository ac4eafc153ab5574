package edge_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Frames of HTTP/2 (RFC 9113, section 6), by hand: net/http's client sends only what it should.
const (
	h2Data         = 0x0
	h2Headers      = 0x1
	h2Reset        = 0x3
	h2Settings     = 0x4
	h2Ping         = 0x6
	h2GoAway       = 0x7
	h2WindowUpdate = 0x8
	h2Continuation = 0x9

	h2End        = 0x1 // END_STREAM, and ACK
	h2EndHeaders = 0x4

	h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// h2conn is a client's connection that speaks HTTP/2 with prior knowledge. One goroutine may write and another read.
type h2conn struct {
	net.Conn

	in *bufio.Reader
}

// h2frame is one frame that came.
type h2frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (r *rig) h2() *h2conn {
	GinkgoHelper()
	conn, in := r.raw(h2Preface)
	c := &h2conn{conn, in}
	Expect(conn.SetDeadline(time.Now().Add(4 * patience))).To(Succeed())
	Expect(c.send(h2Settings, 0, 0, nil)).To(Succeed())
	return c
}

// frame is a frame's bytes.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

func (c *h2conn) send(kind, flags byte, stream uint32, payload []byte) error {
	_, err := c.Write(frame(kind, flags, stream, payload))
	return err
}

// next reads a frame.
func (c *h2conn) next() (h2frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return h2frame{}, err
	}
	f := h2frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1)}
	f.payload = make([]byte, binary.BigEndian.Uint32(head[:])>>8)
	_, err := io.ReadFull(c.in, f.payload)
	return f, err
}

// until reads frames until one is of the stream and one of the kinds.
func (c *h2conn) until(stream uint32, kinds ...byte) h2frame {
	GinkgoHelper()
	for {
		f, err := c.next()
		Expect(err).NotTo(HaveOccurred())
		for _, k := range kinds {
			if f.kind == k && f.stream == stream {
				return f
			}
		}
	}
}

// ends reads until the connection ends, and returns the code of GOAWAY; none of it is -1.
func (c *h2conn) ends() (code int) {
	code = -1
	for {
		f, err := c.next()
		if err != nil {
			return code
		}
		if f.kind == h2GoAway && len(f.payload) >= 8 {
			code = int(binary.BigEndian.Uint32(f.payload[4:]))
		}
	}
}

// settles reads until the connection ends, or the server has come to a PING. It returns the code of GOAWAY; none of it is -1, and
// 0 is PING's answer.
func (c *h2conn) settles() int {
	for {
		f, err := c.next()
		switch {
		case err != nil:
			return -1
		case f.kind == h2GoAway && len(f.payload) >= 8:
			return int(binary.BigEndian.Uint32(f.payload[4:]))
		case f.kind == h2Ping && f.flags == h2End:
			return 0
		}
	}
}

// ok reports whether HEADERS begin with :status 200, by its place in the static table.
func (f h2frame) ok() bool { return f.kind == h2Headers && len(f.payload) > 0 && f.payload[0] == 0x88 }

// fields are header fields as literals that are not indexed (RFC 7541, section 6.2.2), names and values in turn.
func fields(list ...string) []byte {
	var b []byte
	for i := 0; i+1 < len(list); i += 2 {
		b = append(b, 0)
		for _, s := range list[i : i+2] {
			b = append(hpackInt(b, len(s)), s...)
		}
	}
	return b
}

// hpackInt is an integer behind a prefix of seven bits (RFC 7541, section 5.1).
func hpackInt(b []byte, n int) []byte {
	if n < 127 {
		return append(b, byte(n))
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// asking are the fields of a request.
func asking(method, path string, more ...string) []byte {
	return fields(append([]string{":method", method, ":scheme", "http", ":authority", "h", ":path", path}, more...)...)
}
