// Package model has what lint finds, and fixes.
//
//stella:service model version=1.0.0 owner=fixtures
package model

import "context"

// In is the input.
type In struct {
	Name  string `minLength:"1"` // want `STL1008: field Name has no JSON name`
	Title string // want `STL1008: field Title has no JSON name`
}

// want +4 `STL1407: PUT /things is not idempotent`

// Put puts it.
//
//stella:endpoint PUT /things
//stella:claim scope model:write
func Put(context.Context, *In) error { return nil }

// want +4 `STL0026: stella:ignore STL1001 silences nothing`

// Get gets it.
//
//stella:ignore STL1001 it was different once
//stella:endpoint GET /things
//stella:claim scope model:read
func Get(context.Context) error { return nil }
