package spec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The header fields of an envelope (PROTOCOL.md, section 8.4).
const (
	HeaderEnvelope          = "X-Stella-Identity-Envelope"
	HeaderEnvelopeSignature = "X-Stella-Identity-Envelope-Signature"
)

const (
	// EnvelopeSkew is how far the clocks of who makes an envelope and who reads it may differ.
	EnvelopeSkew = 5 * time.Minute
	// MinEnvelopeKey is the least length of a key, in bytes.
	MinEnvelopeKey = 32

	envelopeVersion = 1
	maxEnvelope     = 48 << 10 // bytes of the field
)

// ErrEnvelope is what errors of [OpenEnvelope] wrap: nothing of the envelope may be believed.
var ErrEnvelope = errors.New("spec: envelope refused")

// Envelope says who calls, to programs behind a bridged handler. What stands in it is believed for its signature alone.
type Envelope struct {
	Version  int      `json:"v"`
	Subject  string   `json:"sub,omitempty"`
	Tenant   string   `json:"tenant,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Service  string   `json:"aud"` // that it is for: another one cannot use it
	Request  string   `json:"rid"`
	IssuedAt int64    `json:"iat"` // Unix seconds
	Expires  int64    `json:"exp"` // Unix seconds
}

// envelopeEncoding takes one spelling only.
var envelopeEncoding = base64.RawURLEncoding.Strict()

// Seal returns the values of the two fields: the envelope, and its signature under key.
func (e Envelope) Seal(key []byte) (envelope, signature string, err error) {
	if len(key) < MinEnvelopeKey {
		return "", "", fmt.Errorf("spec: envelope: a key of %d bytes, expected at least %d", len(key), MinEnvelopeKey)
	}
	e.Version = envelopeVersion
	text, err := json.Marshal(e)
	if err != nil {
		return "", "", fmt.Errorf("spec: envelope: %w", err)
	}
	envelope = envelopeEncoding.EncodeToString(text)
	if len(envelope) > maxEnvelope {
		return "", "", fmt.Errorf("spec: envelope: it has %d bytes, the limit is %d", len(envelope), maxEnvelope)
	}
	return envelope, envelopeEncoding.EncodeToString(envelopeMAC(envelope, key)), nil
}

// OpenEnvelope reads the envelope of a request to a service, if it was signed with one of the keys and is good now. Empty
// strings are what a request without one has. Errors wrap [ErrEnvelope].
func OpenEnvelope(envelope, signature, service string, keys [][]byte, now time.Time) (*Envelope, error) {
	if envelope == "" || len(envelope) > maxEnvelope {
		return nil, fmt.Errorf("%w: it has %d bytes, expected 1 to %d", ErrEnvelope, len(envelope), maxEnvelope)
	}
	given, err := envelopeEncoding.DecodeString(signature)
	if err != nil || len(given) != sha256.Size {
		return nil, fmt.Errorf("%w: its signature is not base64url of %d bytes", ErrEnvelope, sha256.Size)
	}
	good := false
	for _, key := range keys {
		good = len(key) >= MinEnvelopeKey && hmac.Equal(given, envelopeMAC(envelope, key)) || good
	}
	if !good {
		return nil, fmt.Errorf("%w: none of the %d keys has signed it", ErrEnvelope, len(keys))
	}
	text, err := envelopeEncoding.DecodeString(envelope)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not base64url", ErrEnvelope)
	}
	var e Envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	switch {
	case e.Version != envelopeVersion:
		return nil, fmt.Errorf("%w: its version is %d, expected %d", ErrEnvelope, e.Version, envelopeVersion)
	case e.Service != service:
		return nil, fmt.Errorf("%w: it is for the service %.80q", ErrEnvelope, e.Service)
	case e.IssuedAt > now.Add(EnvelopeSkew).Unix():
		return nil, fmt.Errorf("%w: it was made later than now", ErrEnvelope)
	case e.Expires < now.Add(-EnvelopeSkew).Unix():
		return nil, fmt.Errorf("%w: it has expired", ErrEnvelope)
	}
	return &e, nil
}

// envelopeMAC makes the signature of a field's value.
func envelopeMAC(envelope string, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(envelope)) // never fails
	return mac.Sum(nil)
}
