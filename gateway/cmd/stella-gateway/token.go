package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

type tokenCmd struct {
	DevKey string `env:"STELLA_DEV_KEY" help:"The gateway's --dev-key." placeholder:"FILE" required:""`

	Claim []string `help:"A claim that the token holds; may be given many times." placeholder:"TYPE=VALUE" required:"" sep:"none"`

	TTL time.Duration `default:"15m" help:"How long it is good for (${default})." name:"ttl" placeholder:"DURATION"`
}

// Run prints a token.
func (c *tokenCmd) Run(s streams) error {
	if c.TTL <= 0 {
		return usagef("--ttl %v, expected more than nothing", c.TTL)
	}
	claims := make([]spec.Claim, 0, len(c.Claim))
	for _, text := range c.Claim {
		kind, value, ok := strings.Cut(text, "=")
		if !ok || kind == "" || value == "" {
			return usagef("--claim %q, expected TYPE=VALUE", text)
		}
		claims = append(claims, spec.Claim{Type: kind, Value: value})
	}
	key, err := auth.LoadDevKey(c.DevKey)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	token, err := key.Token(claims, time.Now(), c.TTL)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
	}
	return s.printf("%s\n", token)
}
