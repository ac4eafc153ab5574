package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

const (
	gatewayTimeout = 10 * time.Second
	maxGateway     = 16 * spec.MaxManifest // of many services
)

// fromGateway reads the manifests that a gateway routes, from its admin address: of each service the highest version, or
// the one that follows a #.
func fromGateway(ctx context.Context, _, ref string) (contracts, error) {
	origin := "gateway:" + ref
	if !strings.Contains(ref, "://") {
		ref = "http://" + ref
	}
	address, err := url.Parse(ref)
	if err != nil || address.Host == "" {
		return contracts{}, fmt.Errorf("%w: %s: expected the URL of a gateway's admin address, such as http://127.0.0.1:5190", errInput, origin)
	}
	version := address.Fragment
	address.Fragment = ""
	shown, err := routed(ctx, address.JoinPath("v1", "endpoints").String())
	if err != nil {
		return contracts{}, fmt.Errorf("%w: %s: %w\nhint: it is the admin address that is asked, --admin of stella-gateway run", errInput, origin, err)
	}
	found := contracts{whole: true}
	for _, m := range shown {
		if version != "" && m.Version != version {
			continue
		}
		digest := m.ContractDigest
		source, err := m.Encode()
		if err == nil && m.ContractDigest != digest {
			err = fmt.Errorf("the contract of %s %s has a part that this version does not know: use the stellagen of the gateway's version", m.Service, m.Version)
		}
		if err != nil {
			return contracts{}, fmt.Errorf("%w: %s: %w", errInput, origin, err)
		}
		c := contract{origin: origin, source: source, manifest: m}
		i := slices.IndexFunc(found.list, func(c contract) bool { return c.manifest.Service == m.Service })
		switch {
		case i < 0:
			found.list = append(found.list, c)
		case higher(m.Version, found.list[i].manifest.Version):
			found.list[i] = c
		}
	}
	return found, nil
}

func higher(a, b string) bool {
	x, err := spec.ParseVersion(a)
	if err != nil {
		return false
	}
	y, err := spec.ParseVersion(b)
	return err == nil && x.Compare(y) > 0
}

// routed makes manifests of what a gateway says that it routes.
func routed(ctx context.Context, address string) ([]*spec.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err //nolint:wrapcheck // fromGateway wraps it
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // fromGateway wraps it
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s answers %s", address, resp.Status)
	}
	var shown struct {
		Endpoints []struct {
			spec.Endpoint

			Service string `json:"service"`
			Version string `json:"version"`
		} `json:"endpoints"`
		Manifests []*spec.Manifest `json:"manifests"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxGateway)).Decode(&shown); err != nil {
		return nil, fmt.Errorf("GET %s: what it answers is no list of endpoints: %w", address, err)
	}
	for _, m := range shown.Manifests {
		if m == nil {
			return nil, fmt.Errorf("GET %s: a manifest is missing", address)
		}
		for _, e := range shown.Endpoints {
			if e.Service == m.Service && e.Version == m.Version {
				m.Endpoints = append(m.Endpoints, e.Endpoint)
			}
		}
	}
	return shown.Manifests, nil
}
