package bridge

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// twice is middleware that calls its next handler twice.
func twice(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		next.ServeHTTP(w, r)
	})
}

var _ = Describe("Middleware that calls its next handler twice", func() {
	DescribeTable("has the answer that net/http gives", func(ctx SpecContext, h handle, around ...middleware) {
		p := serve(GinkgoTB(), h, []endpoint{at}, append(around, twice)...)
		a := &ask{Method: http.MethodPost, Target: "/a", Size: 100_000}
		direct, end, err := a.send(ctx, p.direct)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(end)
		through, end, err := a.send(ctx, p.gateway)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(end)
		Expect([]any{through.Status, through.Broken, string(through.Body)}).To(Equal([]any{direct.Status, direct.Broken, string(direct.Body)}))
		Expect(through.Trailer).To(Equal(direct.Trailer))
		Expect(through.Header["X-Times"]).To(Equal(direct.Header["X-Times"]))
	},
		Entry("of text", handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") })),
		Entry("of a status and fields, of which the first count", handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("X-Times", "once")
			w.WriteHeader(http.StatusAccepted + len(w.Header()["X-Times"]))
		})),
		Entry("of the body, which is read once", handle(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintln(w, n, err)
		})),
		Entry("of much", handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 100_000)) })),
		Entry("of what is flushed", handle(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
		})),
		Entry("of trailers", handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		})),
		Entry("of nothing", handle(func(http.ResponseWriter, *http.Request) {})),
		Entry("behind another one that counts", handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }), middleware(counting)),
		Entry("behind another one that does so, too", handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }), middleware(twice)),
	)

	It("around a WebSocket has the first conversation, and the second call is told that the connection is taken", func(ctx SpecContext) {
		p := serve(GinkgoTB(), handle(chat), []endpoint{socket}, twice)
		echoes(ctx, p.gateway)
		c := dial(ctx, p.gateway)
		Expect(c.CloseNow()).To(Succeed())
	}, NodeTimeout(patience))
})
