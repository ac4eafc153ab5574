package stella

import (
	"net/http"
	"strconv"
	"time"
)

// SetString sets a header field of the answer, unless the value is empty. For generated code, as are the other Set
// functions: they serve the fields of a result that are tagged header, and leave zero values out.
func SetString[T ~string](w *Response, name string, value T) {
	if value != "" {
		w.Header().Set(name, string(value))
	}
}

// SetInt sets a header field of the answer to a decimal integer, unless it is zero.
func SetInt[T signed](w *Response, name string, value T) {
	if value != 0 {
		w.Header().Set(name, strconv.FormatInt(int64(value), 10))
	}
}

// SetUint sets a header field of the answer to a decimal integer, unless it is zero.
func SetUint[T unsigned](w *Response, name string, value T) {
	if value != 0 {
		w.Header().Set(name, strconv.FormatUint(uint64(value), 10))
	}
}

// SetBool sets a header field of the answer to true, unless it is false.
func SetBool[T ~bool](w *Response, name string, value T) {
	if value {
		w.Header().Set(name, "true")
	}
}

// SetStrings adds a header field of the answer for each value.
func SetStrings[S ~[]T, T ~string](w *Response, name string, values S) {
	for _, v := range values {
		w.Header().Add(name, string(v))
	}
}

// SetTime sets a header field of the answer to an HTTP date (RFC 9110, section 5.6.7), unless the time is zero.
func SetTime(w *Response, name string, value time.Time) {
	if !value.IsZero() {
		w.Header().Set(name, value.UTC().Format(http.TimeFormat))
	}
}
