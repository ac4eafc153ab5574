package spec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// What a token signs begins with one of these words, so that nothing that travels can be given back as something else, and
// no key is a proof.
const (
	serviceLabel       = "stella service"
	gatewayLabel       = "stella gateway"
	serviceFramesLabel = "stella service frames"
	gatewayFramesLabel = "stella gateway frames"
)

// ServiceProof is what PROOF says: that its sender knows the token. It is bound to the gateway's challenge, to HELLO's
// metadata as it travelled, and so to the service's name, nonce and manifest. Source: PROTOCOL.md, section "Who may
// register".
func ServiceProof(token, challenge string, hello []byte) string {
	return hex.EncodeToString(sign(serviceLabel, token, challenge, hello))
}

// GatewayProof is what WELCOME says in return: that the gateway knows the token, too.
func GatewayProof(token, challenge string, hello []byte) string {
	return hex.EncodeToString(sign(gatewayLabel, token, challenge, hello))
}

// Proves compares two proofs in a time that tells nothing of where they differ.
func Proves(want, got string) bool { return hmac.Equal([]byte(want), []byte(got)) }

// FrameKeys are the keys with which the two ends sign what they send on a link through a broker, once they have proven the
// token to each other. Source: PROTOCOL.md, section "Frames that cross a broker".
func FrameKeys(token, challenge string, hello []byte) (service, gateway []byte) {
	return sign(serviceFramesLabel, token, challenge, hello), sign(gatewayFramesLabel, token, challenge, hello)
}

func sign(label, token, challenge string, hello []byte) []byte {
	digest := sha256.Sum256(hello)
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(label + "\n" + challenge + "\n" + hex.EncodeToString(digest[:]) + "\n"))
	return mac.Sum(nil)
}
