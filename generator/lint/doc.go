// Package lint judges services that code can be generated from: their paths, claims, limits, schemas and documentation.
//
// A rule is an entry of the table in rules.go with an id that never changes, a severity, a preset, and a function that looks
// at one endpoint, parameter, member or service. Rules look at the manifest where they can, because that is what callers
// see, and at the model of package scan for where something stands. They read no function bodies: what needs those is
// for package analyzer. //stella:ignore silences a finding; nothing is written, and nothing has to compile.
//
// Start reading at [Run], then at the table.
package lint
