package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/gateway/auth"
)

// trial is a verifier that runs in a bubble.
type trial struct {
	*testing.T

	v *auth.Verifier
}

// bubble runs rules about time in virtual time. The publisher stands outside of it and is asked by real connections.
func bubble(t *testing.T, i auth.Issuer, rule func(t *trial)) {
	t.Helper()
	bubbleWith(t, quiet, i, rule)
}

func bubbleWith(t *testing.T, log *slog.Logger, i auth.Issuer, rule func(t *trial)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v, err := auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{i}, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { v.Run(ctx) })
		synctest.Wait()
		rule(&trial{T: t, v: v})
		cancel()
		wg.Wait()
	})
}

// pass lets virtual time pass, and waits for what it has set off.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (t *trial) verify(token string) (auth.Proof, error) {
	return t.v.Verify(t.Context(), token, time.Now())
}

func (t *trial) expect(token string, want error) {
	t.Helper()
	if _, err := t.verify(token); !errors.Is(err, want) {
		t.Fatalf("at %s: %v, expected %v", time.Now().Format(time.TimeOnly), err, want)
	}
}

// TestOutage: keys whose publisher is down for minutes serve on, then nobody passes, then all is as before.
func TestOutage(t *testing.T) {
	k := newEd("a")
	p := newPublisher()
	defer p.Close()
	p.say("max-age=60", keySet(k.jwk()))
	i := issuer(p.URL)
	i.MaxStale = 10 * time.Minute
	bubble(t, i, func(t *trial) {
		old := k.token(claimsAt(time.Now(), map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}))
		fresh := func() string { return k.token(claimsAt(time.Now())) }
		t.expect(old, nil)
		p.fail()
		asked := p.asked.Load()
		last := time.Now().Add(time.Minute + i.MaxStale) // the only good answer so far has come just now
		for time.Now().Before(last.Add(-time.Minute)) {
			pass(time.Minute)
			t.expect(old, nil)
			t.expect(fresh(), nil)
		}
		if s := t.v.Status()[0]; !s.Stale || s.Closed || s.LastError == "" || len(s.Keys) != 1 || s.NextFetch.IsZero() {
			t.Fatalf("in an outage: %+v", s)
		}
		pass(time.Until(last))
		for range 100 {
			t.expect(old, auth.ErrKeys) // what is remembered, too
			t.expect(fresh(), auth.ErrKeys)
		}
		if s := t.v.Status()[0]; !s.Closed || !s.Stale {
			t.Fatalf("after the outage's end: %+v", s)
		}
		pass(20 * time.Minute)
		if n := p.asked.Load() - asked; n < 10 || n > 60 {
			t.Fatalf("%d fetches in half an hour of failures, expected one a minute or a little more", n)
		}
		p.say("max-age=60", keySet(k.jwk()))
		pass(time.Minute)
		t.expect(old, nil)
		t.expect(fresh(), nil)
		if s := t.v.Status()[0]; s.Closed || s.Stale || s.LastError != "" || s.Age > time.Minute {
			t.Fatalf("back: %+v", s)
		}
	})
}

// TestPrefetch: keys are fetched anew before they are stale, as long apart as max-age says within bounds, and by no
// request.
func TestPrefetch(t *testing.T) {
	for header, fresh := range map[string]time.Duration{
		"max-age=600": 10 * time.Minute, "public, max-age=7200": 2 * time.Hour, "max-age=1": time.Minute, "no-cache": time.Minute,
		"no-store, max-age=9": time.Minute, "": 10 * time.Minute, "max-age=never": time.Minute, "Max-Age=\"3600\"": time.Hour,
		"max-age=99999999": 24 * time.Hour, "max-age=99999999999999999999999": 24 * time.Hour, "private": 10 * time.Minute,
	} {
		t.Run(header, func(t *testing.T) {
			p := newPublisher()
			defer p.Close()
			p.say(header, keySet(newEd("a").jwk()))
			bubble(t, issuer(p.URL), func(t *trial) {
				pass(fresh * 64 / 100)
				if n := p.asked.Load(); n != 1 {
					t.Fatalf("%d fetches after %s, expected only the first", n, fresh*64/100)
				}
				pass(fresh*80/100 - fresh*64/100)
				if n := p.asked.Load(); n != 2 {
					t.Fatalf("%d fetches after %s, expected the second", n, fresh*80/100)
				}
				for range 100 {
					pass(fresh / 10)
					if t.v.Status()[0].Stale {
						t.Fatal("the keys are stale, and their publisher is up")
					}
				}
			})
		})
	}
}

// TestUnknownKeys: tokens with keys that nobody knows make the gateway ask once in a cool-down, however many they are.
func TestUnknownKeys(t *testing.T) {
	const windows, tokens = 5, 2000
	k, stranger := newEd("a"), newEd("")
	p := newPublisher(k.jwk())
	defer p.Close()
	p.say("max-age=86400", keySet(k.jwk()))
	bubble(t, issuer(p.URL), func(t *trial) {
		t.expect(k.token(claimsAt(time.Now())), nil)
		for w := range windows {
			var wg sync.WaitGroup
			var others atomic.Int64
			for g := range 20 {
				wg.Go(func() {
					for n := range tokens / 20 {
						kid := fmt.Sprintf("%d-%d-%d", w, g, n)
						if _, err := t.verify(stranger.token(claimsAt(time.Now()), map[string]any{"kid": kid})); !errors.Is(err, auth.ErrToken) {
							others.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if n := others.Load(); n > 0 {
				t.Fatalf("%d of %d tokens had another outcome than refusal", n, tokens)
			}
			if n := p.asked.Load(); n != int64(w+2) {
				t.Fatalf("%d fetches after %d cool-downs, expected %d", n, w+1, w+2)
			}
			pass(auth.DefaultCooldown)
		}
		t.expect(k.token(claimsAt(time.Now())), nil)
	})
}

// TestUnknownKeyIsRemembered: one client with one wrong key asks less often than the cool-down lets it.
func TestUnknownKeyIsRemembered(t *testing.T) {
	k, stranger := newEd("a"), newEd("b")
	p := newPublisher()
	defer p.Close()
	p.say("max-age=86400", keySet(k.jwk()))
	bubble(t, issuer(p.URL), func(t *trial) {
		for range 60 { // ten minutes
			t.expect(stranger.token(claimsAt(time.Now())), auth.ErrToken)
			pass(10 * time.Second)
		}
		if n := p.asked.Load(); n < 5 || n > 6 {
			t.Fatalf("%d fetches in 10 minutes, expected the first and one in 2 minutes", n)
		}
		p.say("max-age=86400", keySet(k.jwk(), stranger.jwk())) // its key is published after all
		pass(2 * time.Minute)
		t.expect(stranger.token(claimsAt(time.Now())), nil)
	})
}

// TestRotation: with an overlap nobody notices, and a key that is gone takes its tokens along.
func TestRotation(t *testing.T) {
	a, b := newEd("a"), newEd("b")
	p := newPublisher()
	defer p.Close()
	p.say("max-age=60", keySet(a.jwk()))
	bubble(t, issuer(p.URL), func(t *trial) {
		old := a.token(claimsAt(time.Now(), map[string]any{"exp": time.Now().Add(time.Hour).Unix()}))
		first, err := t.verify(old)
		if err != nil {
			t.Fatal(err)
		}
		p.say("max-age=60", keySet(b.jwk(), a.jwk()))
		pass(time.Minute)
		asked := p.asked.Load()
		t.expect(b.token(claimsAt(time.Now())), nil)
		again, err := t.verify(old)
		if err != nil || again.Identity != first.Identity {
			t.Fatalf("%v; the same key is still there: expected the token to be remembered", err)
		}
		if p.asked.Load() != asked {
			t.Fatal("a key that was prefetched was asked for")
		}
		p.say("max-age=60", keySet(b.jwk()))
		pass(time.Minute)
		t.expect(old, auth.ErrToken)
		t.expect(a.token(claimsAt(time.Now())), auth.ErrToken)
		t.expect(b.token(claimsAt(time.Now())), nil)
		if keys := t.v.Status()[0].Keys; len(keys) != 1 || keys[0] != (auth.KeyStatus{ID: "b", Algorithm: "EdDSA", Kind: "Ed25519"}) {
			t.Fatalf("keys %+v", keys)
		}
	})
}

// TestRotationWithoutOverlap: the first token of the new key heals it, whatever was fetched when; the second rotation
// within a cool-down waits for its end.
func TestRotationWithoutOverlap(t *testing.T) {
	for _, kids := range [][3]string{{"a", "b", "c"}, {"", "", ""}} { // with names, and without
		t.Run(kids[0], func(t *testing.T) {
			a, b, c := newEd(kids[0]), newEd(kids[1]), newEd(kids[2])
			p := newPublisher()
			defer p.Close()
			p.say("max-age=86400", keySet(a.jwk()))
			bubble(t, issuer(p.URL), func(t *trial) {
				old := a.token(claimsAt(time.Now(), map[string]any{"exp": time.Now().Add(time.Hour).Unix()}))
				t.expect(old, nil)
				p.say("max-age=86400", keySet(b.jwk()))
				t.expect(b.token(claimsAt(time.Now())), nil)
				t.expect(old, auth.ErrToken)
				p.say("max-age=86400", keySet(c.jwk()))
				t.expect(c.token(claimsAt(time.Now())), auth.ErrToken)
				pass(auth.DefaultCooldown)
				t.expect(c.token(claimsAt(time.Now())), nil)
			})
		})
	}
}

// TestLateStart: an issuer that is down when the gateway starts closes its tokens out, and nothing else; once it is up
// they pass.
func TestLateStart(t *testing.T) {
	k := newEd("a")
	p := newPublisher()
	defer p.Close()
	p.fail()
	bubble(t, issuer(p.URL), func(t *trial) {
		t.expect(k.token(claimsAt(time.Now())), auth.ErrKeys)
		pass(5 * time.Minute)
		t.expect(k.token(claimsAt(time.Now())), auth.ErrKeys)
		if n := p.asked.Load(); n > 20 {
			t.Fatalf("%d fetches in 5 minutes of failures", n)
		}
		p.publish(k.jwk())
		pass(time.Minute)
		t.expect(k.token(claimsAt(time.Now())), nil)
	})
}

// TestWithdrawal: an issuer that publishes a key set without keys of use is closed with that fetch, whoever has made the gateway
// fetch, and open again when it publishes some.
func TestWithdrawal(t *testing.T) {
	k, other := newEd("a"), newEd("b")
	for name, none := range map[string][]byte{
		"no keys": []byte(`{"keys":[]}`), "none of use": keySet(k.jwk(map[string]any{"use": "enc"})), "secrets": []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`),
	} {
		for _, kick := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, asked by a token: %t", name, kick), func(t *testing.T) {
				p := newPublisher()
				defer p.Close()
				p.say("max-age=60", keySet(k.jwk()))
				var log bytes.Buffer // written by the verifier's goroutine, and read while that waits
				bubbleWith(t, slog.New(slog.NewTextHandler(&log, nil)), issuer(p.URL), func(t *trial) {
					old := k.token(claimsAt(time.Now(), map[string]any{"exp": time.Now().Add(time.Hour).Unix()}))
					t.expect(old, nil)
					p.say("max-age=60", none)
					if kick {
						t.expect(other.token(claimsAt(time.Now())), auth.ErrKeys)
					} else {
						pass(time.Minute)
					}
					t.expect(old, auth.ErrKeys)
					t.expect(k.token(claimsAt(time.Now())), auth.ErrKeys)
					if s := t.v.Status()[0]; !s.Closed || len(s.Keys) > 0 || s.LastError == "" {
						t.Fatalf("with %s: %+v", none, s)
					}
					p.fail() // an outage does not bring them back either
					pass(2 * time.Minute)
					t.expect(old, auth.ErrKeys)
					p.say("max-age=60", none)
					pass(2 * time.Minute)
					i := issuer(p.URL)
					i.MaxStale = 2 * time.Hour
					put, err := t.v.Prepare([]auth.Issuer{i})
					if err != nil {
						t.Fatal(err)
					}
					put() // neither does a reload
					t.expect(old, auth.ErrKeys)
					synctest.Wait()
					if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "withdrawn all its keys") {
						t.Fatalf("%d errors in the log, expected one:\n%s", n, &log)
					}
					p.say("max-age=60", keySet(other.jwk()))
					pass(time.Minute)
					t.expect(other.token(claimsAt(time.Now())), nil)
					t.expect(old, auth.ErrToken)
					p.say("max-age=60", keySet(other.jwk(), k.jwk()))
					pass(time.Minute)
					t.expect(old, nil)
				})
			})
		}
	}
}

// TestFile: a file is read again when it has changed, within a second; what is no key set changes nothing until it is
// too old.
func TestFile(t *testing.T) {
	a, b := newEd("a"), newEd("b")
	path := filepath.Join(t.TempDir(), "keys.json")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(keySet(a.jwk()))
	i := issuer(path)
	i.MaxStale = 5 * time.Minute
	bubble(t, i, func(t *trial) {
		token := func(k signer) string { return k.token(claimsAt(time.Now())) }
		t.expect(token(a), nil)
		write(keySet(a.jwk(), b.jwk()))
		t.expect(token(b), nil) // an unknown key is reason enough to look
		write(keySet(b.jwk()))
		pass(time.Second)
		t.expect(token(a), auth.ErrToken)
		pass(time.Hour)
		t.expect(token(b), nil) // it is not the content's age that counts
		write([]byte(`{"keys":[]}`))
		pass(time.Second)
		t.expect(token(b), auth.ErrKeys) // they were taken away: it is not the same as rubbish
		write(keySet(b.jwk()))
		pass(time.Second)
		t.expect(token(b), nil)
		write([]byte("rubbish"))
		pass(2 * time.Minute)
		t.expect(token(b), nil)
		if s := t.v.Status()[0]; s.LastError == "" || !s.Stale {
			t.Fatalf("with rubbish: %+v", s)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Minute)
		t.expect(token(b), auth.ErrKeys)
		write(keySet(a.jwk()))
		pass(time.Second)
		t.expect(token(a), nil)
	})
}
