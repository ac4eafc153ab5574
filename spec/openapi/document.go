package openapi

import (
	"encoding/json"

	"github.com/stella-ops/router/spec"
)

// Version is a version of OpenAPI.
type Version string

// The versions that documents are written in.
const (
	V31 Version = "3.1.0"
	V30 Version = "3.0.3" // for tools that know no newer one
)

// Media types, beside those of package spec.
const (
	mediaJSON   = "application/json"
	mediaAny    = "*/*"
	mediaBytes  = "application/octet-stream"
	mediaEvents = "text/event-stream"
	mediaLines  = "application/x-ndjson"
)

// bearer is the name of the security scheme of endpoints with claims.
const bearer = "bearer"

// document is an OpenAPI document: what of the standard documents here need, and extensions.
type document struct {
	OpenAPI    Version                          `json:"openapi"`
	Info       info                             `json:"info"`
	Servers    []server                         `json:"servers,omitempty"`
	Tags       []tag                            `json:"tags,omitempty"`
	Paths      map[string]map[string]*operation `json:"paths"` // by path, then by method in small letters
	Components components                       `json:"components"`
}

type info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	Owner       string `json:"x-stella-owner,omitempty"`
}

type server struct {
	URL string `json:"url"`
}

type tag struct {
	Name string `json:"name"`
}

type components struct {
	Schemas         map[string]schema         `json:"schemas,omitempty"`
	Responses       map[string]*response      `json:"responses,omitempty"`
	SecuritySchemes map[string]securityScheme `json:"securitySchemes,omitempty"`
}

type securityScheme struct {
	Type         string `json:"type"`
	Scheme       string `json:"scheme"`
	BearerFormat string `json:"bearerFormat,omitempty"`
	Description  string `json:"description,omitempty"`
}

type operation struct {
	OperationID string                `json:"operationId"`
	Summary     string                `json:"summary,omitempty"`
	Description string                `json:"description,omitempty"`
	Tags        []string              `json:"tags,omitempty"`
	Deprecated  bool                  `json:"deprecated,omitempty"`
	Security    []map[string][]string `json:"security"` // empty: none is needed
	Parameters  []*parameter          `json:"parameters,omitempty"`
	RequestBody *requestBody          `json:"requestBody,omitempty"`
	Responses   map[string]*response  `json:"responses"`

	Service      string                  `json:"x-stella-service,omitempty"` // in documents of several services
	Claims       []spec.ClaimRequirement `json:"x-stella-claims,omitempty"`
	Public       string                  `json:"x-stella-public,omitempty"`
	TimeoutMS    int64                   `json:"x-stella-timeout-ms,omitempty"`
	IdleMS       int64                   `json:"x-stella-idle-ms,omitempty"`
	MaxBodyBytes int64                   `json:"x-stella-max-body-bytes,omitempty"`
	Stream       spec.Streaming          `json:"x-stella-stream,omitempty"`
	Events       bool                    `json:"x-stella-events,omitempty"`
	Idempotent   bool                    `json:"x-stella-idempotent,omitempty"`
	Unknown      string                  `json:"x-stella-unknown,omitempty"`
	Queue        *spec.Queueing          `json:"x-stella-queue,omitempty"`
	Stability    string                  `json:"x-stella-stability,omitempty"`
	SLO          json.Number             `json:"x-stella-slo,omitempty"`
	WithinMS     int64                   `json:"x-stella-within-ms,omitempty"`
	Deprecation  string                  `json:"x-stella-deprecated,omitempty"`
	Sunset       string                  `json:"x-sunset,omitempty"`
}

type parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Schema      schema `json:"schema"`
	Wildcard    bool   `json:"x-stella-wildcard,omitempty"` // takes the rest of the path, slashes included
}

type requestBody struct {
	Required bool                  `json:"required,omitempty"`
	Content  map[string]*mediaType `json:"content"`
}

type mediaType struct {
	Schema   schema `json:"schema"`
	Sequence bool   `json:"x-stella-sequence,omitempty"` // the schema is that of each item
}

// response is an answer, or with Ref a reference to one of the components, beside which nothing stands.
type response struct {
	Ref         string                `json:"$ref,omitempty"`
	Description string                `json:"description,omitempty"`
	Headers     map[string]*header    `json:"headers,omitempty"`
	Content     map[string]*mediaType `json:"content,omitempty"`
	Links       map[string]link       `json:"links,omitempty"`
	Codes       []string              `json:"x-stella-codes,omitempty"` // of the problems that the service declares
}

type header struct {
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Schema      schema `json:"schema"`
}

type link struct {
	OperationID string            `json:"operationId"`
	Parameters  map[string]string `json:"parameters"`
}
