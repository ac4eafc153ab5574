package spec

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// Problem is an error answer (RFC 9457), the same whether a service or the gateway made it.
type Problem struct {
	Type      string  `json:"type"`                // about:blank, or a URI that names the kind
	Title     string  `json:"title"`               // the status in words
	Status    int     `json:"status"`              // the HTTP status
	Detail    string  `json:"detail,omitempty"`    // what happened to this request, and what to do
	Code      string  `json:"code"`                // stable, lower case with underscores
	RequestID string  `json:"requestId,omitempty"` // as in X-Request-Id
	Origin    string  `json:"origin"`              // "gateway" or "service"
	Retryable bool    `json:"retryable,omitempty"` // the call was certainly not taken on
	Errors    []Fault `json:"errors,omitempty"`    // every fault of the input, not the first only
	Details   any     `json:"details,omitempty"`   // what the endpoint says of its errors: see ErrorAnswer
}

// Where a [Fault] is.
const (
	InCookie = "cookie"
	InBody   = "body"
	InPath   = "path"
	InQuery  = "query"
	InHeader = "header"
)

// Fault is one thing wrong with a request's input.
type Fault struct {
	Pointer   string `json:"pointer,omitempty"`   // JSON pointer (RFC 6901) into the body; "" with In body is the whole
	Parameter string `json:"parameter,omitempty"` // name of the path, query or header parameter
	In        string `json:"in"`                  // body, path, query or header
	Detail    string `json:"detail"`              // what was expected and what came
}
