package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stella-ops/router/generator/migrate"
)

type migrateCommand struct {
	packages
}

func (c *migrateCommand) Run(ctx context.Context, out *output) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	report, err := migrate.Read(ctx, migrate.Config{Dir: dir, Patterns: c.patterns()})
	if err != nil {
		return err
	}
	return out.data(report, func(w io.Writer) { printRoutes(w, report) })
}

// printRoutes prints a report for people.
func printRoutes(w io.Writer, r *migrate.Report) {
	table(w, []string{"METHOD", "PATTERN", "HANDLER", "MIDDLEWARE", "WHERE"}, func(row func(...string)) {
		for _, route := range r.Routes {
			row(route.Method, route.Host+route.Pattern, route.Handler, strings.Join(route.Guards, ", "), route.String())
		}
	})
	for _, u := range r.Unfollowed {
		_, _ = fmt.Fprintf(w, "%s: %s: %s\n", u.Place, u.What, u.Why)
	}
}
