package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// offer connects a service with a manifest as it is.
func (r *running) offer(instance spec.Instance, manifest []byte) *session.Service {
	GinkgoHelper()
	link, err := transports.Dial(context.Background(), r.ListenAddrs()[0])
	Expect(err).NotTo(HaveOccurred())
	s, err := session.Open(context.Background(), link, session.ServiceConfig{
		Hello: spec.Hello{Instance: instance, Lease: 8}, Manifest: manifest, Serve: func(*session.Incoming) {},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	return s
}

// services is what /v1/services shows.
type services struct {
	Services []routing.ServiceView `json:"services"`
}

func (r *running) services() services {
	GinkgoHelper()
	var found services
	_, body := get("http://" + r.AdminAddr() + "/v1/services")
	Expect(json.Unmarshal([]byte(body), &found)).To(Succeed())
	return found
}

var _ = Describe("the manifest as the one truth", func() {
	It("is what /v1/endpoints shows: the bytes of HELLO can be made of it", func() {
		sent, err := os.ReadFile("../examples/billing/stella.manifest.json")
		Expect(err).NotTo(HaveOccurred())
		manifest, err := spec.ParseManifest(sent)
		Expect(err).NotTo(HaveOccurred())
		Expect(manifest.Schemas).NotTo(BeEmpty(), "the comparison would say little")
		manifest.Owner = "team-billing" // the example names nobody
		sent, err = manifest.Encode()
		Expect(err).NotTo(HaveOccurred())
		r := run(config(GinkgoWriter))
		r.offer(spec.Instance{Service: manifest.Service, Version: manifest.Version, ID: "one"}, sent)
		Eventually(r.Registry().Endpoints).WithTimeout(patience).ShouldNot(BeEmpty())

		// What stands beside the manifest's is named here; all else has to be the manifest's, which allows no other member.
		var shown struct {
			Endpoints []map[string]any `json:"endpoints"`
			Manifests []map[string]any `json:"manifests"`
		}
		_, body := get("http://" + r.AdminAddr() + "/v1/endpoints")
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		Expect(d.Decode(&shown)).To(Succeed())
		Expect(shown.Manifests).To(HaveLen(1))
		made := shown.Manifests[0]
		Expect(made).To(HaveKeyWithValue("manifestDigest", spec.Digest(sent)))
		delete(made, "manifestDigest")
		for _, e := range shown.Endpoints {
			Expect(e).To(And(
				HaveKeyWithValue("service", manifest.Service), HaveKeyWithValue("version", manifest.Version), HaveKeyWithValue("selected", true),
				HaveKeyWithValue("instances", json.Number("1")), HaveKeyWithValue("manifestDigest", spec.Digest(sent))))
			for _, name := range []string{"service", "version", "selected", "share", "instances", "manifestDigest", "effective", "limitsInForce"} {
				delete(e, name)
			}
		}
		made["endpoints"] = shown.Endpoints
		again, err := spec.Canonical(made)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(again)).To(Equal(string(sent)))
	})

	It("is named by its digests at /v1/services, those in quarantine and what was replaced included", func() {
		r := run(config(GinkgoWriter))
		one := spec.Manifest{Service: "a", Version: "1.0.0", Endpoints: []spec.Endpoint{{
			Method: "GET", Path: "/a", Handler: "A", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test", Limits: spec.DefaultLimits,
		}}}
		first, err := one.Encode()
		Expect(err).NotTo(HaveOccurred())
		firstContract := one.ContractDigest
		one.Endpoints[0].Status = 201
		second, err := one.Encode()
		Expect(err).NotTo(HaveOccurred())
		id := func(id string) spec.Instance { return spec.Instance{Service: "a", Version: "1.0.0", ID: id} }
		live := r.offer(id("first"), first)
		Eventually(r.services).WithTimeout(patience).Should(HaveField("Services", HaveLen(1)))
		r.offer(id("second"), second)
		Eventually(r.services).WithTimeout(patience).Should(HaveField("Services", ConsistOf(
			And(HaveField("ManifestDigest", spec.Digest(first)), HaveField("ContractDigest", firstContract),
				HaveField("Instances", ConsistOf(And(HaveField("ID", "first"), HaveField("Quarantine", ""))))),
			And(HaveField("ManifestDigest", spec.Digest(second)), HaveField("ContractDigest", one.ContractDigest),
				HaveField("Instances", ConsistOf(And(HaveField("ID", "second"), HaveField("Quarantine", ContainSubstring("live instance first")))))),
		)))
		_, metrics := get("http://" + r.AdminAddr() + "/metrics")
		Expect(metrics).To(And(
			ContainSubstring(`stella_gateway_sessions{service="a",state="live",version="1.0.0"} 1`),
			ContainSubstring(`stella_gateway_sessions{service="a",state="quarantined",version="1.0.0"} 1`)))

		Expect(live.Close()).To(Succeed())
		Eventually(r.services).WithTimeout(patience).Should(HaveField("Services", ConsistOf(
			And(HaveField("ManifestDigest", spec.Digest(second)),
				HaveField("Warning", ContainSubstring("the contract "+firstContract+" was replaced by "+one.ContractDigest)),
				HaveField("Instances", ConsistOf(And(HaveField("ID", "second"), HaveField("Quarantine", ""))))))))
	})
})

var _ = Describe("who is turned away", func() {
	DescribeTable("is counted by reason",
		func(come func(net.Conn), metric, reason string) {
			r := run(config(GinkgoWriter))
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.ListenAddrs()[0], "tcp://"))
			Expect(err).NotTo(HaveOccurred())
			defer conn.Close()
			Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
			come(conn)
			Eventually(func() string {
				_, body := get("http://" + r.AdminAddr() + "/metrics")
				var counted []string
				for line := range strings.Lines(body) {
					if (strings.HasPrefix(line, "stella_gateway_registrations") || strings.HasPrefix(line, "stella_gateway_connections")) && !strings.HasSuffix(line, " 0\n") {
						counted = append(counted, line)
					}
				}
				return strings.Join(counted, "")
			}).WithTimeout(patience).Should(Equal("stella_gateway_" + metric + `_total{reason="` + reason + "\"} 1\n"))
		},
		Entry("another protocol", func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") }, "connections_rejected", "preamble"),
		Entry("silence", func(net.Conn) {}, "connections_rejected", "silent"),
		Entry("silence after the preamble", func(c net.Conn) { preamble(c) }, "connections_rejected", "silent"),
		Entry("leaving at once", func(c net.Conn) { _ = c.Close() }, "connections_rejected", "closed"),
		Entry("leaving before HELLO", func(c net.Conn) { preamble(c); _ = c.Close() }, "connections_rejected", "closed"),
		Entry("another frame than HELLO", func(c net.Conn) {
			preamble(c)
			_, _ = c.Write([]byte{0, 0, 0, 0, byte(spec.TypePing), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		}, "registrations_refused", "protocol"),
	)

	It("is counted when it demands a feature that nobody knows", func() {
		r := run(config(GinkgoWriter))
		link, err := transports.Dial(context.Background(), r.ListenAddrs()[0])
		Expect(err).NotTo(HaveOccurred())
		manifest, err := (&spec.Manifest{Service: "a", Version: "1.0.0"}).Encode()
		Expect(err).NotTo(HaveOccurred())
		_, err = session.Open(context.Background(), link, session.ServiceConfig{
			Hello: spec.Hello{
				Instance: spec.Instance{Service: "a", Version: "1.0.0", ID: "one"}, Lease: 1, Features: []spec.Feature{{Name: "levitation", Critical: true}},
			},
			Manifest: manifest, Serve: func(*session.Incoming) {},
		})
		Expect(err).To(MatchError(ContainSubstring("UNSUPPORTED")))
		r.counts("stella_gateway_registrations_refused_total{reason=\"unsupported\"} 1")
	})
})

// preamble exchanges preambles.
func preamble(c net.Conn) {
	GinkgoHelper()
	var theirs [12]byte
	_, err := io.ReadFull(c, theirs[:])
	Expect(err).NotTo(HaveOccurred())
	_, err = io.Copy(c, bytes.NewReader(theirs[:]))
	Expect(err).NotTo(HaveOccurred())
}
