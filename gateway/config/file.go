package config

import "time"

// File is gateway.yaml: each setting under its key. The table has what else there is to know of them.
type File struct {
	Node         Node              `key:"node"`
	HTTP         string            `key:"http"`
	Listeners    []Listener        `key:"listeners"`
	Transports   Transports        `key:"transports"`
	Issuers      []Issuer          `key:"issuers"`
	Certificates Certificates      `key:"certificates"`
	Tenant       Tenant            `key:"tenant"`
	Envelope     Envelope          `key:"envelope"`
	Health       Health            `key:"health"`
	Routing      Policy            `key:"routing"`
	Services     map[string]Policy `key:"services"`
	Endpoints    []Endpoint        `key:"endpoints"`
	Legacy       Legacy            `key:"legacy"`
	Authority    Authority         `key:"authority"`
	Limits       Limits            `key:"limits"`
	Compression  Compression       `key:"compression"`
	OpenAPI      OpenAPI           `key:"openapi"`
	CORS         []CORS            `key:"cors"`
	Static       []Static          `key:"static"`
	Admin        Admin             `key:"admin"`
	Shutdown     Shutdown          `key:"shutdown"`
	Log          Log               `key:"log"`
	Telemetry    Telemetry         `key:"telemetry"`
	Dev          Dev               `key:"dev"`
}

// Node is who a gateway is.
type Node struct {
	ID          string   `key:"id"`
	Region      string   `key:"region"`
	Neighbours  []string `key:"neighbours"`
	Environment string   `key:"environment"`
}

// Listener is one address for clients.
type Listener struct {
	Address   string       `key:"address"`
	TLS       *ListenerTLS `key:"tls"`
	ProxyFrom []string     `key:"proxyProtocol"`
}

// ListenerTLS is how a listener encrypts.
type ListenerTLS struct {
	Cert      string `key:"cert"`
	Key       string `key:"key"`
	ClientCAs string `key:"clientCAs"`
	Clients   string `key:"clients"`
	HTTP3     bool   `key:"http3"`
}

// Transports is how services come in.
type Transports struct {
	Listen     []string          `key:"listen"`
	TokenFile  string            `key:"tokenFile"`
	Token      []string          `key:"token"`
	Owners     map[string]string `key:"owners"`
	Peers      []string          `key:"peers"`
	AcceptRate int               `key:"acceptRate"`
	Memory     Size              `key:"memory"`
	OfSession  Size              `key:"sessionMemory"`
	Heartbeat  time.Duration     `key:"heartbeat"`
	Retain     time.Duration     `key:"retain"`
	Stall      time.Duration     `key:"stall"`
	Queue      string            `key:"queue"`
}

// Health is when instances count as worse than others.
type Health struct {
	DegradedAfter  int `key:"degradedAfter"`
	UnhealthyAfter int `key:"unhealthyAfter"`
}

// Policy is how requests find a version and an instance of a service.
type Policy struct {
	Version      Version       `key:"version"`
	Balancer     string        `key:"balancer"`
	SlowStart    time.Duration `key:"slowStart"`
	PanicPercent int           `key:"panicPercent"`
	Instances    int           `key:"instances"`
	Hedge        Hedge         `key:"hedge"`
	Ejection     Ejection      `key:"ejection"`
	Trust        string        `key:"trust"`
	Overlays     Overlays      `key:"overlays"`
}

// Overlays is what deployments may say of endpoints.
type Overlays struct {
	Loosen []string `key:"loosen"`
}

// Version is which version a request goes to that names none.
type Version struct {
	Default string         `key:"default"`
	Weights map[string]int `key:"weights"`
	Sticky  string         `key:"sticky"`
}

// Hedge is when a call is sent to a second instance, too.
type Hedge struct {
	After time.Duration `key:"after"`
}

// Ejection is when an instance is left out because its calls fail.
type Ejection struct {
	Off                 bool          `key:"off"`
	ConsecutiveFailures int           `key:"consecutiveFailures"`
	FailurePercent      int           `key:"failurePercent"`
	MinRequests         int           `key:"minRequests"`
	Window              time.Duration `key:"window"`
	BaseTime            time.Duration `key:"baseTime"`
	MaxTime             time.Duration `key:"maxTime"`
	MaxEjectedPercent   int           `key:"maxEjectedPercent"`
}

// Issuer is somebody whose tokens are taken.
type Issuer struct {
	Issuer       string        `key:"issuer"`
	Audiences    []string      `key:"audiences"`
	Algorithms   []string      `key:"algorithms"`
	JWKS         string        `key:"jwks"`
	Skew         time.Duration `key:"skew"`
	TenantClaim  string        `key:"tenantClaim"`
	TenantsClaim string        `key:"tenantsClaim"`
	Cooldown     time.Duration `key:"cooldown"`
	MaxStale     time.Duration `key:"maxStale"`
}

// Certificates is how clients' certificates prove who calls.
type Certificates struct {
	Enabled      bool     `key:"enabled"`
	TrustDomains []string `key:"trustDomains"`
	CommonName   bool     `key:"commonName"`
	Grants       []Grant  `key:"grants"`
}

// Grant is what a subject of certificates holds.
type Grant struct {
	Subject string   `key:"subject"`
	Claims  []string `key:"claims"`
}

// Tenant is how callers choose one of their tenants.
type Tenant struct {
	Override bool   `key:"override"`
	Header   string `key:"header"`
}

// Envelope is a signed copy of the identity for bridged handlers.
type Envelope struct {
	KeyFile  string   `key:"keyFile"`
	Services []string `key:"services"`
}

// Endpoint is who may call an endpoint, and its limits, whatever its service says.
type Endpoint struct {
	Service  string        `key:"service"`
	Endpoint string        `key:"endpoint"`
	Claims   []string      `key:"claims"`
	Public   string        `key:"public"`
	Timeout  time.Duration `key:"timeout"`
	Idle     time.Duration `key:"idle"`
	Body     Size          `key:"body"`
}

// Legacy is which requests go to HTTP servers that have not moved yet.
type Legacy struct {
	Upstreams []Upstream    `key:"upstreams"`
	Routes    []LegacyRoute `key:"routes"`
}

// Upstream is an HTTP server.
type Upstream struct {
	Name string `key:"name"`
	URL  string `key:"url"`
	Host string `key:"host"`
}

// LegacyRoute is the part of a site that an upstream has, or shares with a service.
type LegacyRoute struct {
	Path     string        `key:"path"`
	Methods  []string      `key:"methods"`
	Upstream string        `key:"upstream"`
	Weight   int           `key:"weight"`
	Sticky   string        `key:"sticky"`
	Claims   []string      `key:"claims"`
	Public   string        `key:"public"`
	Timeout  time.Duration `key:"timeout"`
	Idle     time.Duration `key:"idle"`
	Body     Size          `key:"body"`
}

// Authority says who may call endpoints, from outside.
type Authority struct {
	Source    string        `key:"source"`
	TokenFile string        `key:"tokenFile"`
	Every     time.Duration `key:"every"`
	Unreached string        `key:"unreached"`
}

// Limits is how often, how much at once, and by how many connections the gateway may be asked.
type Limits struct {
	Rules       []Rule      `key:"rules"`
	Headers     bool        `key:"headers"`
	Store       string      `key:"store"`
	Gateways    int         `key:"gateways"`
	Keys        int         `key:"keys"`
	Priorities  []Priority  `key:"priorities"`
	Concurrency Concurrency `key:"concurrency"`
	Connections Connections `key:"connections"`
	Requests    Requests    `key:"requests"`
}

// Rule is one rate limit.
type Rule struct {
	Name     string        `key:"name"`
	Service  string        `key:"service"`
	Endpoint string        `key:"endpoint"`
	By       string        `key:"by"`
	Rate     int           `key:"rate"`
	Per      time.Duration `key:"per"`
	Burst    int           `key:"burst"`
	Scope    string        `key:"scope"`
	Failure  string        `key:"failure"`
}

// Priority is how much endpoints matter when not everything can be served.
type Priority struct {
	Service  string `key:"service"`
	Endpoint string `key:"endpoint"`
	Class    string `key:"class"`
}

// Concurrency is how much is served at once.
type Concurrency struct {
	Total    int  `key:"total"`
	Adaptive bool `key:"adaptive"`
	Min      int  `key:"min"`
	Max      int  `key:"max"`
}

// Connections is how many connections clients may have at once.
type Connections struct {
	Total      int `key:"total"`
	PerAddress int `key:"perAddress"`
}

// Requests is how long a request's head may be and take, and how long a connection may be idle.
type Requests struct {
	HeaderSize Size          `key:"headerSize"`
	HeaderTime time.Duration `key:"headerTime"`
	Idle       time.Duration `key:"idle"`
}

// OpenAPI is the document of all services.
type OpenAPI struct {
	Enabled bool   `key:"enabled"`
	Title   string `key:"title"`
}

// CORS says which other sites' pages may read answers.
type CORS struct {
	Path        string        `key:"path"`
	Origins     []string      `key:"origins"`
	Headers     []string      `key:"headers"`
	Expose      []string      `key:"expose"`
	Credentials bool          `key:"credentials"`
	MaxAge      time.Duration `key:"maxAge"`
}

// Static is a folder of files that is served.
type Static struct {
	Path     string        `key:"path"`
	Dir      string        `key:"dir"`
	Fallback string        `key:"fallback"`
	MaxAge   time.Duration `key:"maxAge"`
}

// Admin is where operators come in.
type Admin struct {
	Address   string   `key:"address"`
	TokenFile string   `key:"tokenFile"`
	Hosts     []string `key:"hosts"`
}

// Shutdown is how a gateway ends.
type Shutdown struct {
	DrainDelay time.Duration `key:"drainDelay"`
	Grace      time.Duration `key:"grace"`
}

// Compression is which answers are compressed.
type Compression struct {
	Types   []string `key:"types"`
	MinSize Size     `key:"minSize"`
}

// Log is what is written down.
type Log struct {
	Level  string `key:"level"`
	Form   string `key:"format"`
	Access bool   `key:"access"`
}

// Telemetry is what is told to those who look on from elsewhere.
type Telemetry struct {
	Traces Traces `key:"traces"`
}

// Traces is where spans go.
type Traces struct {
	Endpoint string            `key:"endpoint"`
	OneIn    int               `key:"oneIn"`
	Headers  map[string]string `key:"headers"`
}

// Dev is development mode.
type Dev struct {
	Enabled   bool   `key:"enabled"`
	TokenFile string `key:"tokenFile"`
	Key       string `key:"key"`
}

// Size is a number of bytes: 512KiB, 1MiB.
type Size int64
