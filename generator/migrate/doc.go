// Package migrate reads the routes of an HTTP service that is to become a Stella service, and writes what makes them
// endpoints: directives above handlers, or a bridge that serves the whole router.
//
// It executes, in the abstract, what a program does until it serves: it makes routers, groups and mounts them, and passes
// them on. Values are constants, routers, functions, structs and lists; everything else is unknown. Both branches of a
// condition are taken. Types tell what is a router, by the path of its package: net/http, chi, gin and echo.
//
// No route may be missed silently. Before anything is executed, all calls of registering methods are listed; whatever has not
// become a route in the end is reported with its place and a reason.
//
// It must never change what it does not understand, and it writes nothing by itself: a [Plan] has the files as they
// should be.
//
// Start reading at [Read]; interp.go executes functions, statement.go and eval.go what they consist of, register.go the calls
// of routers; flatten.go makes routes of them, pattern.go their paths, plan.go decides what is written.
package migrate
