package transports_test

import (
	"bytes"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

func job() *transports.Job {
	return &transports.Job{
		ID: "01975bd9-9a00-7abc-8def-0123456789ab", Queue: transports.QueueName{Service: "billing", Endpoint: "POST /invoices"},
		Attempts: 5, Lease: time.Minute, Key: "key", Owner: "alice", Accepted: time.UnixMilli(1_790_000_000_123).UTC(),
		Request: []byte("meta"), Body: []byte(`{"a":1}`),
	}
}

var _ = Describe("A job", func() {
	const token, other = "a-token-of-16-bytes", "another-one-of-them"

	It("is read as it was written, and tells which tokens have signed it", func() {
		b, err := job().Encode(other, token)
		Expect(err).NotTo(HaveOccurred())
		got, err := transports.ParseJob(b)
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Raw()).To(Equal(b))
		Expect(got.SignedWith(token)).To(BeTrue())
		Expect(got.SignedWith(other)).To(BeTrue())
		Expect(got.SignedWith("a-third-one-is-not")).To(BeFalse())
		again, err := got.Encode(other, token)
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(Equal(b))
	})

	It("is signed by nobody where there is no token, or when a byte of it has changed", func() {
		b, err := job().Encode()
		Expect(err).NotTo(HaveOccurred())
		got, err := transports.ParseJob(b)
		Expect(err).NotTo(HaveOccurred())
		Expect(got.SignedWith("")).To(BeFalse())
		b, err = job().Encode(token)
		Expect(err).NotTo(HaveOccurred())
		for i := range b {
			changed := bytes.Clone(b)
			changed[i] ^= 1
			if got, err := transports.ParseJob(changed); err == nil {
				Expect(got.SignedWith(token)).To(BeFalse(), "byte %d", i)
			}
		}
	})

	It("is not written larger than a broker takes", func() {
		j := job()
		j.Body = make([]byte, spec.MaxJobBody)
		b, err := j.Encode()
		Expect(err).NotTo(HaveOccurred())
		Expect(transports.ParseJob(b)).Error().NotTo(HaveOccurred())
		j.Body = append(j.Body, 0)
		Expect(j.Encode()).Error().To(MatchError(ContainSubstring("its body takes 4194305 bytes, the limit is 4194304")))
		j = job()
		j.Request = make([]byte, spec.MaxMetadata+1)
		Expect(j.Encode()).Error().To(MatchError(ContainSubstring("its metadata takes 65536 bytes")))
	})

	It("is refused when it ends early", func() {
		b, err := job().Encode(token)
		Expect(err).NotTo(HaveOccurred())
		whole := len(b) - len(job().Body)
		for n := range whole {
			_, err := transports.ParseJob(b[:n])
			Expect(err).To(HaveOccurred(), "%d bytes", n)
		}
	})
})

// FuzzParseJob takes whatever lies in a queue.
func FuzzParseJob(f *testing.F) {
	b, err := job().Encode("a-token-of-16-bytes")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := transports.ParseJob(b)
		if err != nil {
			return
		}
		again, err := j.Encode()
		if err != nil {
			t.Fatal(err)
		}
		second, err := transports.ParseJob(again)
		if err != nil {
			t.Fatal(err)
		}
		if second.ID != j.ID || second.Queue != j.Queue || !bytes.Equal(second.Body, j.Body) || !bytes.Equal(second.Request, j.Request) {
			t.Fatalf("%+v became %+v", j, second)
		}
	})
}
