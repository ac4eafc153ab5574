package spec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// The two proofs differ by these first words, so that neither side can give back what it was sent.
const (
	serviceLabel = "stella service"
	gatewayLabel = "stella gateway"
)

// ServiceProof is what PROOF says: that its sender knows the token. It is bound to the gateway's challenge, to HELLO's
// metadata as it travelled, and so to the service's name, nonce and manifest. Source: PROTOCOL.md, section "Who may
// register".
func ServiceProof(token, challenge string, hello []byte) string {
	return proof(serviceLabel, token, challenge, hello)
}

// GatewayProof is what WELCOME says in return: that the gateway knows the token, too.
func GatewayProof(token, challenge string, hello []byte) string {
	return proof(gatewayLabel, token, challenge, hello)
}

// Proves compares two proofs in a time that tells nothing of where they differ.
func Proves(want, got string) bool { return hmac.Equal([]byte(want), []byte(got)) }

func proof(label, token, challenge string, hello []byte) string {
	digest := sha256.Sum256(hello)
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(label + "\n" + challenge + "\n" + hex.EncodeToString(digest[:]) + "\n"))
	return hex.EncodeToString(mac.Sum(nil))
}
