package stella

import (
	"fmt"
	"slices"
)

// SendResult answers with a result as JSON under the status that it chooses, one of those that the endpoint declares;
// 0 is the first of them. A status without a body gets none. For generated code.
func SendResult(w *Response, result any, chosen int, declared ...int) error {
	if chosen == 0 {
		chosen = declared[0]
	}
	if !slices.Contains(declared, chosen) {
		return fmt.Errorf("stella: the result chose status %d, and the endpoint declares %v: add it to status=", chosen, declared)
	}
	if !bodyAllowed(chosen) {
		return w.Empty(chosen)
	}
	return w.JSON(chosen, result)
}
