package openapi

import "github.com/stella-ops/router/spec"

// Names of the components that every document has of its own.
const (
	problemSchema   = "stella.Problem"
	faultSchema     = "stella.Fault"
	brokenSchema    = "stella.Broken"
	problemResponse = "#/components/responses/stella.Problem"
)

// problemAnswer is the answer to whatever fails.
func problemAnswer(d *dialect) *response {
	return &response{
		Description: "A problem (RFC 9457), of the service or of the gateway",
		Content:     map[string]*mediaType{spec.ProblemType: {Schema: d.refTo(problemSchema)}},
	}
}

// problemSchemas are [spec.Problem] and what it is made of.
func problemSchemas(d *dialect) map[string]schema {
	text := func(doc string) schema { return schema{"type": spec.TypeString, "description": doc} }
	return map[string]schema{
		problemSchema: {
			"type": spec.TypeObject, "description": "An error answer (RFC 9457), the same whether a service or the gateway made it.",
			"required": []string{"code", "origin", "status", "title", "type"},
			"properties": map[string]schema{
				"type":      {"type": spec.TypeString, "format": "uri-reference", "description": "about:blank, or a URI that names the kind"},
				"title":     text("the status in words"),
				"status":    {"type": spec.TypeInteger, "format": "int32", "minimum": 400, "maximum": 599, "description": "the HTTP status"},
				"detail":    text("what happened to this request, and what to do"),
				"code":      text("stable, lower case with underscores"),
				"requestId": text("as in X-Request-Id"),
				"origin":    {"type": spec.TypeString, "enum": []string{"gateway", "service"}, "description": "who made the answer"},
				"retryable": {"type": spec.TypeBoolean, "description": "the call was certainly not taken on"},
				"errors":    {"type": spec.TypeArray, "items": d.refTo(faultSchema), "description": "every fault of the input"},
				"details":   {"description": "of the errors whose code declares some"},
			},
		},
		faultSchema: {
			"type": spec.TypeObject, "description": "One thing wrong with a request's input.",
			"required": []string{"detail", "in"},
			"properties": map[string]schema{
				"pointer":   text("JSON pointer (RFC 6901) into the body"),
				"parameter": text("name of the parameter"),
				"in": {
					"type": spec.TypeString, "description": "where it is",
					"enum": []string{spec.InBody, spec.InCookie, spec.InHeader, spec.InPath, spec.InQuery},
				},
				"detail": text("what was expected and what came"),
			},
		},
	}
}

// brokenSequence is the last line of a sequence that breaks off. As an event it is the problem, of the type error.
func brokenSequence(d *dialect) schema {
	return schema{
		"type": spec.TypeObject, "description": "The last line of a sequence that breaks off.",
		"required": []string{"error"}, "properties": map[string]schema{"error": d.refTo(problemSchema)},
	}
}
