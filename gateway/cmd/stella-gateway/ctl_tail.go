package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/edge"
)

// maxLine bounds what the gateway says of one request, in bytes: a path is there with escapes.
const maxLine = 1 << 20

type ctlTailCmd struct {
	Service string `help:"Of this service alone." placeholder:"NAME"`

	Path string `help:"Whose paths begin so alone." placeholder:"PATH"`

	Status int `help:"That were answered with at least this status alone." placeholder:"N"`

	Count int `help:"End after so many (0: never)." placeholder:"N"`
}

// Run shows requests until it is interrupted, or the gateway ends.
func (t *ctlTailCmd) Run(s streams, c *cli) error {
	ctx, cancel := s.interruptible()
	defer cancel()
	q := url.Values{}
	if t.Service != "" {
		q.Set("service", t.Service)
	}
	if t.Path != "" {
		q.Set("path", t.Path)
	}
	if t.Status != 0 {
		q.Set("status", strconv.Itoa(t.Status))
	}
	resp, err := c.Ctl.send(ctx, http.MethodGet, "/v1/tail?"+q.Encode())
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for n := 0; lines.Scan(); {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := t.show(s, c.Ctl.Format, lines.Bytes()); err != nil {
			return err
		}
		if n++; n == t.Count {
			return nil
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	return nil
}

func (t *ctlTailCmd) show(s streams, format string, line []byte) error {
	var r struct {
		edge.Record

		Missed int64 `json:"missed"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("the gateway's answer is not what this version expects: %w", err)
	}
	switch {
	case format == formatJSON:
		return s.printf("%s\n", line)
	case r.Missed > 0:
		return s.printf("(%d more, for which this was too slow)\n", r.Missed)
	}
	if r.Legacy != "" {
		r.Service = legacyName(r.Legacy)
	}
	return s.printf("%s %d %-12s %8s %s %s %s\n", r.At.Format(time.TimeOnly), r.Status, r.Outcome, r.Took.Round(10*time.Microsecond), r.Method,
		oneLine(r.Path), oneLine(strings.TrimSpace(r.Service+" "+r.Instance+" "+r.Detail)))
}
