package edge_test

import (
	"bytes"
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// Elsewhere the idle time ends it: see hangup_other.go.
var _ = Describe("An upgrade", func() {
	It("is noticed to be reset by a client though its service does not read", func() {
		r := start()
		ended := make(chan error, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			<-in.Context().Done()
			ended <- context.Cause(in.Context())
		}, endpoint("GET", "/chat", upgrades))
		conn, _ := r.opened("/chat")
		part := bytes.Repeat([]byte("x"), 64<<10)
		for {
			Expect(conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))).To(Succeed())
			if _, err := conn.Write(part); err != nil {
				break
			}
		}
		Consistently(ended).WithTimeout(200 * time.Millisecond).ShouldNot(Receive())
		Expect(conn.SetLinger(0)).To(Succeed())
		Expect(conn.Close()).To(Succeed())
		var err error
		Eventually(ended).WithTimeout(patience).Should(Receive(&err))
		e, ok := errors.AsType[*session.Error](err)
		Expect(ok).To(BeTrue(), "%v", err)
		Expect(e.Code).To(Equal(spec.CodeClientGone))
	})
})
