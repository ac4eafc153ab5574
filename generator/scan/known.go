package scan

// known are the few declarations of packages that nearly every service names. They save reading those packages: only
// the names, the kinds and the decoding methods of these types matter here. A name that is missing is looked up in
// the real package.
var known = map[string]string{
	"context":       `package context; type Context interface{ Err() error }`,
	"iter":          `package iter; type Seq[V any] func(yield func(V) bool); type Seq2[K, V any] func(yield func(K, V) bool)`,
	"net/http":      `package http; type ResponseWriter interface{ Write([]byte) (int, error) }; type Request struct{}`,
	"encoding/json": `package json; type RawMessage []byte; func (*RawMessage) UnmarshalJSON([]byte) error; type Number string`,
	"time": `package time; type Duration int64; type Time struct{}
func (Time) MarshalJSON() ([]byte, error)
func (*Time) UnmarshalJSON([]byte) error
func (Time) MarshalText() ([]byte, error)
func (*Time) UnmarshalText([]byte) error`,
	RuntimePath: `package stella; type Request struct{}; type Response struct{}; type File struct{}
type Optional[T any] struct{ value T }
type Event[T any] struct{ data T }`,
}
