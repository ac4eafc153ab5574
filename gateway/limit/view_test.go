package limit_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/transports/brokertest"
)

var _ = Describe("what operators see of the limits", func() {
	It("is nothing where nothing is limited", func() {
		v := newLimiter(limit.Config{}).View(context.Background())
		Expect(v.Rules).To(BeEmpty())
		Expect(v.Rules).NotTo(BeNil(), "it is a list in JSON")
		Expect(v.Store).To(BeNil())
		Expect(v.Concurrency).To(And(HaveField("Total", BeZero()), HaveField("Adaptive", false), HaveField("Limit", BeZero())))
		Expect(v.Connections).To(And(HaveField("Open", 0), HaveField("Total", 0)))
	})

	It("is every rule with what it has decided, what is served at once, and the bounds", func() {
		l := newLimiter(limit.Config{
			Rules: []limit.Rule{
				{Name: "a", Service: "billing", Endpoint: "POST /invoices/{id}", By: limit.BySubject, Rate: 2, Per: time.Minute},
				{Name: "b", Rate: 100, Per: time.Second, Burst: 7},
			},
			Concurrency: limit.Concurrency{Total: 1, Adaptive: true, Min: 8, Max: 64},
			Connections: limit.Connections{Total: 10, PerAddress: 3},
		})
		p := l.Plan("billing", invoices)
		Expect(taken(l, p, subject("x"), 5, time.Now())).To(Equal(2))
		Expect(l.Enter(p, true)).To(BeTrue())
		Expect(l.Enter(p, true)).To(BeFalse())
		v := l.View(context.Background())
		Expect(v.Rules).To(HaveExactElements(
			limit.RuleView{
				Name: "a", Service: "billing", Endpoint: "POST /invoices/{id}", By: "subject", Rate: 2, Per: "1m0s", Burst: 2, Scope: limit.ScopeInstance,
				Counted: limit.SourceMemory, Allowed: 2, Refused: 3, Decisions: []limit.DecisionView{{Source: limit.SourceMemory, Allowed: 2, Refused: 3}},
			},
			And(HaveField("Name", "b"), HaveField("By", "all"), HaveField("Burst", 7), HaveField("Allowed", uint64(2)), HaveField("Refused", BeZero())),
		))
		Expect(v.Keys).To(Equal(2))
		Expect(v.Concurrency).To(And(HaveField("InFlight", int64(1)), HaveField("Calls", int64(1)), HaveField("Total", int64(1)), HaveField("Adaptive", true),
			HaveField("Limit", And(BeNumerically(">=", 8), BeNumerically("<=", 64))), HaveField("Min", int64(8)), HaveField("Max", int64(64)),
			HaveField("Shed", HaveKeyWithValue("normal", uint64(1)))))
		Expect(v.Connections).To(And(HaveField("Total", 10), HaveField("PerAddress", 3), HaveField("Refused", HaveKeyWithValue(telemetry.CrowdTotal, BeZero()))))
		l.Leave(p, true, 0)
	})

	It("says whether the server of the environment answers, and who decides while it does not", func() {
		server := brokertest.Valkey(GinkgoT())
		l := running(at(server, shared(1, time.Hour, 8, limit.FailureLocal), limit.Rule{Name: "own", Rate: 1, Per: time.Second}))
		p := l.Plan("billing", invoices)
		Expect(l.Take(context.Background(), p, subject("x"), time.Now()).Allowed).To(BeTrue())
		v := l.View(context.Background())
		Expect(v.Store).To(HaveValue(And(HaveField("Address", server.Addr), HaveField("Environment", "default"), HaveField("Answers", true), HaveField("Error", ""),
			HaveField("Breaker", telemetry.BreakerClosed), HaveField("Checks", uint64(1)), HaveField("Failures", BeZero()))))
		Expect(v.Rules).To(HaveExactElements(
			And(HaveField("Name", "shared"), HaveField("Scope", limit.ScopeEnvironment), HaveField("Failure", limit.FailureLocal), HaveField("Counted", limit.SourceValkey)),
			And(HaveField("Name", "own"), HaveField("Counted", limit.SourceMemory)),
		))
		server.Stop()
		Eventually(func() limit.View { return l.View(context.Background()) }).WithTimeout(patience).Should(And(
			HaveField("Store.Answers", false), HaveField("Store.Error", Not(BeEmpty())),
			HaveField("Rules", ContainElement(And(HaveField("Name", "shared"), HaveField("Counted", limit.SourceFallback))))))
	})

	It("says that a server has never been reached", func() {
		l := newLimiter(limit.Config{Store: "valkey://user:secret@127.0.0.1:1", Rules: []limit.Rule{shared(1, time.Hour, 1, limit.FailureClosed)}})
		Expect(l.View(context.Background()).Store).To(HaveValue(And(
			HaveField("Address", "127.0.0.1:1"), HaveField("Answers", false), HaveField("Error", "there has been no connection yet"))))
	})
})
