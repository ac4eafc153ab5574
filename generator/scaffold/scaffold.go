// Package scaffold writes the first files of a service, and of an endpoint: they compile and run as they are.
package scaffold

import (
	"bytes"
	"fmt"
	"go/format"
	"text/template"

	"github.com/stella-ops/router/templates"
)

// RouterModule is the module that services link.
const RouterModule = "github.com/stella-ops/router"

// Service is a service that begins.
type Service struct {
	Name   string // of the service
	Module string // its module's path
}

// Files are the files of the service, by their slashed names.
func (s Service) Files() (map[string][]byte, error) {
	data := struct{ Service, Module, Router string }{s.Name, s.Module, RouterModule}
	files := map[string][]byte{}
	for name, source := range map[string]string{
		"main.go": "main.go.tmpl", "generate.go": "generate.go.tmpl", "api/api.go": "api.go.tmpl", "api/api_test.go": "api_test.go.tmpl",
	} {
		content, err := render(source, data)
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	return files, nil
}

// render makes a Go file of a template.
func render(source string, data any) ([]byte, error) {
	t, err := template.ParseFS(templates.FS, "scaffold/"+source)
	if err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	formatted, err := format.Source(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("scaffold: %s: %w", source, err)
	}
	return formatted, nil
}
