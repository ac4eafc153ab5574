// Package stella has what fixtures need of the runtime's types.
package stella

import "context"

type Header []struct{ Name, Value string }

func (h Header) Get(string) string      { return "" }
func (h Header) Has(string) bool        { return false }
func (h Header) Values(string) []string { return nil }

type Request struct{ Header Header }

type Response struct{}

func RequestFromContext(context.Context) *Request { return nil }
