package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/stella-ops/router/internal/spelling"
)

// variablePrefix begins the name of every variable that is Stella's.
const variablePrefix = "STELLA_"

// commandVariables are those that no setting has and the command reads.
var commandVariables = []string{"STELLA_CONFIG", "STELLA_ADMIN_TOKEN"}

// serviceVariables are those that only a service reads (package runtime has them): gateways and services often share an
// environment.
var serviceVariables = []string{
	"STELLA_GATEWAYS", "STELLA_INSTANCE_ID", "STELLA_JOBS", "STELLA_LEASE", "STELLA_MAX_AGE", "STELLA_OVERLAY",
}

// UnknownVariable is one of the environment that looks like Stella's and is not: most often a known one misspelt, and then what
// its setter wanted does not happen.
type UnknownVariable struct{ Name, Nearest string } // Nearest is the one that was probably meant; empty: none is near

// UnknownVariables finds them among NAME=VALUE.
func UnknownVariables(environment []string) (unknown []UnknownVariable) {
	known := slices.Concat(variables(reflect.TypeFor[File](), ""), commandVariables)
	words := make([]string, len(known)) // without what all of them have, which would make each near
	for i := range known {
		words[i] = strings.TrimPrefix(known[i], variablePrefix)
	}
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		word, ours := strings.CutPrefix(name, variablePrefix)
		if !ours || slices.Contains(known, name) || slices.Contains(serviceVariables, name) {
			continue
		}
		v := UnknownVariable{Name: name}
		if near := spelling.Suggest(word, words); near != "" {
			v.Nearest = variablePrefix + near
		}
		unknown = append(unknown, v)
	}
	return unknown
}

// variables are the names of those that settings have.
func variables(t reflect.Type, path string) (names []string) {
	list := settingsOf(t, path)
	for i := range list {
		s := &list[i]
		at := join(path, s.key)
		switch {
		case shapeOf(s.typ).flat():
			names = append(names, s.variable(at))
		case s.typ.Kind() == reflect.Struct:
			names = append(names, variables(s.typ, at)...)
		}
	}
	return names
}
