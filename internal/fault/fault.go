// Package fault says which setting of a configuration an error is about, so that whoever has read the configuration can say
// where that stands. The parts that find the error know no file.
package fault

import (
	"errors"
	"strings"
)

// Error is something that is wrong with a setting. Its text is that of Err.
type Error struct {
	Setting string // its path in gateway.yaml, such as limits.rules[0].by
	Err     error
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is the error itself.
func (e *Error) Unwrap() error { return e.Err }

// At says that an error is about a setting, or about something below that; nil stays nil. What has been said closer to the error
// counts.
func At(setting string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{setting, err}
}

// Leaves are the errors that err joins, each with the setting that it is about, which may be empty. Nil joins none.
func Leaves(err error) []Error {
	if err == nil {
		return nil
	}
	return leaves(nil, "", err)
}

func leaves(all []Error, setting string, err error) []Error {
	if at, ok := err.(*Error); ok { //nolint:errorlint // this one, and not one that it wraps
		return leaves(all, at.Setting, at.Err)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts, texts := joined.Unwrap(), []string{}
		for _, part := range parts {
			texts = append(texts, part.Error())
		}
		if err.Error() == strings.Join(texts, "\n") { // else they are parts of one sentence
			for _, part := range parts {
				all = leaves(all, setting, part)
			}
			return all
		}
	}
	if at, ok := errors.AsType[*Error](err); ok {
		setting = at.Setting
	}
	return append(all, Error{setting, err})
}
