package trust

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

const (
	maxWords  = 64 << 10 // bytes of a file of Words
	maxFaults = 10       // that are told of one
)

// Words reads a file of secrets, whose lines are words between spaces, and gives each line to take; its errors are
// joined, with file and line. Empty lines, and those that begin with #, say nothing. A file that others may read is
// warned of. It fails for a file without a line, and for one over 64 KiB.
func Words(file string, log *slog.Logger, take func(words []string) error) error {
	f, err := os.Open(file) //nolint:gosec // whoever runs this names the file
	if err != nil {
		return err //nolint:wrapcheck // it says which file, and why
	}
	defer func() { _ = f.Close() }() // it was read only
	info, err := f.Stat()
	if err != nil {
		return err //nolint:wrapcheck // as above
	}
	text, err := io.ReadAll(io.LimitReader(f, maxWords+1))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(text) > maxWords {
		return fmt.Errorf("%s: over %d bytes", file, maxWords)
	}
	n, taken := 0, 0
	var errs []error
	for line := range strings.Lines(string(text)) {
		if len(errs) == maxFaults {
			errs = append(errs, fmt.Errorf("%s: there may be more: is it a file of tokens?", file))
			break
		}
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		taken++
		if err := take(words); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, n, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if taken == 0 {
		return fmt.Errorf("%s holds no token", file)
	}
	if others := info.Mode().Perm() & 0o077; others != 0 {
		log.Warn("others may read the file with the tokens: chmod 600", "file", file, "mode", info.Mode().Perm().String())
	}
	return nil
}
