// Package tsclient writes a client of a service in TypeScript, as one file without dependencies: a class with a method for
// each endpoint, over the platform's fetch. What is the same in all clients is in templates/tsclient. Start at [Render].
package tsclient
