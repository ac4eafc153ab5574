package spec_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
)

var (
	envelopeKey   = []byte(strings.Repeat("k", spec.MinEnvelopeKey))
	envelopeOther = []byte(strings.Repeat("o", spec.MinEnvelopeKey))
	envelopeNow   = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

func goodEnvelope() spec.Envelope {
	return spec.Envelope{
		Version: 1, Subject: "alice", Tenant: "acme", Scopes: []string{"a", "b"}, Roles: []string{"clerk"}, Service: "legacy", Request: "r",
		IssuedAt: envelopeNow.Unix(), Expires: envelopeNow.Add(time.Minute).Unix(),
	}
}

// sealed signs any text, as nobody but who has the key can.
func sealed(text string, key []byte) (envelope, signature string) {
	envelope = base64.RawURLEncoding.EncodeToString([]byte(text))
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(envelope))
	return envelope, base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestEnvelope(t *testing.T) {
	e := goodEnvelope()
	text, signature, err := e.Seal(envelopeKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][][]byte{{envelopeKey}, {envelopeOther, envelopeKey}, {envelopeKey, envelopeOther}} {
		got, err := spec.OpenEnvelope(text, signature, "legacy", keys, envelopeNow)
		if err != nil || !reflect.DeepEqual(*got, e) {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"sub":"alice","tenant":"acme","scopes":["a","b"],"roles":["clerk"],"aud":"legacy","rid":"r","iat":1767268800,"exp":1767268860}`
	if string(plain) != want {
		t.Fatalf("%s, expected %s", plain, want)
	}
	if _, _, err := e.Seal(envelopeKey[1:]); err == nil {
		t.Fatal("a short key has signed")
	}
	e.Scopes = []string{strings.Repeat("s", 48<<10)}
	if _, _, err := e.Seal(envelopeKey); err == nil {
		t.Fatal("what no request carries was sealed")
	}
}

func TestEnvelopeIsRefused(t *testing.T) {
	e := goodEnvelope()
	text, signature, err := e.Seal(envelopeKey)
	if err != nil {
		t.Fatal(err)
	}
	other := goodEnvelope()
	other.Subject = "root"
	forged, forgedSignature, err := other.Seal(envelopeOther)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	of := func(text string) func() (string, string) {
		return func() (string, string) { return sealed(text, envelopeKey) }
	}
	changed := func(f func(*spec.Envelope)) func() (string, string) {
		e := goodEnvelope()
		f(&e)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return of(string(text))
	}
	for name, c := range map[string]struct {
		make func() (string, string)
		why  string
	}{
		"nothing":                     {func() (string, string) { return "", "" }, "0 bytes"},
		"no signature":                {func() (string, string) { return text, "" }, "signature"},
		"half a signature":            {func() (string, string) { return text, signature[:20] }, "signature"},
		"another's signature":         {func() (string, string) { return forged, signature }, "none of the"},
		"another key":                 {func() (string, string) { return forged, forgedSignature }, "none of the"},
		"a signature with padding":    {func() (string, string) { return text, signature + "=" }, "signature"},
		"one more letter":             {func() (string, string) { return text + "A", signature }, "none of the"},
		"the plain text":              {func() (string, string) { return string(whole), signature }, "none of the"},
		"too long":                    {func() (string, string) { return strings.Repeat("A", 64<<10), signature }, "65536 bytes"},
		"a line end":                  {func() (string, string) { return text[:4] + "\n" + text[4:], signature }, "none of the"},
		"another service's":           {changed(func(e *spec.Envelope) { e.Service = "other" }), `for the service "other"`},
		"nobody's":                    {changed(func(e *spec.Envelope) { e.Service = "" }), "for the service"},
		"another version":             {changed(func(e *spec.Envelope) { e.Version = 2 }), "version"},
		"one that expired long ago":   {changed(func(e *spec.Envelope) { e.Expires = envelopeNow.Add(-spec.EnvelopeSkew - time.Second).Unix() }), "expired"},
		"one that never expires":      {changed(func(e *spec.Envelope) { e.Expires = 0 }), "expired"},
		"one of the future":           {changed(func(e *spec.Envelope) { e.IssuedAt = envelopeNow.Add(spec.EnvelopeSkew + time.Second).Unix() }), "later than now"},
		"no JSON":                     {of("x"), "invalid"},
		"no object":                   {of(`[1]`), "cannot unmarshal"},
		"two objects":                 {of(string(whole) + string(whole)), "invalid"},
		"a time that is too large":    {of(`{"v":1,"aud":"legacy","iat":0,"exp":1e30}`), "cannot unmarshal"},
		"a subject that is an object": {of(`{"v":1,"aud":"legacy","sub":{},"exp":9999999999}`), "cannot unmarshal"},
	} {
		text, signature := c.make()
		got, err := spec.OpenEnvelope(text, signature, "legacy", [][]byte{envelopeKey}, envelopeNow)
		if got != nil || !errors.Is(err, spec.ErrEnvelope) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, %v, expected an error with %q", name, got, err, c.why)
		}
	}
	for name, keys := range map[string][][]byte{"no keys": nil, "an empty key": {nil}, "a short key": {envelopeKey[1:]}} {
		for _, key := range append(keys, nil) {
			text, signature := sealed(string(whole), key)
			if got, err := spec.OpenEnvelope(text, signature, "legacy", keys, envelopeNow); got != nil || err == nil {
				t.Errorf("%s: %v, expected an error: whoever guesses it could sign", name, got)
			}
		}
	}
	for name, at := range map[string]time.Duration{"ahead": -spec.EnvelopeSkew, "behind": time.Minute + spec.EnvelopeSkew} {
		if _, err := spec.OpenEnvelope(text, signature, "legacy", [][]byte{envelopeKey}, envelopeNow.Add(at)); err != nil {
			t.Errorf("a clock that is %s by as much as it may be: %v", name, err)
		}
	}
}

// FuzzOpenEnvelope: without the key nothing is taken, and with it only what it says of itself.
func FuzzOpenEnvelope(f *testing.F) {
	e := goodEnvelope()
	text, signature, err := e.Seal(envelopeKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, signature, `{"v":1,"aud":"legacy","exp":9999999999}`)
	f.Add("", "", "")
	f.Add("e30", signature, "null")
	f.Fuzz(func(t *testing.T, envelope, given, payload string) {
		if got, err := spec.OpenEnvelope(envelope, given, "legacy", [][]byte{envelopeKey}, envelopeNow); err == nil && (envelope != text || given != signature) {
			t.Fatalf("forged: %+v", got)
		}
		signedText, good := sealed(payload, envelopeKey)
		got, err := spec.OpenEnvelope(signedText, good, "legacy", [][]byte{envelopeKey}, envelopeNow)
		if err == nil && (got.Version != 1 || got.Service != "legacy" || got.Expires == 0) {
			t.Fatalf("%q: %+v", payload, got)
		}
	})
}
