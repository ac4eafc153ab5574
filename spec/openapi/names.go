package openapi

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/stella-ops/router/spec"
)

// names gives names that are told apart: how many were given of each.
type names map[string]int

// unique is want, or want with a number behind it where it is taken.
func (n names) unique(want string) string {
	name := want
	for n[name] > 0 {
		n[want]++
		name = want + "_" + strconv.Itoa(n[want])
	}
	n[name] = 1
	return name
}

// componentName keeps of a schema's name what OpenAPI allows in keys of components.
func componentName(name string) string {
	return strings.Map(func(r rune) rune {
		if letterOrDigit(r) || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
}

func letterOrDigit(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// operationIDs are the operationIds of endpoints, in their order: the handler's function, createInvoice. What several
// endpoints would share is told apart by the receiver, then by the package, then by method and path: by what the
// endpoint itself says, so that an id stays when endpoints are added or moved.
func operationIDs(endpoints []spec.Endpoint) []string {
	ids := make([]string, len(endpoints))
	taken := names{jobID: 1, jobResultID: 1} // the gateway answers those
	open := len(endpoints)
	for level := 0; open > 0; level++ {
		wanted := make(map[string]int, open)
		for i := range endpoints {
			if ids[i] == "" {
				wanted[operationID(&endpoints[i], level)]++
			}
		}
		for i := range endpoints {
			if ids[i] != "" {
				continue
			}
			id := operationID(&endpoints[i], level)
			if level <= lastLevel && (id == "" || wanted[id] > 1 || taken[id] > 0) {
				continue
			}
			ids[i] = taken.unique(id)
			open--
		}
	}
	return ids
}

// lastLevel is the one that names method and path. Behind it numbers tell endpoints apart.
const lastLevel = 3

// operationID is an endpoint's id at a level of telling apart.
func operationID(e *spec.Endpoint, level int) string {
	path := e.Handler[:strings.LastIndexByte(e.Handler, '/')+1]
	parts := strings.Split(e.Handler[len(path):], ".") // package, receiver and function; the last, or two, alone
	switch level {
	case 0:
		parts = parts[len(parts)-1:]
	case 1:
		parts = parts[max(0, len(parts)-2):]
	case 2: // with the package
	default:
		parts = append([]string{strings.ToLower(e.Method)}, strings.Split(e.Path, "/")...)
	}
	return camel(parts)
}

// camel joins the words of parts: createInvoice. Initials that stand together become small together: getURL, urlOf.
func camel(parts []string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(strings.Join(parts, " "), func(r rune) bool { return !letterOrDigit(r) }) {
		if b.Len() == 0 {
			b.WriteString(lowerFirst(word))
		} else {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

func lowerFirst(word string) string {
	capitals := 0
	for capitals < len(word) && unicode.IsUpper(rune(word[capitals])) {
		capitals++
	}
	if capitals > 1 && capitals < len(word) && unicode.IsLower(rune(word[capitals])) {
		capitals-- // the last one begins the next word
	}
	return strings.ToLower(word[:capitals]) + word[capitals:]
}
