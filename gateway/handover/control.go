package handover

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The kinds of messages.
const (
	kindBegun     = "begun"
	kindInstances = "instances"
	kindReady     = "ready"
)

// maxMessage is the longest message in bytes: some 50,000 instances.
const maxMessage = 16 << 20

// Instance is a process of a service that has a session.
type Instance struct {
	Service string `json:"service"`
	Version string `json:"version"`
	ID      string `json:"id"`
}

// message is what one process says to the other: JSON behind its length in bytes, 32 bits with the highest first. Members
// that are not known are of another version of the gateway, and skipped.
type message struct {
	Kind      string     `json:"kind"`
	Instances []Instance `json:"instances,omitempty"`
}

func writeMessage(w io.Writer, m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("handover: %s: %w", m.Kind, err)
	}
	if len(text) > maxMessage {
		return fmt.Errorf("handover: %s has %d bytes, expected at most %d", m.Kind, len(text), maxMessage)
	}
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("handover: telling the other process: %w", err)
	}
	return nil
}

// readMessage reads a message of one kind. Its memory grows with what has come, not with what was announced.
func readMessage(r io.Reader, kind string) (message, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return message{}, fmt.Errorf("handover: waiting for %q: %w", kind, err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxMessage {
		return message{}, fmt.Errorf("handover: a message of %d bytes, expected at most %d", n, maxMessage)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(text) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return message{}, fmt.Errorf("handover: reading %q: %w", kind, err)
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return message{}, fmt.Errorf("handover: %q is no message: %w", kind, err)
	}
	if m.Kind != kind {
		return message{}, fmt.Errorf("handover: the other process says %.40q, expected %q", m.Kind, kind)
	}
	return m, nil
}

// errOver is what waiting ends with where its context has ended.
var errOver = errors.New("handover: it took too long, or this process ends")

// tell sends a message, and gives up when ctx ends: the other process may have stopped, and take nothing.
func tell(ctx context.Context, conn net.Conn, m message) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) }) // the write tells
	defer stop()
	err := writeMessage(conn, m)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: saying %q", errOver, m.Kind)
	}
	return err
}

// expect waits for a message until ctx ends.
func expect(ctx context.Context, conn net.Conn, kind string) (message, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // the read tells
	defer stop()
	m, err := readMessage(conn, kind)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: waiting for %q", errOver, kind)
	}
	return m, err
}
