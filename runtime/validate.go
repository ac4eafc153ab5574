package stella

import (
	"errors"
	"fmt"

	"github.com/stella-ops/router/spec"
)

// Validator is an input, or a struct within its body, that checks itself: what the tags of its fields cannot say.
// Generated code calls Validate once the value has been bound and has no fault, so that it sees nothing that breaks a
// constraint. What it returns is answered by 400: each of several [Faults], or the error's text as one fault. It must
// not hold what callers should not know.
type Validator interface{ Validate() error }

// Faults is an error that lists what is wrong with an input, for [Validator]. A pointer of its own is relative to the
// value that is checked.
type Faults []spec.Fault //nolint:errname,recvcheck // named for what it lists, as Error.Faults; what appends needs a pointer, an error does not

// Memberf adds a fault of a member of the body, by its JSON pointer (RFC 6901): /lines/0/count.
func (f *Faults) Memberf(pointer, format string, args ...any) {
	*f = append(*f, spec.Fault{In: spec.InBody, Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

// Queryf adds a fault of a query parameter.
func (f *Faults) Queryf(name, format string, args ...any) {
	*f = append(*f, spec.Fault{In: spec.InQuery, Parameter: name, Detail: fmt.Sprintf(format, args...)})
}

// Err is the faults as an error, and nil where there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

func (f Faults) Error() string {
	if len(f) == 0 {
		return "stella: no faults"
	}
	text := f[0].Parameter + f[0].Pointer + ": " + f[0].Detail
	if len(f) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(f)-1)
	}
	return text
}

// Validate has a handler's input check itself, unless a fault has been found. For generated code.
func (b *Binder) Validate(v Validator) {
	if b.failure == nil && len(b.faults) == 0 {
		b.refused(v.Validate())
	}
}

// ValidateMember has a struct within the body check itself, unless a fault has been found in it. The input as a whole is
// left to Validate. For generated code.
func (b *Binder) ValidateMember(v Validator) {
	if b.clean && len(b.path) > 0 {
		b.refused(v.Validate())
	}
}

// refused reports what a value says is wrong with it.
func (b *Binder) refused(err error) {
	if err == nil {
		return
	}
	faults := []spec.Fault(nil)
	if list, ok := errors.AsType[Faults](err); ok {
		faults = list
	} else if e, ok := errors.AsType[*Error](err); ok && e != nil {
		faults = e.Faults
		if len(faults) == 0 && e.Message != "" {
			faults = Faults{{Detail: e.Message}}
		}
	}
	if len(faults) == 0 {
		faults = Faults{{Detail: err.Error()}}
	}
	for _, f := range faults {
		switch {
		case f.In == "" && f.Parameter == "" && !hasBody(b.request.Method):
			f.In = spec.InQuery
		case f.In == "" || f.In == spec.InBody:
			f.In, f.Pointer = spec.InBody, b.pointer()+f.Pointer
		}
		b.add(f)
	}
}

// hasBody reports whether requests with this method have a body that is bound.
func hasBody(method string) bool { return method != "GET" && method != "HEAD" && method != "DELETE" }
