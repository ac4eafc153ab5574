package brokertest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stella-ops/router/transports/brokertest"
)

func TestServerLosesItsDataOnRestartAndNotOnStop(t *testing.T) {
	s := brokertest.Valkey(t, "--maxmemory", "8mb")
	s.Command("SET", "k", "1")
	s.Stop()
	s.Cont()
	if got := s.Command("EXISTS", "k"); got != ":1" {
		t.Errorf("after a stop EXISTS answers %s", got)
	}
	s.Restart()
	if got := s.Command("EXISTS", "k"); got != ":0" {
		t.Errorf("after a restart EXISTS answers %s", got)
	}
}

func TestADurableServerKeepsItsDataOverAKill(t *testing.T) {
	s := brokertest.DurableValkey(t)
	s.Command("SET", "k", "1")
	s.Restart()
	if got := s.Command("EXISTS", "k"); got != ":1" {
		t.Errorf("after a restart EXISTS answers %s", got)
	}
}

// failing is a test that notes why it failed.
type failing struct{ why string }

func (*failing) Helper()                      {}
func (*failing) Cleanup(func())               {}
func (f *failing) Fatalf(s string, as ...any) { f.why = fmt.Sprintf(s, as...) }

func TestWithoutAServerTheTestFailsAndSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(brokertest.URLVariable, "")
	var f failing
	brokertest.Valkey(&f)
	for _, want := range []string{"valkey-server", "redis-server", "scripts/install-test-deps.sh", brokertest.URLVariable} {
		if !strings.Contains(f.why, want) {
			t.Errorf("%q does not mention %s", f.why, want)
		}
	}
	if strings.Contains(f.why, "\n") {
		t.Errorf("more than a line: %q", f.why)
	}
}
