package spec_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// golden is what a file of testdata/frames holds. The files are written by hand, as another implementation would
// read them, and are never generated from the code.
type golden struct {
	header     spec.Header // without Length and MetaLen, which the encoder computes
	meta, body string
}

var (
	goldenRequest = spec.Request{
		Generation: 1, Endpoint: 300, Method: "HEAD", Params: []string{"42", "a b/c"}, Path: "/x/42/a%20b/c", Query: "limit=5",
		Authority: "example.com", TLS: true, Peer: "192.0.2.1:4711",
		ID:            spec.RequestID{0x01, 0x97, 0x5b, 0xd9, 0x9a, 0x00, 0x7a, 0xbc, 0x8d, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab},
		ContentLength: 5,
		Trace: spec.Trace{
			TraceID: [16]byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
			SpanID:  [8]byte{0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7}, Flags: 1, State: "k=v",
		},
		Identity: &spec.Identity{Subject: "alice", Tenant: "acme", Claims: []spec.Claim{{Type: "scope", Value: "billing:read"}, {Type: "admin"}}},
		Header: []spec.Field{
			{Name: "Content-Type", Value: "application/json"}, {Name: "X-Test", Value: "yes"}, {Name: "Access-Control-Max-Age"},
		},
	}
	goldenResponse = spec.Response{
		Status: 201, ContentLength: 15,
		Header: []spec.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "Location", Value: "/invoices/4711"}},
	}
	goldenTrailers = spec.Trailers{Fields: []spec.Field{{Name: "Etag", Value: `"abc"`}, {Name: "X-Sum", Value: "deadbeef"}}}
	goldenUpgrade  = spec.Request{ContentLength: -1, Upgrade: "websocket", Header: []spec.Field{{Name: "Sec-Websocket-Version", Value: "13"}}}
	goldenHello    = spec.Hello{
		Instance: spec.Instance{Service: "billing", Version: "1.4.0", Region: "eu", ID: "i-1"}, Nonce: "0123456789abcdef",
		ManifestDigest: spec.Digest([]byte("{}")), Lease: 1024, StreamWindow: 65536,
		SessionWindow: 67108864, Supersedes: "00112233445566778899aabbccddeeff",
		Features: []spec.Feature{{Name: "resync", Critical: true}},
	}
	goldenWelcome = spec.Welcome{
		Node: "gw-1", Region: "eu", HeartbeatMS: 5000, MaxFrame: spec.MaxFrameDefault, StreamWindow: 65536,
		SessionWindow: 67108864, Gateways: []string{"tcp://127.0.0.1:5200"}, Nonce: "0123456789abcdef",
		Secret: "ffeeddccbbaa99887766554433221100", Proof: goldenProof,
	}
	goldenChallenge = spec.Challenge{Challenge: "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}
	goldenResync    = spec.Resync{ManifestDigest: spec.Digest([]byte("{}"))}
	goldenHeartbeat = spec.Heartbeat{Status: spec.StatusReady, InFlight: 3, ErrorPermille: 5, Lease: 1024}
)

// The proofs are HMAC-SHA256 with the key "token" over the text that PROTOCOL.md gives, as openssl computes it for the
// golden HELLO and CHALLENGE.
const (
	goldenServiceProof = "a570012c21feda86eeaa9634a5ab5d5a1cd5654a05d802bf1284a7f629009803"
	goldenProof        = "9252c04f1df69c9b524b51b8e3db83283fd3181ba65316662256be5b054b4a36"
	goldenMAC          = "315f2bd61788a9c022c3adf241750647" // of the gateway, over the golden WELCOME
)

// goldenWelcomeTrailers is a WELCOME to a HELLO that has named a feature of which the service has to know that it is used.
func goldenWelcomeTrailers() spec.Welcome {
	w := goldenWelcome
	w.Region, w.Gateways, w.Proof, w.Features = "", nil, "", []string{spec.FeatureTrailers}
	return w
}

func canonical(v any) string {
	GinkgoHelper()
	b, err := spec.Canonical(v)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

func unhex(s string) string {
	GinkgoHelper()
	b, err := hex.DecodeString(s)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

// goldens has every file of testdata/frames, by its name.
func goldens() map[string]golden {
	type h = spec.Header
	request, response := string(goldenRequest.AppendTo(nil)), string(goldenResponse.AppendTo(nil))
	least, head := spec.Request{ContentLength: -1}, spec.Response{Status: 200, ContentLength: -1}
	accepted := spec.Response{Status: 101, ContentLength: -1}
	both := spec.FlagEnd | spec.FlagInlineBody
	return map[string]golden{
		"hello":                {h{Type: spec.TypeHello, Flags: spec.FlagInlineBody}, canonical(goldenHello), "{}"},
		"heartbeat":            {h{Type: spec.TypeHeartbeat}, canonical(goldenHeartbeat), ""},
		"request":              {h{Type: spec.TypeRequest, Flags: both | spec.FlagIdempotent, Stream: 2, Aux: 5000}, request, "hello"},
		"request_least":        {h{Type: spec.TypeRequest, Flags: spec.FlagEnd, Stream: spec.MaxStreamID - 1}, string(least.AppendTo(nil)), ""},
		"response":             {h{Type: spec.TypeResponse, Flags: both, Stream: 2}, response, "{\"id\":\"4711\"} \n"},
		"response_head":        {h{Type: spec.TypeResponse, Stream: 4}, string(head.AppendTo(nil)), ""},
		"request_upgrade":      {h{Type: spec.TypeRequest, Flags: spec.FlagIdempotent, Stream: 6, Aux: 30000}, string(goldenUpgrade.AppendTo(nil)), ""},
		"response_upgrade":     {h{Type: spec.TypeResponse, Stream: 6}, string(accepted.AppendTo(nil)), ""},
		"request_stream_data":  {h{Type: spec.TypeRequestStreamData, Stream: 2}, "", "first"},
		"response_stream_data": {h{Type: spec.TypeResponseStreamData, Flags: spec.FlagEnd, Stream: 2, Aux: 7}, "", "last"},
		"cancel":               {h{Type: spec.TypeCancel, Stream: 2, Aux: uint32(spec.CodeClientGone)}, "went away\n", ""},
		"cancel_session":       {h{Type: spec.TypeCancel, Aux: uint32(spec.CodeUnauthorized)}, "who is “x”", ""},
		"resync":               {h{Type: spec.TypeResync}, canonical(goldenResync), ""},
		"challenge":            {h{Type: spec.TypeChallenge}, canonical(goldenChallenge), ""},
		"proof":                {h{Type: spec.TypeProof}, canonical(spec.Proof{Proof: goldenServiceProof}), ""},
		"mac":                  {h{Type: spec.TypeMAC}, "\x00\x00\x00\x00\x00\x00\x00\x01" + unhex(goldenMAC), ""},
		"endpoints":            {h{Type: spec.TypeEndpoints, Flags: spec.FlagEnd, Aux: 3}, "", "}\n"},
		"welcome":              {h{Type: spec.TypeWelcome}, canonical(goldenWelcome), ""},
		"credit":               {h{Type: spec.TypeCredit, Stream: 2, Aux: 65536}, "", ""},
		"ping":                 {h{Type: spec.TypePing, Aux: 0xdeadbeef}, "", ""},
		"pong":                 {h{Type: spec.TypePong, Aux: 0xdeadbeef}, "", ""},
		"goaway":               {h{Type: spec.TypeGoAway, Aux: uint32(spec.CodeShutdown)}, "deployment", ""},
		"trailers":             {h{Type: spec.TypeTrailers, Flags: spec.FlagEnd, Stream: 2, Aux: 3}, string(goldenTrailers.AppendTo(nil)), ""},
		"trailers_none":        {h{Type: spec.TypeTrailers, Flags: spec.FlagEnd, Stream: 4}, "\x00", ""},
		"welcome_trailers":     {h{Type: spec.TypeWelcome}, canonical(goldenWelcomeTrailers()), ""},
	}
}

const goldenFolder = "testdata/frames"

// readGolden reads hex bytes and quoted strings; # begins a comment.
func readGolden(name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(goldenFolder, name+".hex"))
	if err != nil {
		return nil, err
	}
	var out []byte
	for i, line := range strings.Split(string(text), "\n") {
		for rest := strings.TrimLeft(line, " "); rest != "" && rest[0] != '#'; rest = strings.TrimLeft(rest, " ") {
			if quoted, err := strconv.QuotedPrefix(rest); err == nil {
				s, err := strconv.Unquote(quoted)
				if err != nil {
					return nil, fmt.Errorf("%s.hex:%d: %w", name, i+1, err)
				}
				out, rest = append(out, s...), rest[len(quoted):]
				continue
			}
			word, after, _ := strings.Cut(rest, " ")
			b, err := hex.DecodeString(word)
			if err != nil {
				return nil, fmt.Errorf("%s.hex:%d: %q: %w", name, i+1, word, err)
			}
			out, rest = append(out, b...), after
		}
	}
	return out, nil
}

var _ = Describe("The golden bytes", func() {
	It("are there for every frame type", func() {
		files, err := filepath.Glob(goldenFolder + "/*.hex")
		Expect(err).NotTo(HaveOccurred())
		all := goldens()
		Expect(files).To(HaveLen(len(all)))
		seen := map[spec.FrameType]bool{}
		for _, g := range all {
			seen[g.header.Type] = true
		}
		for t := range spec.FrameType(0xff) {
			Expect(seen[t]).To(Equal(t.Known()), "%s", t)
		}
	})

	It("of PROOF, WELCOME and MAC hold what the token gives for the HELLO and CHALLENGE beside them", func() {
		hello, challenge := []byte(canonical(goldenHello)), goldenChallenge.Challenge
		Expect(spec.ServiceProof("token", challenge, hello)).To(Equal(goldenServiceProof))
		Expect(spec.GatewayProof("token", challenge, hello)).To(Equal(goldenProof))
		service, gateway := spec.FrameKeys("token", challenge, hello)
		Expect(service).NotTo(Equal(gateway))
		welcome, err := readGolden("welcome")
		Expect(err).NotTo(HaveOccurred())
		mac := spec.NewMAC(gateway)
		mac.Add(welcome)
		Expect(string(mac.Append(nil))).To(Equal(goldens()["mac"].meta))
	})

	It("are what the codec writes, and read back as what was written", func() {
		for name, g := range goldens() {
			By(name)
			want, err := readGolden(name)
			Expect(err).NotTo(HaveOccurred())
			got, err := spec.AppendFrame(nil, g.header, []byte(g.meta), []byte(g.body))
			Expect(err).NotTo(HaveOccurred())
			Expect(hex.Dump(got)).To(Equal(hex.Dump(want)))

			h, payload, n, err := spec.DecodeFrame(want, spec.MaxFrameHello)
			Expect(err).NotTo(HaveOccurred())
			Expect(n).To(Equal(len(want)))
			Expect(string(payload[:h.MetaLen])).To(Equal(g.meta))
			Expect(string(payload[h.MetaLen:])).To(Equal(g.body))
			g.header.Length, g.header.MetaLen = uint32(len(payload)), uint16(len(g.meta))
			Expect(h).To(Equal(g.header))
		}
	})

	It("hold metadata that reads back as what was written", func() {
		metadata := func(name string) []byte {
			b, err := readGolden(name)
			Expect(err).NotTo(HaveOccurred())
			h, payload, _, err := spec.DecodeFrame(b, spec.MaxFrameHello)
			Expect(err).NotTo(HaveOccurred())
			return payload[:h.MetaLen]
		}
		var request spec.Request
		Expect(request.Decode(metadata("request"))).To(Succeed())
		Expect(request).To(Equal(goldenRequest))
		var response spec.Response
		Expect(response.Decode(metadata("response"))).To(Succeed())
		Expect(response).To(Equal(goldenResponse))
		var trailers spec.Trailers
		Expect(trailers.Decode(metadata("trailers"))).To(Succeed())
		Expect(trailers).To(Equal(goldenTrailers))
		var hello spec.Hello
		Expect(spec.DecodeJSON(metadata("hello"), &hello)).To(Succeed())
		Expect(hello).To(Equal(goldenHello))
		Expect(hello.Check("resync")).To(Succeed())
		var welcome spec.Welcome
		Expect(spec.DecodeJSON(metadata("welcome"), &welcome)).To(Succeed())
		Expect(welcome).To(Equal(goldenWelcome))
		Expect(welcome.Check()).To(Succeed())
		var named spec.Welcome
		Expect(spec.DecodeJSON(metadata("welcome_trailers"), &named)).To(Succeed())
		Expect(named).To(Equal(goldenWelcomeTrailers()))
		Expect(named.Check()).To(Succeed())
		var heartbeat spec.Heartbeat
		Expect(spec.DecodeJSON(metadata("heartbeat"), &heartbeat)).To(Succeed())
		Expect(heartbeat).To(Equal(goldenHeartbeat))
		Expect(heartbeat.Check()).To(Succeed())
	})
})
