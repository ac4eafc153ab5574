package config

import "time"

// File is gateway.yaml. Its tags are the table of all settings:
//
//	key      the name in the file
//	default  what counts if nobody says anything; without it the zero value
//	env      the variable, where it is not STELLA_ and the path of the setting
//	is       what the text has to be: see formats
//	oneof    the words it may be
//	min      the least number or time, max the most
//	restart  it cannot change while the gateway runs
//	secret   it is not shown
//	doc      what it means
type File struct {
	Node       Node       `doc:"What this gateway is."                                              key:"node"`
	HTTP       string     `doc:"host:port where clients come in without TLS; 127.0.0.1:8080 if there are no listeners." env:"STELLA_HTTP" is:"address" key:"http" restart:"yes"`
	Listeners  []Listener `doc:"Further addresses where clients come in." key:"listeners" restart:"yes"`
	Transports Transports `doc:"Where services dial in, and what they have to show."               key:"transports"`
	Admin      Admin      `doc:"Where operators come in."                                           key:"admin"`
	Shutdown   Shutdown   `doc:"How the gateway ends."                                              key:"shutdown"`
	Log        Log        `doc:"What is written to standard error."                                 key:"log"`
	Dev        Dev        `doc:"Development mode, for this machine only."                           key:"dev"`
}

// Node is who a gateway is.
type Node struct {
	ID     string `doc:"Its name, which services are told. Without one it is the host's."                              env:"STELLA_NODE"   key:"id"     restart:"yes"`
	Region string `doc:"Where it stands: instances of the same region are preferred. Nothing else tells it (invariant 3)." env:"STELLA_REGION" key:"region" restart:"yes"`
}

// Listener is one address for clients.
type Listener struct {
	Address   string       `doc:"host:port."                                                                                 is:"address"  key:"address"   required:"yes"`
	TLS       *ListenerTLS `doc:"Encrypts, with HTTP/2 for clients that want it. Without it clients speak HTTP/1.1, or HTTP/2 by prior knowledge." key:"tls"`
	ProxyFrom []string     `doc:"Peers whose PROXY protocol header (version 1 or 2) is believed, and asked for: networks such as 10.0.0.0/8. Others are served as they come." is:"network" key:"proxyProtocol"`
}

// ListenerTLS is how a listener encrypts.
type ListenerTLS struct {
	Cert      string `doc:"File with the certificate and those between it and a root, as PEM. It is read again when it has changed." is:"file" key:"cert" required:"yes"`
	Key       string `doc:"File with the certificate's key, as PEM."                                                        is:"file" key:"key"  required:"yes"`
	ClientCAs string `doc:"File with the roots of clients' certificates, as PEM. With it a client may show one, which has to be good."     is:"file" key:"clientCAs"`
	Clients   string `default:"optional" doc:"Whether a client has to show a certificate, where clientCAs is given." key:"clients" oneof:"optional required"`
}

// Transports is how services come in.
type Transports struct {
	Listen     []string          `default:"tcp://127.0.0.1:5100" doc:"Transport URLs; beyond loopback only with tokens or certificates." env:"STELLA_LISTEN" is:"url" key:"listen" restart:"yes"`
	TokenFile  string            `doc:"File with lines of SERVICE TOKEN, * being every service: what services have to prove that they know. It is read again when it has changed." env:"STELLA_TOKEN_FILE" key:"tokenFile" restart:"yes"`
	Token      []string          `doc:"Tokens that are good for every service. Better give the variable: files are copied." env:"STELLA_TOKEN" key:"token" restart:"yes" secret:"yes"`
	Owners     map[string]string `doc:"Which service owns a path and all below it, whoever comes first: service by path." env:"STELLA_OWNERS" is:"service" key:"owners" keys:"path" restart:"yes"`
	Peers      []string          `doc:"Transport URLs of other gateways, which services are told of and dial as well." env:"STELLA_PEERS" is:"url" key:"peers" restart:"yes"`
	AcceptRate int               `default:"100" doc:"How many sessions a second are taken on." env:"STELLA_ACCEPT_RATE" key:"acceptRate" min:"1" restart:"yes"`
	Memory     Size              `default:"256MiB" doc:"How much of bodies is held at most, over all sessions." env:"STELLA_MEMORY" key:"memory" min:"1B" restart:"yes"`
	Heartbeat  time.Duration     `default:"5s" doc:"How often services say that they are there." key:"heartbeat" min:"10ms" restart:"yes"`
	Retain     time.Duration     `default:"10m" doc:"How long endpoints without instances stay known." env:"STELLA_RETAIN" key:"retain" min:"1ms" restart:"yes"`
	Stall      time.Duration     `default:"10s" doc:"How long a body may make no progress." key:"stall" min:"1ms" restart:"yes"`
	Queue      string            `doc:"Transport URL of the broker for endpoints with delivery=queue. Without it they are not served." env:"STELLA_QUEUE" is:"url" key:"queue" restart:"yes" secret:"yes"`
}

// Admin is where operators come in.
type Admin struct {
	Address string `default:"127.0.0.1:5190" doc:"host:port, loopback only." env:"STELLA_ADMIN" is:"address" key:"address" restart:"yes"`
}

// Shutdown is how a gateway ends.
type Shutdown struct {
	DrainDelay time.Duration `default:"0s" doc:"How long requests are still taken at the end, after /readyz has turned 503." env:"STELLA_DRAIN_DELAY" key:"drainDelay" min:"0s" restart:"yes"`
	Grace      time.Duration `default:"25s" doc:"How long open requests may take at the end." env:"STELLA_GRACE" key:"grace" min:"1ms" restart:"yes"`
}

// Log is what is written down.
type Log struct {
	Level string `default:"info" doc:"The least that is written; debug has an access log, too." env:"STELLA_LOG_LEVEL" key:"level" oneof:"debug info warn error"`
	Form  string `default:"text" doc:"Lines of key=value, or of JSON." key:"format" oneof:"text json" restart:"yes"`
}

// Dev is development mode.
type Dev struct {
	Enabled   bool   `doc:"Accept tokens that a local key signs. Addresses for clients must be loopback ones." env:"STELLA_DEV" key:"enabled" restart:"yes"`
	TokenFile string `doc:"Where to keep a token that may call everything." env:"STELLA_DEV_TOKEN_FILE" key:"tokenFile" restart:"yes"`
	Key       string `doc:"The key for tokens, made when it is missing; the token's file with .key if it is not said." env:"STELLA_DEV_KEY" key:"key" restart:"yes"`
}

// Size is a number of bytes: 512KiB, 1MiB.
type Size int64
