// Package goclient writes a client of a service in Go, as one file that imports the standard library only: an interface
// with a method for each endpoint, an implementation over net/http, and a fake for tests. What is the same in all clients
// is in templates/goclient. Start at [Render].
package goclient
