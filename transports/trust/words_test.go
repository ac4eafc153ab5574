package trust_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stella-ops/router/transports/trust"
)

func write(t *testing.T, text []byte, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, text, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWordsNameEachFaultWithItsLine(t *testing.T) {
	file := write(t, []byte("# services\n\none a\ntwo b\n  three\tc  "), 0o600)
	var taken []string
	err := trust.Words(file, slog.New(slog.DiscardHandler), func(words []string) error {
		taken = append(taken, strings.Join(words, "+"))
		if words[0] == "two" {
			return nil
		}
		return errors.New("not " + words[0])
	})
	if got := strings.Join(taken, " "); got != "one+a two+b three+c" {
		t.Errorf("it took %q", got)
	}
	if want := file + ":3: not one\n" + file + ":5: not three"; err == nil || err.Error() != want {
		t.Errorf("it says %v, expected %s", err, want)
	}
}

func TestWordsOfAnotherFileAreNotAllWrongOneByOne(t *testing.T) {
	file := write(t, []byte(strings.Repeat("a: b\n", 1000)), 0o600)
	err := trust.Words(file, slog.New(slog.DiscardHandler), func([]string) error { return errors.New("wrong") })
	if err == nil || strings.Count(err.Error(), "wrong") != 10 || !strings.HasSuffix(err.Error(), file+": there may be more: is it a file of tokens?") {
		t.Errorf("it says %v", err)
	}
}

func TestWordsOfAFileThatCannotBe(t *testing.T) {
	take := func([]string) error { return nil }
	for text, want := range map[string]string{
		"":                            "holds no token",
		"# one\n \n":                  "holds no token",
		strings.Repeat("a\n", 40<<10): "over 65536 bytes",
	} {
		err := trust.Words(write(t, []byte(text), 0o600), slog.New(slog.DiscardHandler), take)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: it says %v, expected %q", len(text), err, want)
		}
	}
	if err := trust.Words(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler), take); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it says %v of a file that is not there", err)
	}
}

func TestWordsWarnOfAFileThatOthersMayRead(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true} {
		var log bytes.Buffer
		file := write(t, []byte("one a"), mode)
		if err := trust.Words(file, slog.New(slog.NewTextHandler(&log, nil)), func([]string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "chmod 600"); got != warns {
			t.Errorf("%s: it says %q", mode, log.String())
		}
	}
}

// FuzzWords gives every line's words, each without a space, and fails for no file that has some and fits.
func FuzzWords(f *testing.F) {
	f.Add([]byte("one a\n# two b\nthree\tc"))
	f.Add([]byte("\x00\xff \r\n\u2028 a\u00a0b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64<<10 {
			text = text[:64<<10]
		}
		lines := 0
		err := trust.Words(write(t, text, 0o600), slog.New(slog.DiscardHandler), func(words []string) error {
			lines++
			if len(words) == 0 || strings.ContainsAny(strings.Join(words, ""), " \t\r\n") {
				t.Errorf("words are %q", words)
			}
			return nil
		})
		if (err == nil) != (lines > 0) || lines > 1+bytes.Count(text, []byte("\n")) {
			t.Errorf("%d lines, and it says %v", lines, err)
		}
	})
}
