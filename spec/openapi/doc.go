// Package openapi writes what manifests say of their endpoints as OpenAPI documents, 3.1 and 3.0.3, and as JSON Schema.
// It is for those who call a service: what a manifest has and OpenAPI has no word for stands in extensions, which begin
// with x-stella-.
//
// Documents are canonical: the same manifests give the same bytes. Every manifest that passes [spec.ParseManifest] can be
// written, whatever is in it: schemas that contain themselves, or refer to nothing but themselves, do no harm.
//
// Start reading at [Document], then at operation.go for one endpoint and at schema.go for its types.
package openapi
