package stella

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/stella-ops/router/spec"
)

// answerRoom is what a held body has room for, in bytes: some more than a small answer, so that a reader which ends
// right at the limit is seen to end.
const answerRoom = spec.MaxInlineBody + 512

// maxKept bounds the buffers that are kept for further answers, in bytes.
const maxKept = 64 << 10

// answer holds the body of an answer until it is known whether it is a small one. It carries its own JSON encoder:
// this file and the object walker of generated code are the only ones that know which JSON library is used.
type answer struct {
	bytes.Buffer

	enc *json.Encoder
}

var answers = sync.Pool{New: func() any {
	a := new(answer)
	a.Grow(answerRoom)
	a.enc = json.NewEncoder(&a.Buffer)
	a.enc.SetEscapeHTML(false)
	return a
}}

func newAnswer() *answer {
	a, _ := answers.Get().(*answer)
	return a
}

// release gives the buffer back. A nil answer is allowed.
func (a *answer) release() {
	if a == nil || a.Cap() > maxKept {
		return
	}
	a.Reset()
	answers.Put(a)
}

// encode appends v as JSON, without the line feed that the library ends with.
func (a *answer) encode(v any) error {
	if err := a.enc.Encode(v); err != nil {
		return fmt.Errorf("stella: encoding %T as JSON: %w", v, err)
	}
	a.Truncate(a.Len() - 1)
	return nil
}
