package transports_test

import (
	"strings"
	"testing"

	"github.com/stella-ops/router/transports"
)

func TestPasswordsAreNotSaid(t *testing.T) {
	for raw, want := range map[string]string{
		"valkey://me:secret@h:6379/0?prefix=x": "valkey://me:xxxxx@h:6379/0?prefix=x",
		"valkey://:secret@h:6379":              "valkey://:xxxxx@h:6379",
		"valkey://me:secret/with@slash@h:1":    "valkey://me:xxxxx@h:1",
		"valkey://me:secret%zz@h:1":            "valkey://me:xxxxx@h:1",
		"tcp://127.0.0.1:5100":                 "tcp://127.0.0.1:5100",
		"me@h":                                 "me@h",
	} {
		if got := transports.Redacted(raw); got != want {
			t.Errorf("%s is said as %s, expected %s", raw, got, want)
		}
		_, _, err := transports.Parse(raw)
		if strings.Contains(raw, "secret") && err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error says it: %v", err)
		}
	}
}
