package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// digestPrefix names the hash; 64 hex digits follow it.
const digestPrefix = "sha256:"

// Digest names bytes: "sha256:" and 64 hex digits. A manifestDigest is the Digest of the manifest's bytes.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return digestPrefix + hex.EncodeToString(sum[:])
}

func validDigest(s string) bool {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	return ok && len(digits) == 2*sha256.Size && lowerHex(digits)
}

// contract digests what callers see. Left out are documentation, the service's version, and how the service does
// it: which Go symbol serves an endpoint, and its shape, but for the one that shows, a stream of items. The order of
// claims and parameters says nothing, and does not count.
func (m *Manifest) contract() (string, error) {
	c := Manifest{Service: m.Service, Endpoints: make([]Endpoint, 0, len(m.Endpoints)), Schemas: map[string]*Schema{}}
	for _, e := range m.Endpoints {
		e.Doc, e.Handler, e.Public, e.Tags = "", "", "", nil
		e.Deprecated, e.Sunset, e.Stability, e.SLO, e.WithinMS = "", "", "", "", 0
		if e.Kind != KindStream {
			e.Kind = ""
		}
		e.Claims = slices.Clone(e.Claims)
		slices.SortFunc(e.Claims, func(a, b ClaimRequirement) int {
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
		})
		e.Params, e.Headers = contractParams(e.Params), contractParams(e.Headers)
		e.Request, e.Response = e.Request.contract(), e.Response.contract()
		e.Errors = slices.Clone(e.Errors)
		for i := range e.Errors {
			e.Errors[i].Doc = ""
			e.Errors[i].Details = e.Errors[i].Details.contract()
		}
		c.Endpoints = append(c.Endpoints, e)
	}
	for name, s := range m.Schemas {
		c.Schemas[name] = s.contract()
	}
	b, err := Canonical(c)
	if err != nil {
		return "", err
	}
	return Digest(b), nil
}

func contractParams(params []Param) []Param {
	params = slices.Clone(params)
	for i := range params {
		params[i].Doc = ""
		params[i].Schema = params[i].Schema.contract()
	}
	slices.SortFunc(params, func(a, b Param) int {
		return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Name, b.Name))
	})
	return params
}
