package stella

import (
	"log/slog"
	"os"
	"slices"
	"strings"
)

// prefix begins the name of every variable that is Stella's.
const prefix = "STELLA_"

// variables are those that a service reads.
var variables = []string{EnvGateways, EnvRegion, EnvInstanceID, EnvLease, EnvToken, EnvMaxAge, EnvMemory, EnvQueue, EnvJobs, EnvOverlay, EnvGrace}

// gatewayVariables are those that only a gateway reads (gateway/config and gateway/cmd/stella-gateway have them): services
// and gateways often share an environment.
var gatewayVariables = []string{
	"STELLA_HTTP", "STELLA_LISTEN", "STELLA_ADMIN", "STELLA_NODE", "STELLA_RETAIN", "STELLA_LOG_LEVEL",
	"STELLA_DEV", "STELLA_DEV_TOKEN_FILE", "STELLA_DEV_KEY",
	"STELLA_TOKEN_FILE", "STELLA_OWNERS", "STELLA_PEERS", "STELLA_ACCEPT_RATE", "STELLA_DRAIN_DELAY",
	"STELLA_CONFIG", "STELLA_ADMIN_TOKEN",
}

// gatewaySections begin the names of further ones, by the sections of a gateway's configuration.
var gatewaySections = []string{
	"STELLA_ADMIN_", "STELLA_AUTHORITY_", "STELLA_CERTIFICATES_", "STELLA_COMPRESSION_", "STELLA_ENVELOPE_", "STELLA_HEALTH_", "STELLA_LIMITS_", "STELLA_LOG_",
	"STELLA_NODE_", "STELLA_OPENAPI_", "STELLA_ROUTING_", "STELLA_TELEMETRY_", "STELLA_TENANT_", "STELLA_TRANSPORTS_",
}

// isKnown reports whether a service or a gateway reads a variable.
func isKnown(name string) bool {
	return slices.Contains(variables, name) || slices.Contains(gatewayVariables, name) ||
		slices.ContainsFunc(gatewaySections, func(section string) bool { return strings.HasPrefix(name, section) })
}

// warnOfUnknown logs every variable of the environment that looks like Stella's and is not: it is most often a known
// one misspelt, and then what its setter wanted does not happen. Values are not logged.
func warnOfUnknown(log *slog.Logger) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || isKnown(name) {
			continue
		}
		log.Warn("stella: there is no such variable, it is ignored", "variable", name, "nearest", nearest(name))
	}
}

// nearest is the service's variable whose name is the fewest edits away; letter case counts for nothing.
func nearest(name string) string {
	name = strings.ToUpper(name)
	return slices.MinFunc(variables, func(a, b string) int { return edits(name, a) - edits(name, b) })
}

// edits is the number of letters to insert, drop or change to turn a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
