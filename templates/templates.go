// Package templates holds the text templates of artifacts and scaffolds that are not generated Go. Each user has a
// folder of its own.
package templates

import "embed"

// FS has the templates.
//
//go:embed README.md goclient httpfile monitoring reference scaffold tsclient
var FS embed.FS
