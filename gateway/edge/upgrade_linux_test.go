package edge_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

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

	It("that both sides have ended in order carries all that the client has sent, to a service that reads late", func() {
		r := start()
		ended, release := make(chan error, 1), make(chan struct{})
		total := make(chan int64, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) || in.End() != nil {
				return
			}
			select {
			case <-release:
			case <-in.Context().Done():
				ended <- context.Cause(in.Context())
				return
			}
			n, err := io.Copy(io.Discard, in)
			ended <- err
			total <- n
		}, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		_, err := from.ReadByte()
		Expect(err).To(MatchError(io.EOF))
		const size = 500 << 10 // more than credit, and no more than buffers hold
		_, err = conn.Write(make([]byte, size))
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.CloseWrite()).To(Succeed())
		Consistently(ended).WithTimeout(300 * time.Millisecond).ShouldNot(Receive()) // the watch has looked by then
		close(release)
		Eventually(ended).WithTimeout(patience).Should(Receive(BeNil()))
		Expect(<-total).To(BeEquivalentTo(size))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101"))
		Expect(r.log.Contents()).NotTo(ContainSubstring("aborted=true"))
	})
})
