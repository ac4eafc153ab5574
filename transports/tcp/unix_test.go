package tcp_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/tcp"
)

func listenUnix(t *testing.T, raw string) transports.Listener {
	t.Helper()
	l, err := transports.Listen(t.Context(), raw, transports.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestUnixSocketCarriesFramesAndIsThisUsersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for raw, want := range map[string]os.FileMode{"unix://" + path: 0o600, "unix://" + path + "?mode=0660": 0o660} {
		l := listenUnix(t, raw)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: permissions %v, expected %v: %v", raw, info.Mode().Perm(), want, err)
		}
		near, err := transports.Dial(t.Context(), l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := near.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypePing, 0, 5, nil)}); err != nil {
			t.Fatal(err)
		}
		f, err := far.ReadFrame()
		if err != nil || f.Header().Aux != 5 {
			t.Fatalf("%v", err)
		}
		f.Release()
		if s := near.Traits().Scheme; s != "unix" {
			t.Errorf("scheme %q", s)
		}
		_, _ = near.Close(), far.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the socket is left behind: %v", err)
		}
	}
}

func TestUnixSocketOfADeadProcessIsReplacedAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	listenUnix(t, "unix://"+path)
	if _, err := transports.Listen(t.Context(), "unix://"+path, transports.ListenConfig{}); err == nil {
		t.Error("a second listener took over a socket that is in use")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := transports.Listen(t.Context(), "unix://"+file, transports.ListenConfig{}); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Error("a file was taken for a socket")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file has become %q: %v", text, err)
	}
}

func TestUnixURLs(t *testing.T) {
	for raw, why := range map[string]string{
		"unix://host/path":              "expected unix:///path",
		"unix:///":                      "expected unix:///path",
		"unix:///a?x=1":                 "no parameters but mode",
		"unix:///a?mode=9":              "no parameters but mode",
		"unix:///a?mode=01777":          "no parameters but mode",
		"unix:///a?mode=0600&mode=0600": "no parameters but mode",
		"unix:///" + strings.Repeat("a", 99) + "/12345678": "at most 107",
	} {
		if _, err := transports.Dial(context.Background(), raw); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, expected %q", raw, err, why)
		}
	}
}
