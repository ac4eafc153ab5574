package edge

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
)

var update = flag.Bool("update", false, "write docs/reference/headers.md")

const headersFile = "../../docs/reference/headers.md"

const headersHead = `<!-- Generated from spec and gateway/edge: go test ./gateway/edge -run Reference -update -->

# Header fields

What becomes of a request's header fields at the gateway is the same for every endpoint, with and without claims, and for
requests that are refused. Letter case does not count. A field that is kept reaches the service with the value that the
client sent. [Trailers](#trailers) pass by the same rules, and never become header fields.

A name with an underscore is dropped: many readers take an underscore for a dash, and ` + "`X_User_Id` would pass for `X-User-Id`" + `.
` + "`Content_Length` and `Transfer_Encoding`" + ` are refused with 400, and the connection ends: a proxy before the gateway may have
taken them at their word.

` + "`Connection`" + ` makes the fields that it names hop-by-hop, and they are dropped. It must not name Host, Authorization, Content-* or
a reserved field: that is 400 ` + "`bad_request`" + `. More than 128 fields that are kept, or more than 64 KiB of them, are 431.

` + "`Authorization`" + ` reaches public endpoints as it came. Where the endpoint requires claims, it depends on the ` + "`trust`" + ` that its service
has ([whom to trust](../authentication.md#whom-to-trust-with-it)): by default the field ends at the gateway, and the service gets the
identity that it proved; with ` + "`hybrid`" + ` and ` + "`service`" + ` it gets the field, too. A job of such an endpoint never holds it.

` + "`X-Stella-Identity-Envelope`" + ` and its signature are the gateway's own, for services that the operator lists (` + "`envelope`" + `); where callers
may choose a tenant, the gateway itself reads ` + "`Stella-Tenant`" + `.
`

const trailersText = `Fields behind a body, such as its digest, pass both ways, and stay behind it: a service sees them apart from the header, once it
has read the body, and nothing that the gateway decides depends on them. Every rule above holds for them, in its direction. Beside
that the fields below do not pass, either way: they have to be known before the body is read (RFC 9110, section 6.5.1).

- Of a request: by HTTP/1.1 behind a chunked body; by HTTP/2 those that the request has announced (` + "`Trailer`" + `); by HTTP/3 behind a
  body without ` + "`Content-Length`" + `, and else those of a request that has announced some. More than 128 that are kept are 431, one with a
  control character is 400.
- Of an answer: to every client but those of HTTP/1.0, and behind every body but one whose service has said a ` + "`Content-Length`" + `, where the
  client's is HTTP/1.1. Answers without a body (to HEAD, 204, 304) have none. A compressed answer loses digests of what was not sent
  (` + "`Content-Digest`" + ` and the like), and one that announces such a digest is not compressed.
- ` + "`Trailer`" + ` is passed on, both ways, with the names that pass. ` + "`TE: trailers`" + ` is not asked for: clients ignore what they do not take.
- Jobs have none. Services on ` + "`udp`" + `, and those of a version that does not know them, get and send bodies as ever, without.

A star stands for anything.`

// TestReferenceIsCurrent compares docs/reference/headers.md with the tables.
func TestReferenceIsCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString(headersHead)
	row := func(title, text string, names []string) {
		b.WriteString("\n## " + title + "\n\n" + text + "\n\n")
		for _, name := range names {
			b.WriteString("- `" + name + "`\n")
		}
	}
	row("Reserved", "They say who calls, where from, or what is really asked for. Only the gateway may say that, and it says it in typed metadata.\n"+
		"A client's are dropped. A star stands for anything.", spec.ReservedHeaders())
	var dropped []string
	for name, v := range named {
		if v == drop {
			dropped = append(dropped, name)
		}
	}
	slices.Sort(dropped)
	row("Dropped", "They belong to the connection, or their meaning reaches the service in typed metadata: the length, the authority, the trace\n"+
		"context. The request id is always the gateway's own; a client's `X-Request-Id` is logged. An endpoint that is a\n"+
		"[WebSocket](../websockets.md) has `Upgrade` in typed metadata, too.", dropped)
	row("Dropped from answers", "A service's word about the connection, the length or the gateway does not count.", append(slices.Clone(answerDropped), "Stella-*", "X-Stella-*"))
	row("Trailers", trailersText, spec.ForbiddenTrailers())
	if *update {
		if err := os.WriteFile(headersFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(headersFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != b.String() {
		t.Error("docs/reference/headers.md differs from the tables: run go test ./gateway/edge -run Reference -update, and look at what changed")
	}
}
