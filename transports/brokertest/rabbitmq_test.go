package brokertest_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stella-ops/router/transports/brokertest"
)

func TestRabbitMQKeepsWhatLastsOverRestartsAndLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var addr string
	t.Run("while it runs", func(t *testing.T) {
		s := brokertest.RabbitMQ(t)
		addr = s.Addr
		s.Ctl("add_user", "somebody", "secret")
		s.Stop()
		s.Cont()
		s.Restart()
		if users := s.Ctl("list_users"); !strings.Contains(users, "somebody") {
			t.Errorf("after a restart the users are %s", users)
		}
		left, err := filepath.Glob(filepath.Join(temporary, "stella-rabbitmq-*"))
		if err != nil || len(left) != 1 {
			t.Errorf("its files are in %v, expected one folder: %v", left, err)
		}
	})
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		t.Error("the port is open after the test")
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	if left := processesWith(temporary); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// processesWith are the command lines of the other processes in whose environment a text is.
func processesWith(text string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(env), text+"/stella-rabbitmq-") {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

func TestWithoutRabbitMQTheTestFailsAndSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(brokertest.RabbitMQURLVariable, "")
	var f failing
	brokertest.RabbitMQ(&f)
	for _, want := range []string{"rabbitmq-server", "scripts/install-test-deps.sh", brokertest.RabbitMQURLVariable} {
		if !strings.Contains(f.why, want) {
			t.Errorf("%q does not mention %s", f.why, want)
		}
	}
	if strings.Contains(f.why, "\n") {
		t.Errorf("more than a line: %q", f.why)
	}
}

func TestARabbitMQOfTheUsersOwnIsNotStopped(t *testing.T) {
	t.Setenv(brokertest.RabbitMQURLVariable, "rabbitmq://me:secret@broker.example:5672/tests")
	var f failing
	s := brokertest.RabbitMQ(&f)
	if got, want := s.URL("", "prefix=x"), "rabbitmq://me:secret@broker.example:5672/tests?prefix=x"; got != want {
		t.Errorf("its URL is %s, expected %s", got, want)
	}
	if s.Kill(); s.Own() || !strings.Contains(f.why, brokertest.RabbitMQURLVariable) {
		t.Errorf("it is killed, or the reason why it is not says %q", f.why)
	}
	t.Setenv(brokertest.RabbitMQURLVariable, "me:secret@broker")
	if f.why = ""; brokertest.RabbitMQ(&f) != nil || strings.Contains(f.why, "secret") || f.why == "" {
		t.Errorf("a URL that is none is taken, or shown: %q", f.why)
	}
}
