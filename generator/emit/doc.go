// Package emit writes what the generator has found: the Go file beside the handlers, and the manifest.
//
// It decides nothing about the service and reports no findings; a model that comes here is right. The same model gives
// the same bytes on every machine. Start reading at [Manifest] and [Source].
package emit
