package breaking

import (
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
)

// The categories: what a change is about.
const (
	Wire      = "WIRE"      // how messages travel
	HTTP      = "HTTP"      // method, path, parameters, statuses, access that is refused
	JSON      = "JSON"      // bodies
	Security  = "SECURITY"  // access that is granted
	Ops       = "OPS"       // limits and promises
	Lifecycle = "LIFECYCLE" // versions, deprecation, waivers
	Go        = "GO"        // source code that uses generated clients
)

// Categories lists the categories.
func Categories() []string { return []string{Wire, HTTP, JSON, Security, Ops, Lifecycle, Go} }

// Rules returns the rules, sorted by id.
func Rules() []diagnostic.Rule { return slices.Clone(rules) }

// Find returns the rule with this id or name.
func Find(name string) (diagnostic.Rule, bool) {
	i := slices.IndexFunc(rules, func(r diagnostic.Rule) bool { return string(r.ID) == name || r.Name == name })
	if i < 0 {
		return diagnostic.Rule{}, false
	}
	return rules[i], true
}

// What is true of parameters wherever they are.
const (
	textRequired = "It is new and required, or was optional: requests without it are refused."
	textRemoved  = "Requests that have it are answered as if they had not."
)

var rules = []diagnostic.Rule{
	{
		ID: ServiceNameChanged, Name: "SERVICE_NAME_CHANGED", Category: Wire, Severity: diagnostic.Error,
		Title: "service has another name",
		Text: "To callers of the gateway its endpoints are where they were; to its token, owners, queues and versions " +
			"it is another service. All of its endpoints are compared with those under the old name.",
	},
	{
		ID: StreamRequestChanged, Name: "STREAM_REQUEST_CHANGED", Category: Wire, Severity: diagnostic.Error,
		Title: "request body is streamed no longer, or newly",
		Text: "A body that is not streamed is held whole before the handler runs: its sender learns nothing before its " +
			"end. A sender and a handler that talk meanwhile would wait for each other.",
	},
	{
		ID: StreamResponseChanged, Name: "STREAM_RESPONSE_CHANGED", Category: Wire, Severity: diagnostic.Error,
		Title: "response body is streamed no longer, or newly",
		Text: "Who reads a response piece by piece gets nothing before its end once it is held whole; who relied on a " +
			"Content-Length has none once it is streamed.",
	},
	{
		ID: StreamEventsChanged, Name: "STREAM_EVENTS_CHANGED", Category: Wire, Severity: diagnostic.Error,
		Title: "items of a stream get or lose ids and names",
		Text: "EventSource hands named events to other listeners than those without a name, and resumes by the id of " +
			"the last one.",
	},
	{
		ID: DeliveryChanged, Name: "DELIVERY_CHANGED", Category: Wire, Severity: diagnostic.Error,
		Title: "calls became jobs, or jobs became calls",
		Text: "With delivery=queue the answer is 202 with a job's address instead of the result. Callers of one cannot " +
			"use the other.",
	},
	{
		ID: EndpointRemoved, Name: "ENDPOINT_REMOVED", Category: HTTP, Severity: diagnostic.Error,
		Title: "endpoint is gone",
		Text:  "Its callers get 404 or 405. Deprecate it first with a sunset, and remove it after that day.",
	},
	{
		ID: EndpointMethodChanged, Name: "ENDPOINT_METHOD_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "endpoint has another method",
		Text:  "The same handler is reached by another method. Keep an endpoint with the old one that does the same.",
	},
	{
		ID: EndpointPathChanged, Name: "ENDPOINT_PATH_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "endpoint has another path",
		Text: "The same handler is reached under another path. Keep an endpoint with the old one that does the same. " +
			"Names of path parameters do not count.",
	},
	{
		ID: RouteCaptureChanged, Name: "ROUTE_CAPTURE_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "new path takes requests from another endpoint",
		Text: "A literal beats a parameter, and a parameter the rest of the path: requests that matched the more " +
			"general path go to the new endpoint instead.",
	},
	{
		ID: ParamTypeChanged, Name: "PARAM_TYPE_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "parameter takes another type",
		Text:  "Values that were accepted in the path, query, header or cookie are refused.",
	},
	{
		ID: QueryParamRequired, Name: "QUERY_PARAM_REQUIRED", Category: HTTP, Severity: diagnostic.Error,
		Title: "query parameter is required",
		Text:  textRequired,
	},
	{
		ID: QueryParamRemoved, Name: "QUERY_PARAM_REMOVED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "query parameter is gone",
		Text:  textRemoved,
	},
	{
		ID: HeaderParamRequired, Name: "HEADER_PARAM_REQUIRED", Category: HTTP, Severity: diagnostic.Error,
		Title: "request header is required",
		Text:  textRequired,
	},
	{
		ID: HeaderParamRemoved, Name: "HEADER_PARAM_REMOVED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "request header is gone",
		Text:  textRemoved,
	},
	{
		ID: CookieParamRequired, Name: "COOKIE_PARAM_REQUIRED", Category: HTTP, Severity: diagnostic.Error,
		Title: "cookie is required",
		Text:  textRequired,
	},
	{
		ID: CookieParamRemoved, Name: "COOKIE_PARAM_REMOVED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "cookie is gone",
		Text:  textRemoved,
	},
	{
		ID: RequestMediaTypeChanged, Name: "REQUEST_MEDIA_TYPE_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "request body has another media type",
		Text: "Bodies of the old media type are refused with 415, or read as something else. Handlers that read bytes " +
			"themselves count as a media type of their own.",
	},
	{
		ID: ResponseMediaTypeChanged, Name: "RESPONSE_MEDIA_TYPE_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "response body has another media type",
		Text: "JSON, a stream of items, and bytes that the handler writes itself are three things to a client. Whether " +
			"a handler that wrote bytes wrote the same as its successor, the manifest cannot tell.",
	},
	{
		ID: ResponseStatusChanged, Name: "RESPONSE_STATUS_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "success has another status",
		Text:  "Clients that compare the status with the one they know take success for a failure.",
	},
	{
		ID: ResponseStatusRemoved, Name: "RESPONSE_STATUS_REMOVED", Category: HTTP, Severity: diagnostic.Error,
		Title: "one of the statuses of success is gone",
		Text:  "What a client did on it does not happen any more.",
	},
	{
		ID: ResponseStatusAdded, Name: "RESPONSE_STATUS_ADDED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "success has a further status",
		Text:  "Clients that know the others only may take it for a failure.",
	},
	{
		ID: ResponseHeaderRemoved, Name: "RESPONSE_HEADER_REMOVED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "response header is gone",
		Text:  "Clients that read it find nothing.",
	},
	{
		ID: ResponseHeaderChanged, Name: "RESPONSE_HEADER_CHANGED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "response header has other values, or may be missing",
		Text:  "Clients that parse it may fail.",
	},
	{
		ID: ErrorRemoved, Name: "ERROR_REMOVED", Category: HTTP, Severity: diagnostic.Warning,
		Title: "declared error is gone",
		Text:  "Clients that handle its code get another one, or none, in the same case.",
	},
	{
		ID: ErrorAdded, Name: "ERROR_ADDED", Category: HTTP, Severity: diagnostic.Info,
		Title: "further error is declared",
		Text:  "Clients do not know its code and handle it by its status.",
	},
	{
		ID: ErrorStatusChanged, Name: "ERROR_STATUS_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "declared error has another status",
		Text:  "Clients that go by the status take it for another error: a 409 that becomes a 503 is repeated.",
	},
	{
		ID: IdempotencyLost, Name: "IDEMPOTENCY_LOST", Category: HTTP, Severity: diagnostic.Error,
		Title: "endpoint is not idempotent any more",
		Text:  "The gateway repeats its calls no longer, and clients that repeat them do something twice.",
	},
	{
		ID: ClaimAdded, Name: "CLAIM_ADDED", Category: HTTP, Severity: diagnostic.Error,
		Title: "further claim is required",
		Text:  "Callers without it get 403.",
	},
	{
		ID: ClaimValueNarrowed, Name: "CLAIM_VALUE_NARROWED", Category: HTTP, Severity: diagnostic.Error,
		Title: "claim has to have a certain value",
		Text:  "Its presence was enough. Callers with another value get 403.",
	},
	{
		ID: ClaimValueChanged, Name: "CLAIM_VALUE_CHANGED", Category: HTTP, Severity: diagnostic.Error,
		Title: "claim has to have another value",
		Text:  "Callers with the value that was asked for before get 403, and others get in.",
	},
	{
		ID: EndpointBecameAuthenticated, Name: "ENDPOINT_BECAME_AUTHENTICATED", Category: HTTP, Severity: diagnostic.Error,
		Title: "public endpoint requires claims",
		Text:  "Callers without a token get 401.",
	},
	{
		ID: RequestBodyAdded, Name: "REQUEST_BODY_ADDED", Category: JSON, Severity: diagnostic.Error,
		Title: "request has a body now",
		Text:  "Requests without one are refused.",
	},
	{
		ID: RequestBodyRemoved, Name: "REQUEST_BODY_REMOVED", Category: JSON, Severity: diagnostic.Warning,
		Title: "request has no body any more",
		Text:  "What is sent in it has no effect.",
	},
	{
		ID: RequestFieldRequiredAdded, Name: "REQUEST_FIELD_REQUIRED_ADDED", Category: JSON, Severity: diagnostic.Error,
		Title: "new request field is required",
		Text:  "Requests without it are refused. Let it be optional, or have a default.",
	},
	{
		ID: RequestFieldBecameRequired, Name: "REQUEST_FIELD_BECAME_REQUIRED", Category: JSON, Severity: diagnostic.Error,
		Title: "request field became required",
		Text:  "Requests without it are refused.",
	},
	{
		ID: RequestFieldRemoved, Name: "REQUEST_FIELD_REMOVED", Category: JSON, Severity: diagnostic.Error,
		Title: "request field is gone, and refused",
		Text:  "The endpoint refuses members that it does not know, and so whatever has this one.",
	},
	{
		ID: RequestFieldIgnored, Name: "REQUEST_FIELD_IGNORED", Category: JSON, Severity: diagnostic.Warning,
		Title: "request field is gone, and ignored",
		Text:  "The endpoint skips members that it does not know: what is sent in this one has no effect any more.",
	},
	{
		ID: RequestFieldTypeChanged, Name: "REQUEST_FIELD_TYPE_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "request field takes another type",
		Text:  "Values that were accepted are refused.",
	},
	{
		ID: RequestNullForbidden, Name: "REQUEST_NULL_FORBIDDEN", Category: JSON, Severity: diagnostic.Error,
		Title: "request field takes null no longer",
		Text:  "Requests with null are refused.",
	},
	{
		ID: RequestEnumValueRemoved, Name: "REQUEST_ENUM_VALUE_REMOVED", Category: JSON, Severity: diagnostic.Error,
		Title: "value of an enumeration is refused",
		Text:  "Requests with a value that was in the list are refused.",
	},
	{
		ID: RequestEnumAdded, Name: "REQUEST_ENUM_ADDED", Category: JSON, Severity: diagnostic.Error,
		Title: "request value has to be one of a list",
		Text:  "Any value was accepted.",
	},
	{
		ID: RequestRangeTightened, Name: "REQUEST_RANGE_TIGHTENED", Category: JSON, Severity: diagnostic.Error,
		Title: "number's range is narrower",
		Text: "minimum, maximum, exclusiveMinimum or exclusiveMaximum refuse numbers that were accepted. Bounds are " +
			"compared exactly.",
	},
	{
		ID: RequestLengthTightened, Name: "REQUEST_LENGTH_TIGHTENED", Category: JSON, Severity: diagnostic.Error,
		Title: "text's length is bounded more tightly",
		Text:  "minLength or maxLength refuse text that was accepted.",
	},
	{
		ID: RequestItemsTightened, Name: "REQUEST_ITEMS_TIGHTENED", Category: JSON, Severity: diagnostic.Error,
		Title: "number of items is bounded more tightly",
		Text:  "minItems or maxItems refuse lists that were accepted.",
	},
	{
		ID: RequestPatternChanged, Name: "REQUEST_PATTERN_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "text has to match another pattern",
		Text: "The pattern is new, or differs: text that was accepted may be refused. Whether one pattern matches all " +
			"that another does is not looked at.",
	},
	{
		ID: RequestMultipleOfTightened, Name: "REQUEST_MULTIPLE_OF_TIGHTENED", Category: JSON, Severity: diagnostic.Error,
		Title: "number has to be a multiple of another",
		Text: "Numbers that were accepted are refused: the old multipleOf is no multiple of the new one, or there was " +
			"none.",
	},
	{
		ID: RequestUniqueItems, Name: "REQUEST_UNIQUE_ITEMS", Category: JSON, Severity: diagnostic.Error,
		Title: "items have to be different",
		Text:  "Lists that have an item twice are refused.",
	},
	{
		ID: RequestDefaultChanged, Name: "REQUEST_DEFAULT_CHANGED", Category: JSON, Severity: diagnostic.Warning,
		Title: "absent value means something else",
		Text:  "Requests that leave the value out are understood differently.",
	},
	{
		ID: RequestBecameStrict, Name: "REQUEST_BECAME_STRICT", Category: JSON, Severity: diagnostic.Error,
		Title: "unknown members are refused",
		Text:  "They were ignored. Requests that have some are refused.",
	},
	{
		ID: ResponseBodyRemoved, Name: "RESPONSE_BODY_REMOVED", Category: JSON, Severity: diagnostic.Error,
		Title: "response has no body any more",
		Text:  "Clients that decode it fail.",
	},
	{
		ID: ResponseFieldRemoved, Name: "RESPONSE_FIELD_REMOVED", Category: JSON, Severity: diagnostic.Error,
		Title: "response field is gone",
		Text:  "Clients that read it find nothing.",
	},
	{
		ID: ResponseFieldBecameOptional, Name: "RESPONSE_FIELD_BECAME_OPTIONAL", Category: JSON, Severity: diagnostic.Error,
		Title: "response field may be missing",
		Text:  "It was always there, and clients may rely on it.",
	},
	{
		ID: ResponseFieldBecameNullable, Name: "RESPONSE_FIELD_BECAME_NULLABLE", Category: JSON, Severity: diagnostic.Error,
		Title: "response field may be null",
		Text:  "Clients that expect a value fail on null.",
	},
	{
		ID: ResponseFieldTypeChanged, Name: "RESPONSE_FIELD_TYPE_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "response field has another type",
		Text:  "Clients that decode the old one fail.",
	},
	{
		ID: ResponseEnumValueAdded, Name: "RESPONSE_ENUM_VALUE_ADDED", Category: JSON, Severity: diagnostic.Warning,
		Title: "enumeration in responses has a further value",
		Text:  "Clients that know the others only may fail on it.",
	},
	{
		ID: ResponseConstraintLoosened, Name: "RESPONSE_CONSTRAINT_LOOSENED", Category: JSON, Severity: diagnostic.Warning,
		Title: "response holds to less than it promised",
		Text: "A range, a length, a pattern or a list of values is wider than it was, or gone. Clients may have relied " +
			"on it.",
	},
	{
		ID: ErrorDetailsRemoved, Name: "ERROR_DETAILS_REMOVED", Category: JSON, Severity: diagnostic.Error,
		Title: "declared error has no details any more",
		Text:  "Clients that read them find nothing.",
	},
	{
		ID: JSONNameChanged, Name: "JSON_NAME_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "field has another JSON name",
		Text: "A field is gone, and one of the same type and a similar name, or with the same documentation, is new. To " +
			"callers these are two fields.",
	},
	{
		ID: NumberPrecisionChanged, Name: "NUMBER_PRECISION_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "number does not fit any more",
		Text: "A reader of the old type loses digits or overflows on numbers of the new one, or the service refuses " +
			"them: int64 beyond 2^53 in JavaScript, fractions where there were integers.",
	},
	{
		ID: TimeFormatChanged, Name: "TIME_FORMAT_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "time is written in another way",
		Text:  "RFC 3339, days, durations and plain numbers do not parse as each other.",
	},
	{
		ID: TextFormatChanged, Name: "TEXT_FORMAT_CHANGED", Category: JSON, Severity: diagnostic.Error,
		Title: "text has another format",
		Text:  "Text of the one format is not valid in the other, such as uuid and base64.",
	},
	{
		ID: ClaimRemoved, Name: "CLAIM_REMOVED", Category: Security, Severity: diagnostic.Error,
		Title: "claim is required no longer",
		Text:  "More callers get in than before. No caller breaks; somebody has to have meant it.",
	},
	{
		ID: ClaimValueWidened, Name: "CLAIM_VALUE_WIDENED", Category: Security, Severity: diagnostic.Error,
		Title: "any value of a claim will do",
		Text:  "It had to be a certain one. More callers get in than before.",
	},
	{
		ID: EndpointBecamePublic, Name: "ENDPOINT_BECAME_PUBLIC", Category: Security, Severity: diagnostic.Error,
		Title: "endpoint requires no claims any more",
		Text:  "Everybody gets in.",
	},
	{
		ID: TimeoutShrank, Name: "TIMEOUT_SHRUNK", Category: Ops, Severity: diagnostic.Warning,
		Title: "timeout is shorter",
		Text:  "Calls that took longer than the new one fail with 504. An error if less than half is left.",
	},
	{
		ID: TimeoutGrew, Name: "TIMEOUT_GREW", Category: Ops, Severity: diagnostic.Info,
		Title: "timeout is longer",
		Text:  "Clients and proxies with shorter ones of their own leave before.",
	},
	{
		ID: IdleShrank, Name: "IDLE_SHRUNK", Category: Ops, Severity: diagnostic.Warning,
		Title: "streams may be silent for a shorter time",
		Text:  "Streams that pause for longer end.",
	},
	{
		ID: BodyLimitShrank, Name: "BODY_LIMIT_SHRUNK", Category: Ops, Severity: diagnostic.Error,
		Title: "request body may be less large",
		Text:  "Requests that were accepted get 413.",
	},
	{
		ID: BodyLimitGrew, Name: "BODY_LIMIT_GREW", Category: Ops, Severity: diagnostic.Info,
		Title: "request body may be larger",
		Text:  "What stands before the gateway may have a limit of its own, and the service needs the memory.",
	},
	{
		ID: AttemptsLowered, Name: "ATTEMPTS_LOWERED", Category: Ops, Severity: diagnostic.Warning,
		Title: "jobs are tried less often",
		Text:  "Jobs that succeeded late are dead before.",
	},
	{
		ID: LeaseShrank, Name: "LEASE_SHRUNK", Category: Ops, Severity: diagnostic.Warning,
		Title: "lease of a job is shorter",
		Text:  "An attempt that nobody hears of is given to another worker earlier, maybe while it runs.",
	},
	{
		ID: SLOLowered, Name: "SLO_LOWERED", Category: Ops, Severity: diagnostic.Warning,
		Title: "less is promised",
		Text:  "A smaller share of calls is to be answered well.",
	},
	{
		ID: SLORemoved, Name: "SLO_REMOVED", Category: Ops, Severity: diagnostic.Warning,
		Title: "nothing is promised any more",
		Text:  "The endpoint has no service level objective, and its alerts end.",
	},
	{
		ID: EndpointRemovedBeforeSunset, Name: "ENDPOINT_REMOVED_BEFORE_SUNSET", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "endpoint is gone before its sunset",
		Text:  "It is deprecated, and callers were told that it stays until the day of its sunset.",
	},
	{
		ID: StabilityDecreased, Name: "STABILITY_DECREASED", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "callers may rely on less",
		Text:  "stable, beta, experimental: what was promised cannot be taken back within a major version.",
	},
	{
		ID: DeprecatedWithoutSunset, Name: "DEPRECATED_WITHOUT_SUNSET", Category: Lifecycle, Severity: diagnostic.Warning,
		Title: "deprecated without a day",
		Text:  "Callers do not know how much time they have. Say sunset=YYYY-MM-DD.",
	},
	{
		ID: SunsetMovedEarlier, Name: "SUNSET_MOVED_EARLIER", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "sunset is earlier",
		Text:  "Callers have planned with the day that they were told.",
	},
	{
		ID: VersionNotBumped, Name: "VERSION_NOT_BUMPED", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "contract changed, version did not",
		Text: "Requests go to instances whose version equals the selected one: two contracts under one version get each " +
			"other's calls, and the gateway quarantines the later instance.",
	},
	{
		ID: MajorNotBumped, Name: "MAJOR_NOT_BUMPED", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "callers break within a major version",
		Text: "An error of the categories WIRE, HTTP, JSON or OPS, and a removal before its sunset, need another major " +
			"version; at 0.x another minor version.",
	},
	{
		ID: VersionDecreased, Name: "VERSION_DECREASED", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "version is lower than before",
		Text:  "Clients that take the highest version stay with the old one.",
	},
	{
		ID: PathParamRenamed, Name: "PATH_PARAM_RENAMED", Category: Go, Severity: diagnostic.Warning,
		Title: "path parameter has another name",
		Text:  "Requests are the same. A parameter or field of generated clients has another name.",
	},
	{
		ID: HandlerRenamed, Name: "HANDLER_RENAMED", Category: Go, Severity: diagnostic.Warning,
		Title: "handler has another name",
		Text: "Requests are the same. The method of generated clients, which is called like the handler, has another " +
			"name.",
	},
	{
		ID: TypeRenamed, Name: "TYPE_RENAMED", Category: Go, Severity: diagnostic.Warning,
		Title: "type has another name",
		Text:  "Requests are the same. A type of generated clients has another name.",
	},
	{
		ID: WaiverInvalid, Name: "WAIVER_INVALID", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "waiver is not whole",
		Text: "Every entry of stella.waivers.yaml has a rule, an endpoint, a fingerprint, a reason, an owner, and " +
			"until: a day (YYYY-MM-DD) that is at most 180 days ahead.",
	},
	{
		ID: WaiverExpired, Name: "WAIVER_EXPIRED", Category: Lifecycle, Severity: diagnostic.Error,
		Title: "waiver has expired",
		Text:  "It waives nothing any more. Mend what it waived, or decide anew, with a new day.",
	},
	{
		ID: WaiverUnused, Name: "WAIVER_UNUSED", Category: Lifecycle, Severity: diagnostic.Warning,
		Title: "waiver waives nothing",
		Text:  "What it waived is not found any more. Delete it, so that it does not hide something later.",
	},
	{
		ID: SLOSlowed, Name: "SLO_SLOWED", Category: Ops, Severity: diagnostic.Warning,
		Title: "more time is allowed",
		Text:  "Calls that were too late for the service level objective count as answered well.",
	},
}
