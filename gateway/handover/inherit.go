package handover

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// firstFD is the first descriptor that is given (SD_LISTEN_FDS_START), and maxFDs bounds their number.
const (
	firstFD = 3
	maxFDs  = 1024
)

// Inherit takes the sockets that this process was given, by a service manager or by the process whose place it is to take,
// which is nil otherwise. It is called once, before anything else opens files: descriptors that are nobody's are closed, and the
// variables that tell of them are unset. What cannot be used is skipped, and told in the error, beside which the rest is good.
func Inherit() (*Sockets, *Predecessor, error) {
	pid, count, names := os.Getenv(envPID), os.Getenv(envFDs), os.Getenv(envNames)
	given, handed, err := listed(pid, count, names, os.Getpid(), os.Getppid())
	s := new(Sockets)
	if err != nil || len(given) == 0 {
		return s, nil, err
	}
	for _, name := range []string{envPID, envFDs, envNames} {
		if err := os.Unsetenv(name); err != nil {
			return s, nil, fmt.Errorf("handover: %s: %w", name, err)
		}
	}
	var (
		before *Predecessor
		errs   []error
	)
	for i, name := range given {
		if handed && i == 0 {
			conn, err := connection(firstFD)
			if err != nil {
				return s, nil, err
			}
			before, s.lent = NewPredecessor(conn), true
			continue
		}
		one, err := adopt(firstFD+i, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("handover: descriptor %d (%.80s): %w", firstFD+i, name, err))
			continue
		}
		one.bound = handed && name == nameBound
		s.given = append(s.given, one)
	}
	return s, before, errors.Join(errs...)
}

// listed reads the variables: the names of the descriptors, and whether the process before has handed them. There are none
// where they are for another process.
func listed(pid, count, names string, self, parent int) (given []string, handed bool, err error) {
	if pid == "" || count == "" {
		return nil, false, nil
	}
	of, err := strconv.Atoi(pid)
	if err != nil {
		return nil, false, fmt.Errorf("handover: %s: expected a process, got %.40q", envPID, pid)
	}
	if names != "" {
		given = strings.Split(names, ":")
	}
	handed = len(given) > 0 && given[0] == nameControl
	if handed && of != parent || !handed && of != self {
		return nil, false, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxFDs {
		return nil, false, fmt.Errorf("handover: %s: expected a number up to %d, got %.40q", envFDs, maxFDs, count)
	}
	if names == "" {
		given = make([]string, n)
	}
	if len(given) != n {
		return nil, false, fmt.Errorf("handover: %d names in %s for %d descriptors", len(given), envNames, n)
	}
	return given, handed, nil
}
