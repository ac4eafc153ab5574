package quic

import (
	"crypto/tls"
	"errors"
	"net/url"
	"slices"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/transports/trust"
)

// parameters are those of package trust, but for min: QUIC has no TLS before 1.3 (RFC 9001, section 4.2).
var parameters = slices.DeleteFunc(slices.Clone(trust.Parameters), func(name string) bool { return name == "min" }) //nolint:gochecknoglobals // a constant

// clientTLS is the TLS configuration of a service that dials the URL.
func clientTLS(u *url.URL) (*tls.Config, error) {
	return trust.Client(u)
}

// explain says in words why an end has refused the other's certificate.
func explain(err error, cfg *tls.Config) error {
	var crypto *quic.TransportError
	if !errors.As(err, &crypto) || !crypto.ErrorCode.IsCryptoError() {
		return err
	}
	return trust.Explain(err, crypto.Remote, cfg, "")
}
