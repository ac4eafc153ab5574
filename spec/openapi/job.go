package openapi

import (
	"net/http"

	"github.com/stella-ops/router/spec"
)

// Calls of an endpoint with a queue are jobs: the gateway answers them, and tells under paths of its own what becomes of
// them.

const (
	jobSchema   = "stella.Job"
	jobID       = "stellaJob"
	jobResultID = "stellaJobResult"
	jobPath     = spec.ReservedPath + "/jobs/{id}"
	resultPath  = jobPath + "/result"
	gatewayTag  = "jobs"
)

// accepted is the answer to a request that has become a job.
func (w *writer) accepted() *response {
	read := map[string]string{"id": "$response.body#/job"}
	return &response{
		Description: "The request is a job now, which the queue has for good",
		Headers:     map[string]*header{"Location": {Description: "where to ask what becomes of it", Required: true, Schema: schema{"type": spec.TypeString}}},
		Content:     map[string]*mediaType{mediaJSON: {Schema: w.refTo(jobSchema)}},
		Links:       map[string]link{"result": {jobResultID, read}, "status": {jobID, read}},
	}
}

// jobStatus is what the gateway says of a job.
func jobStatus() schema {
	return schema{
		"type": spec.TypeObject, "description": "What has become of a request that waits in a queue.",
		"required": []string{"attempt", "changed", "job", "state", "statusUrl"},
		"properties": map[string]schema{
			"job":       {"type": spec.TypeString, "format": "uuid", "description": "the job's ID"},
			"state":     {"type": spec.TypeString, "enum": []string{"queued", "running", "done", "dead"}},
			"statusUrl": {"type": spec.TypeString, "format": "uri-reference", "description": "where this is told"},
			"attempt":   {"type": spec.TypeInteger, "format": "int32", "minimum": 0, "description": "how many have begun"},
			"reason":    {"type": spec.TypeString, "description": "why the last attempt failed"},
			"changed":   {"type": spec.TypeString, "format": "date-time"},
			"result": {
				"type": spec.TypeObject, "description": "the handler's answer", "required": []string{"status"},
				"properties": map[string]schema{
					"status": {"type": spec.TypeInteger, "format": "int32", "description": "its HTTP status"},
					"url":    {"type": spec.TypeString, "format": "uri-reference", "description": "where it is; missing where it was too large to be kept"},
				},
			},
		},
	}
}

// jobPaths are the gateway's own paths. results are the schemas of what jobs answer.
func jobPaths(d *dialect, results []schema) map[string]map[string]*operation {
	ask := func(id, summary, description string, answer *response) map[string]*operation {
		return map[string]*operation{"get": {
			OperationID: id, Summary: summary, Description: description, Tags: []string{gatewayTag},
			Security: []map[string][]string{{bearer: {}}, {}},
			Parameters: []*parameter{{
				Name: "id", In: spec.InPath, Required: true, Description: "the job's ID", Schema: schema{"type": spec.TypeString, "format": "uuid"},
			}},
			Responses: map[string]*response{"200": answer, "404": {Ref: problemResponse}, "default": {Ref: problemResponse}},
		}}
	}
	result := schema{}
	if len(results) > 0 {
		result = schema{"anyOf": results}
	}
	return map[string]map[string]*operation{
		jobPath: ask(jobID, "What has become of a job",
			"The gateway answers who has queued the job, and nobody else. It is known for 24 hours.", &response{
				Description: title(http.StatusOK), Content: map[string]*mediaType{mediaJSON: {Schema: d.refTo(jobSchema)}},
			}),
		resultPath: ask(jobResultID, "The handler's answer to a job, with its status", "404 until there is one, and where it was too large to be kept.", &response{
			Description: "The answer, here of success", Content: map[string]*mediaType{mediaJSON: {Schema: result}},
		}),
	}
}
