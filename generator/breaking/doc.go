// Package breaking compares two manifests of a service and says what of the difference its callers, its operators or its
// security would notice. It reads contracts, never source, and knows nothing about where they come from.
//
// What can be found is the table in rules.go. [Compare] finds it, for every rule; [Review] is what the command does with
// it: it selects rules, applies waivers, and gives advice about the version. Directions matter: a request field that
// becomes optional harms nobody, a response field that does is missed. Start reading at [Compare].
package breaking
