package spec_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// queued is the manifest [billing] with jobs: its first endpoint, POST /invoices, has a queue.
func queued() (*spec.Manifest, *spec.Endpoint) {
	m := billing()
	e := &m.Endpoints[0]
	q := spec.DefaultQueueing
	e.Idempotent, e.Queue = true, &q
	return m, e
}

var _ = Describe("An endpoint", func() {
	It("whose calls are jobs says so in the manifest, and reads back with it", func() {
		m, _ := queued()
		b, err := m.Encode()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).To(ContainSubstring("\"queue\": {\n        \"attempts\": 5,\n        \"leaseMs\": 60000\n      }"))
		m, err = spec.ParseManifest(b)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Endpoints[0].Queue).To(HaveValue(Equal(spec.DefaultQueueing)))
		Expect(m.Endpoints[1].Queue).To(BeNil())
	})

	It("without a queue may be what one with a queue may not", func() {
		m, e := queued()
		e.Queue, e.Idempotent, e.Method, e.Stream, e.Limits.MaxBodyBytes = nil, false, "OPTIONS", spec.StreamBoth, 1<<40
		Expect(e.QueueFaults()).To(BeEmpty())
		Expect(e.Unqueueable()).To(Succeed())
		Expect(m.Encode()).Error().NotTo(HaveOccurred())
	})

	DescribeTable("has a queue that ends at its limits", func(set func(*spec.Endpoint)) {
		m, e := queued()
		set(e)
		Expect(e.QueueFaults()).To(BeEmpty())
		Expect(m.Encode()).Error().NotTo(HaveOccurred())
	},
		Entry("one attempt", func(e *spec.Endpoint) { e.Queue.Attempts = 1 }),
		Entry("the most attempts", func(e *spec.Endpoint) { e.Queue.Attempts = spec.MaxAttempts }),
		Entry("the shortest lease, and a timeout as long", func(e *spec.Endpoint) { e.Queue.LeaseMS, e.Limits.TimeoutMS = spec.MinLeaseMS, spec.MinLeaseMS }),
		Entry("the longest lease, and a timeout as long", func(e *spec.Endpoint) { e.Queue.LeaseMS, e.Limits.TimeoutMS = spec.MaxLeaseMS, spec.MaxLeaseMS }),
		Entry("the largest body", func(e *spec.Endpoint) { e.Limits.MaxBodyBytes = spec.MaxJobBody }),
		Entry("PUT", func(e *spec.Endpoint) { e.Method = "PUT" }),
		Entry("PATCH", func(e *spec.Endpoint) { e.Method = "PATCH" }),
		Entry("DELETE", func(e *spec.Endpoint) { e.Method = "DELETE" }),
		Entry("a handler that reads the request itself", func(e *spec.Endpoint) { e.Kind = spec.KindRaw }),
		Entry("a handler of net/http", func(e *spec.Endpoint) { e.Kind = spec.KindHTTP }),
	)

	DescribeTable("is refused a queue", func(spoil func(*spec.Endpoint), fault spec.QueueFault, why string) {
		m, e := queued()
		spoil(e)
		Expect(e.QueueFaults()).To(ConsistOf(fault))
		Expect(e.Unqueueable()).To(MatchError(why))
		_, err := m.Encode()
		Expect(err).To(MatchError(spec.ErrManifest))
		Expect(err).To(MatchError(HaveSuffix(e.Method + " /invoices: delivery=queue: it " + why)))
	},
		Entry("for GET", func(e *spec.Endpoint) { e.Method = "GET" }, spec.QueueMethod,
			"has the method GET, expected POST, PUT, PATCH or DELETE: who asks for something needs it at once"),
		Entry("for HEAD", func(e *spec.Endpoint) { e.Method = "HEAD" }, spec.QueueMethod,
			"has the method HEAD, expected POST, PUT, PATCH or DELETE: who asks for something needs it at once"),
		Entry("for OPTIONS, which no flag helps", func(e *spec.Endpoint) { e.Method, e.Idempotent = "OPTIONS", false }, spec.QueueMethod,
			"has the method OPTIONS, expected POST, PUT, PATCH or DELETE: who asks for something needs it at once"),
		Entry("when it is not safe to repeat", func(e *spec.Endpoint) { e.Idempotent = false }, spec.QueueOnce,
			"is not idempotent: a job may run more than once"),
		Entry("when requests are streamed", func(e *spec.Endpoint) { e.Stream = spec.StreamRequest }, spec.QueueStream,
			"streams a body: a job and its result are held whole"),
		Entry("when answers are streamed", func(e *spec.Endpoint) { e.Stream = spec.StreamResponse }, spec.QueueStream,
			"streams a body: a job and its result are held whole"),
		Entry("when its handler returns a sequence", func(e *spec.Endpoint) { e.Kind = spec.KindStream }, spec.QueueStream,
			"streams a body: a job and its result are held whole"),
		Entry("without an attempt", func(e *spec.Endpoint) { e.Queue.Attempts = 0 }, spec.QueueAttempts,
			"has 0 attempts, expected 1 to 100"),
		Entry("with too many attempts", func(e *spec.Endpoint) { e.Queue.Attempts = 101 }, spec.QueueAttempts,
			"has 101 attempts, expected 1 to 100"),
		Entry("with too short a lease, whatever the timeout", func(e *spec.Endpoint) { e.Queue.LeaseMS = 999 }, spec.QueueLease,
			"has a lease of 999 ms, expected 1000 to 1500000"),
		Entry("with too long a lease", func(e *spec.Endpoint) { e.Queue.LeaseMS = 1_500_001 }, spec.QueueLease,
			"has a lease of 1500001 ms, expected 1000 to 1500000"),
		Entry("with a timeout beyond the lease", func(e *spec.Endpoint) { e.Limits.TimeoutMS = 60_001 }, spec.QueueTimeout,
			"has a timeout of 60001 ms and a lease of 60000 ms: a job would be given to another worker while it runs"),
		Entry("with bodies that no job holds", func(e *spec.Endpoint) { e.Limits.MaxBodyBytes = spec.MaxJobBody + 1 }, spec.QueueBody,
			"takes bodies of 4194305 bytes, expected at most 4194304, what a job holds"),
	)

	It("has all faults of its queue found at once, and the first said", func() {
		_, e := queued()
		e.Idempotent, e.Stream, e.Queue.Attempts, e.Limits.TimeoutMS, e.Limits.MaxBodyBytes = false, spec.StreamBoth, 0, 86_400_000, 1<<40
		Expect(e.QueueFaults()).To(Equal([]spec.QueueFault{
			spec.QueueOnce, spec.QueueStream, spec.QueueAttempts, spec.QueueTimeout, spec.QueueBody,
		}))
		Expect(e.Unqueueable()).To(MatchError(ContainSubstring("not idempotent")))
	})

	DescribeTable("is refused a path of the gateway's", func(path string) {
		m := billing()
		m.Endpoints[0].Path = path
		_, err := m.Encode()
		Expect(err).To(MatchError(spec.ErrManifest))
		Expect(err).To(MatchError(HaveSuffix("POST " + path + ": path is reserved for the gateway: expected one that does not begin with /_stella/")))
	},
		Entry("the root of them", "/_stella"), Entry("below it", "/_stella/jobs"), Entry("with a parameter", "/_stella/{rest...}"),
	)

	DescribeTable("may have a path that is like the gateway's", func(path string) {
		m := billing()
		m.Endpoints[0].Path = path
		Expect(m.Encode()).Error().NotTo(HaveOccurred())
	},
		Entry(nil, "/_stellar"), Entry(nil, "/_Stella/x"), Entry(nil, "/stella/x"), Entry(nil, "/x/_stella"), Entry(nil, "/{_stella}/x"), Entry(nil, "/"),
	)
})
