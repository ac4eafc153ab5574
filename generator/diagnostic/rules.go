package diagnostic

import (
	"slices"
	"strings"
)

// ID names a rule. It never changes its meaning, and is never used again. STL0001 to STL0999 are about input that
// nothing can be generated from, STL1001 to STL1999 are lint's, STL2001 to STL2999 are those of breaking changes.
type ID string

// IsLint reports whether the id is of the range that lint's rules have.
func (id ID) IsLint() bool {
	rest, ok := strings.CutPrefix(string(id), "STL1")
	return ok && len(rest) == 3 && strings.Trim(rest, "0123456789") == ""
}

// The rules.
const (
	Unreadable        ID = "STL0001"
	Pattern           ID = "STL0002"
	LookAlike         ID = "STL0003"
	UnknownDirective  ID = "STL0004"
	Misplaced         ID = "STL0005"
	DuplicateDirect   ID = "STL0006"
	Syntax            ID = "STL0007"
	UnknownKey        ID = "STL0008"
	DuplicateKey      ID = "STL0009"
	BadValue          ID = "STL0010"
	MissingArgument   ID = "STL0011"
	NotSupportedYet   ID = "STL0012"
	NoService         ID = "STL0013"
	Authorization     ID = "STL0014"
	SameEndpoint      ID = "STL0015"
	HandlerShape      ID = "STL0016"
	HandlerPlace      ID = "STL0017"
	PathField         ID = "STL0018"
	UntaggedField     ID = "STL0019"
	NearTag           ID = "STL0020"
	BadTag            ID = "STL0021"
	FieldType         ID = "STL0022"
	UnresolvedType    ID = "STL0023"
	Collision         ID = "STL0024"
	ResultHeader      ID = "STL0025"
	BadIgnore         ID = "STL0026"
	ForeignFile       ID = "STL0027"
	NoEndpoints       ID = "STL0028"
	OrphanedDirective ID = "STL0029"
	UnknownService    ID = "STL0030"
	ServiceClash      ID = "STL0031"
	SomeMachines      ID = "STL0032"
	Streaming         ID = "STL0033"
	Queueing          ID = "STL0034"
	BadConstraint     ID = "STL0035"
	BadErrorType      ID = "STL0036"
	YAMLSyntax        ID = "STL0040"
	OverrideKey       ID = "STL0041"
	OverrideValue     ID = "STL0042"
	OverrideUnknown   ID = "STL0043"
	OverrideLoosens   ID = "STL0044"
	OverridePlace     ID = "STL0045"

	MissingFile  ID = "STL0060"
	OutdatedFile ID = "STL0061"
	OrphanedFile ID = "STL0062"
)

// Rule is one thing that can be wrong.
type Rule struct {
	ID        ID
	Name      string   // what it is called beside its id, such as ENDPOINT_REMOVED; may be empty
	Category  string   // may be empty
	Severity  Severity // of its findings
	Title     string
	Ignorable bool // //stella:ignore may silence it
	Text      string
}

// Rules returns the rules about input that nothing can be generated from, sorted by id. Lint and breaking have their own.
func Rules() []Rule { return slices.Clone(rules) }

// Find returns the rule with this id.
func Find(id ID) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}

var rules = []Rule{
	{ID: Unreadable, Title: "source cannot be read", Text: "A file with directives has a syntax error, or could not be " +
		"opened. The generator reads declarations only: function bodies may be wrong, and names that generated code " +
		"will declare may be missing."},
	{ID: Pattern, Title: "package pattern matches nothing", Text: "A pattern on the command line names no package of this " +
		"module, or the go command cannot list packages, for the reason given. Patterns are those of the go command, such as " +
		"./... or ./billing, from the working directory."},
	{ID: LookAlike, Title: "looks like a directive, but is none", Text: "A directive is a line comment that begins exactly " +
		"with //stella: and a lower-case name, without spaces or a plus sign. To Go, anything else is prose: it would be " +
		"ignored without a word."},
	{ID: UnknownDirective, Title: "unknown directive", Text: "There is no directive of this name."},
	{ID: Misplaced, Title: "directive in the wrong place", Text: "service and part stand in the package's doc comment; endpoint, " +
		"with, claim and public stand in the doc comment of a top-level function or method. A blank line between comment " +
		"and declaration detaches it. Files with build constraints, cgo files and _test.go files may hold none: what is " +
		"generated must not depend on the machine."},
	{ID: DuplicateDirect, Title: "directive given twice", Text: "Only with, claim and ignore may stand several times on one " +
		"declaration. A package has one service or part directive."},
	{ID: Syntax, Title: "malformed arguments", Text: "Arguments are separated by spaces. A value with spaces or commas is " +
		"quoted as in Go: key=\"a b\" or key=`a b`. A directive is one line."},
	{ID: UnknownKey, Title: "unknown key", Text: "The directive has no key or flag of this name."},
	{ID: DuplicateKey, Title: "key given twice", Text: "A key stands once, be it on the endpoint or on one of its with lines."},
	{ID: BadValue, Title: "value of the wrong form", Text: "Durations have a unit (30s, 1m30s), sizes too (64KiB, 10MB, 1GiB), " +
		"versions are strict semver (1.4.0), methods are upper case, and paths are net/http patterns without subtrees."},
	{ID: MissingArgument, Title: "argument missing", Text: "The directive needs an argument that is not there."},
	{ID: NotSupportedYet, Title: "not supported yet", Text: "The design has it, this version of the generator does not. It is " +
		"refused instead of being ignored."},
	{ID: NoService, Title: "endpoints without a service", Text: "A package with endpoints says which service they belong to, in " +
		"its package doc comment: //stella:service NAME version=1.0.0, or //stella:part of=NAME if another package of the " +
		"module holds the service's manifest."},
	{ID: Authorization, Title: "neither claims nor public, or both", Text: "An endpoint lists the claims its callers must hold, " +
		"one //stella:claim TYPE [VALUE] each, or says why it needs none: //stella:public \"why\"."},
	{ID: SameEndpoint, Title: "two handlers for one endpoint", Text: "Method and path are an endpoint's identity. The names of " +
		"path parameters do not count: /x/{id} and /x/{key} are one."},
	{ID: HandlerShape, Title: "not a handler's signature", Text: "Handlers are func(context.Context, *In) (*Out, error), either of " +
		"In and Out left out; func(context.Context, *In) (iter.Seq2[T, error], error), with or without In; " +
		"func(context.Context, *stella.Request, *stella.Response) error; or func(http.ResponseWriter, *http.Request)."},
	{ID: HandlerPlace, Title: "not a place for a handler", Text: "A handler is a top-level function, or a method of a type of the " +
		"same package, without type parameters."},
	{ID: PathField, Title: "path parameters and fields disagree", Text: "Every {name} of the path needs a field tagged " +
		"path:\"name\" in the handler's input, and the other way round."},
	{ID: UntaggedField, Title: "field without a place in the request", Text: "GET, HEAD and DELETE have no body. Every exported " +
		"field of their input is tagged path, query or header."},
	{ID: NearTag, Title: "tag key is probably misspelt", Ignorable: true, Text: "A tag key differs from one of the generator's " +
		"keys by a letter or two. It would be ignored without a word."},
	{ID: BadTag, Title: "tag of the wrong form", Text: "A field has at most one of path, query and header, with a name; a field " +
		"that is bound to one of them has no JSON name; required is true or false."},
	{ID: FieldType, Title: "type that cannot be bound", Text: "Parameters are text, numbers, booleans, times, durations, types " +
		"with UnmarshalText, pointers to these, and for query and header slices of these. Body fields are what " +
		"encoding/json decodes."},
	{ID: UnresolvedType, Title: "type cannot be resolved", Text: "A type that an endpoint's signature reaches is not declared, or " +
		"its package cannot be read. Errors elsewhere are left to the compiler."},
	{ID: Collision, Title: "name collides with generated code", Text: "The generator declares Handlers, Endpoints and, beside " +
		"stella:service, Manifest in the handlers' package, and uses Go's predeclared names there. Tests and files for other " +
		"machines count, too."},
	{ID: ResultHeader, Title: "header field of a result is also JSON", Text: "A result's field tagged header travels as a header " +
		"field. Tag it json:\"-\" too, so that it is left out of the body."},
	{ID: BadIgnore, Title: "ignore without effect", Text: "//stella:ignore STL0020 reason names a rule that can be ignored, says " +
		"why, and stands on the declaration that has the finding. The reason may end with until=2027-01-31, the last day on " +
		"which the ignore counts, and owner=NAME."},
	{ID: ForeignFile, Title: "file in the way", Text: "stella_gen.go exists and is not the generator's: it lacks the header of " +
		"generated code. Rename it."},
	{ID: NoEndpoints, Title: "service without endpoints", Text: "A package says that it is a service, and neither it nor a " +
		"part has an endpoint; or a part has none."},
	{ID: OrphanedDirective, Title: "directive without an endpoint", Text: "with, claim and public refine the endpoint directive of " +
		"the same doc comment; there is none."},
	{ID: UnknownService, Title: "part of an unknown service", Text: "//stella:part of=NAME needs a package of the same module " +
		"that says //stella:service NAME."},
	{ID: ServiceClash, Title: "service declared twice", Text: "One package of a module holds a service's manifest and says " +
		"//stella:service NAME; its other packages say //stella:part of=NAME. No package says both."},
	{ID: SomeMachines, Title: "declared for some machines only", Text: "A handler's receiver, or a type that its signature " +
		"reaches, is declared in a file with build constraints or cgo. What is generated must not depend on the machine."},
	{ID: Streaming, Title: "stream contradicts the handler", Text: "A handler that returns iter.Seq2 streams its response and " +
		"nothing else; other typed handlers have bodies that are held whole; GET, HEAD and DELETE have no request body to " +
		"stream, and HEAD no response body. Raw and net/http handlers choose: stream=request, response, both or none."},
	{ID: Queueing, Title: "delivery contradicts the endpoint", Text: "With delivery=queue calls are jobs, which wait, and may run " +
		"more than once. Such an endpoint is idempotent, and a POST, PUT, PATCH or DELETE; it streams nothing, takes bodies of " +
		"at most 4MiB, and its timeout is no longer than its lease. attempts and lease are said of jobs alone."},
	{ID: BadConstraint, Title: "constraint that does not fit", Text: "The tags of JSON Schema are checked here, because a request " +
		"could never satisfy a constraint that is wrong: each fits the field's type, numbers are plain decimals, a pattern is RE2, " +
		"bounds leave something between them, and the values of enum and default satisfy the other constraints."},
	{ID: BadErrorType, Title: "not an error type of the package", Text: "errors=NotFound:404 names a type of the handler's package, " +
		"not generic, which has a method Error() string, or whose pointers have. A net/http handler answers with its errors itself."},
	{ID: YAMLSyntax, Title: "not strict YAML", Text: "stella.yaml is one document of at most 1MiB that is not empty. Keys stand once; " +
		"aliases, anchors, merge keys and tags are refused, so that every value is read where it stands."},
	{ID: OverrideKey, Title: "unknown key in stella.yaml", Text: "stella.yaml has the keys service, defaults and endpoints. Below " +
		"endpoints stand endpoints of the service as \"METHOD /path\", each once, and below them the keys that refine one. What " +
		"a handler does is said in the code alone: status, errors, idempotent, delivery, and that an endpoint is public."},
	{ID: OverrideValue, Title: "value of the wrong form in stella.yaml", Text: "Values have the form that they have in directives: " +
		"durations and sizes with their units. tags and claims are lists; a claim is TYPE or TYPE VALUE."},
	{ID: OverrideUnknown, Title: "override of an unknown endpoint", Text: "An entry below endpoints names a method and path that no " +
		"handler of the service serves. The names of path parameters do not count."},
	{ID: OverrideLoosens, Title: "override is looser than the code", Text: "stella.yaml may tighten what a directive says, not loosen " +
		"it: claims stay or become narrower, times and sizes become no longer and no larger. What the code leaves to a default " +
		"may be set either way."},
	{ID: OverridePlace, Title: "stella.yaml in the wrong place", Text: "The overrides of a service stand in a file stella.yaml beside the " +
		"package that says //stella:service, for its parts too."},
	{ID: MissingFile, Title: "generated file is missing", Text: "A package has directives, and a file that is generated from them " +
		"is not there. It is made by go tool stellagen generate, and belongs in the repository: what is reviewed is what runs."},
	{ID: OutdatedFile, Title: "generated file is not current", Text: "A generated file differs from what the generator makes of the " +
		"source, be it that the source changed or that the file was edited. go tool stellagen generate mends it; stellagen check " +
		"--diff shows the difference."},
	{ID: OrphanedFile, Title: "generated file is left over", Text: "The package of a generated file has no directives any more, or " +
		"its manifest is now part of another package's. go tool stellagen generate removes it."},
}
