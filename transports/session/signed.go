package session

import (
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// signed is a link through a broker, whose users can write to each other's queues. Once both ends have proven the token
// it signs what it writes, and lets through only what the other end has signed: PROTOCOL.md, section "Frames that cross a
// broker". Until then it changes nothing.
type signed struct {
	transports.Link
	out *spec.MAC // of what is written, or nil
	in  *spec.MAC // of what is read, or nil

	batch []*transports.Frame // what is being written
	came  []*transports.Frame // frames that have been read
	good  bool                // they are known to be the peer's
	given int                 // how many of them ReadFrame has returned
	bytes int                 // in those that are not known yet
	met   bool                // the peer has signed something
}

// patientSigned is a signed link over a [transports.Patient] one.
type patientSigned struct{ *signed }

// signable returns a link that can sign where link needs that.
func signable(link transports.Link) transports.Link {
	if !link.Traits().Brokered {
		return link
	}
	s := &signed{Link: link}
	if _, ok := link.(transports.Patient); ok {
		return patientSigned{s}
	}
	return s
}

// sign begins signing and checking on a link that needs it. Both directions begin with the frame that is next.
func sign(link transports.Link, out, in []byte) {
	if l, ok := link.(interface{ begin(out, in []byte) }); ok {
		l.begin(out, in)
	}
}

func (l *signed) begin(out, in []byte) { l.out, l.in = spec.NewMAC(out), spec.NewMAC(in) }

func (l *signed) WriteFrames(batch []*transports.Frame) error {
	defer l.forget()
	return l.Link.WriteFrames(l.seal(batch))
}

// WriteSome implements [transports.Patient].
func (l patientSigned) WriteSome(batch []*transports.Frame) (left bool, err error) {
	defer l.forget()
	return l.Link.(transports.Patient).WriteSome(l.seal(batch)) //nolint:forcetypeassert // signable has looked
}

// forget keeps no frame that was written.
func (l *signed) forget() { clear(l.batch) }

// seal returns the batch with a MAC behind every part that one may cover. What it returns is valid until the next call.
func (l *signed) seal(batch []*transports.Frame) []*transports.Frame {
	if l.out == nil {
		return batch
	}
	l.batch = l.batch[:0]
	frames, bytes := 0, 0
	for i, f := range batch {
		l.out.Add(f.Bytes())
		l.batch = append(l.batch, f)
		frames, bytes = frames+1, bytes+len(f.Bytes())
		if i+1 == len(batch) || frames == spec.MaxSignedFrames || bytes+len(batch[i+1].Bytes()) > spec.MaxSignedBytes {
			var b [spec.MACSize]byte
			l.batch = append(l.batch, transports.NewControl(spec.TypeMAC, 0, 0, l.out.Append(b[:0])))
			frames, bytes = 0, 0
		}
	}
	return l.batch
}

var (
	errForged = &Error{
		Code: spec.CodeProtocol, Reason: "frames came that are not signed with the session's key: somebody else writes to it at the broker, or changes what is sent",
	}
	errUnsigned = &Error{Code: spec.CodeProtocol, Reason: "more frames came than one MAC covers, and no MAC"}
)

func (l *signed) ReadFrame() (*transports.Frame, error) {
	if l.in == nil {
		return l.Link.ReadFrame()
	}
	for !l.good {
		f, err := l.Link.ReadFrame()
		if err != nil {
			l.drop()
			return nil, err
		}
		switch h := f.Header(); {
		case h.Type == spec.TypeMAC:
			good := len(l.came) > 0 && l.in.Check(f.Meta())
			f.Release()
			if !good {
				l.drop()
				return nil, errForged
			}
			l.good, l.bytes, l.met = true, 0, true
		case !l.met && h.Type == spec.TypeCancel && h.Stream == 0:
			return f, nil // whoever refuses the token has no key; and the broker could have refused, too
		default:
			l.in.Add(f.Bytes())
			l.came = append(l.came, f)
			if l.bytes += len(f.Bytes()); l.bytes > spec.MaxSignedBytes || len(l.came) > spec.MaxSignedFrames {
				l.drop()
				return nil, errUnsigned
			}
		}
	}
	f := l.came[l.given]
	l.came[l.given] = nil
	if l.given++; l.given == len(l.came) {
		l.came, l.given, l.good = l.came[:0], 0, false
	}
	return f, nil
}

// drop releases what has been read and nobody will get.
func (l *signed) drop() {
	for _, f := range l.came {
		f.Release()
	}
	l.came = nil
}
