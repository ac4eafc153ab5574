package scaffold

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
)

// Endpoint is an endpoint that begins.
type Endpoint struct {
	Method   string
	Path     string // a pattern that is valid
	Package  string // name of the handler's package
	Receiver string // as Go writes it, without a name: *Service; empty for a function
	Name     string // of the handler; empty: HandlerName
	Claims   []string
	Public   string // why there are no claims
}

// field is one of a request.
type field struct{ Name, Tag string }

// HandlerName is what a handler is called unless its author says: GetInvoicesByID.
func HandlerName(method string, p spec.Pattern) string {
	words := []string{exported(strings.ToLower(method))}
	for _, segment := range p.Segments {
		if segment.Param != "" {
			words = append(words, "By"+exported(segment.Param))
		} else {
			words = append(words, exported(segment.Literal))
		}
	}
	if len(p.Segments) == 0 {
		words = append(words, "Root")
	}
	return strings.Join(words, "")
}

// exported makes an exported Go name of text: ID of id, InvoiceLines of invoice-lines.
func exported(text string) string {
	var name strings.Builder
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		switch strings.ToLower(word) {
		case "id", "url", "api", "http":
			name.WriteString(strings.ToUpper(word))
		default:
			first, size := utf8.DecodeRuneInString(word)
			name.WriteString(string(unicode.ToUpper(first)) + word[size:])
		}
	}
	return name.String()
}

// File is the handler's file.
func (e Endpoint) File() ([]byte, error) {
	p, err := spec.ParsePattern(e.Path)
	if err != nil {
		return nil, err
	}
	if e.Name == "" {
		e.Name = HandlerName(e.Method, p)
	}
	data := struct {
		Endpoint

		Fields []field
		Result bool
		Echo   string // a field of the request that the answer repeats
		Public string
	}{Endpoint: e, Result: e.Method != http.MethodHead && e.Method != http.MethodOptions}
	taken := map[string]bool{}
	for _, param := range p.Params() {
		name := exported(param)
		for name == "" || taken[name] || name[0] >= '0' && name[0] <= '9' {
			name = "P" + name
		}
		taken[name] = true
		data.Fields = append(data.Fields, field{name, "path:" + strconv.Quote(param)})
	}
	if e.Method == http.MethodPost || e.Method == http.MethodPut || e.Method == http.MethodPatch {
		name := "Text"
		for taken[name] {
			name += "Body"
		}
		data.Fields = append(data.Fields, field{name, `json:"text"`})
	}
	if n := len(data.Fields); n > 0 && data.Result {
		data.Echo = data.Fields[n-1].Name
	}
	if e.Public != "" {
		data.Public = strconv.Quote(e.Public)
	}
	return render("handler.go.tmpl", data)
}
