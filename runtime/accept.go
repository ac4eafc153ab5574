package stella

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// AcceptsSequence reports whether the caller takes one of the formats of [SendSequence]: the error is an *[Error] with
// status 406 and code not_acceptable. Generated code asks before it binds and calls the handler, so that a request
// that cannot be answered has no effect.
func AcceptsSequence(r *Request) error {
	_, err := acceptedFormat(r)
	return err
}

// acceptedFormat is the format of a sequence that the caller likes best: by quality, then by being named rather than
// covered by a wildcard, then NDJSON.
func acceptedFormat(r *Request) (*sequenceFormat, error) {
	fields := r.Header.Values("Accept")
	if strings.Trim(strings.Join(fields, ""), " \t,") == "" {
		return &ndjson, nil
	}
	lines, events := prefer(fields, ndjson.mediaType), prefer(fields, eventStream.mediaType)
	switch {
	case lines.quality == 0 && events.quality == 0:
		return nil, NewError(http.StatusNotAcceptable, "not_acceptable",
			fmt.Sprintf("The answer is a stream as %s or %s, and the Accept header allows neither.", ndjson.mediaType, eventStream.mediaType))
	case events.quality > lines.quality, events.quality == lines.quality && events.precision > lines.precision:
		return &eventStream, nil
	}
	return &ndjson, nil
}

// preference is what an Accept header says of one media type.
type preference struct {
	quality   int // thousandths; 0 is not acceptable
	precision int // of the media range that said so
}

// How precise a media range is. The most precise one that matches counts (RFC 9110, section 12.5.1).
const (
	unmentioned = iota
	anyType
	anySubtype
	exactType
)

// prefer reads what Accept says of a media type. Parameters other than q do not count, since the formats have none;
// elements that are not well-formed are passed over.
func prefer(fields []string, mediaType string) preference {
	kind, _, _ := strings.Cut(mediaType, "/")
	var best preference
	for _, field := range fields {
		for field != "" {
			var element string
			element, field = cutElement(field)
			name, params, err := mime.ParseMediaType(element)
			if err != nil {
				continue
			}
			var p preference
			switch name {
			case mediaType:
				p.precision = exactType
			case kind + "/*":
				p.precision = anySubtype
			case "*/*":
				p.precision = anyType
			default:
				continue
			}
			q, given := params["q"]
			if p.quality = parseQuality(q); !given {
				p.quality = maxQuality
			}
			if p.quality >= 0 && (p.precision > best.precision || p.precision == best.precision && p.quality > best.quality) {
				best = p
			}
		}
	}
	return best
}

// cutElement cuts a list at its first comma outside of a quoted string (RFC 9110, section 5.6.1).
func cutElement(list string) (element, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

const maxQuality = 1000

// parseQuality reads a weight (RFC 9110, section 12.4.2) in thousandths; -1 is none.
func parseQuality(q string) int {
	whole, digits, _ := strings.Cut(q, ".")
	if whole != "0" && whole != "1" || len(digits) > 3 {
		return -1
	}
	n, err := strconv.ParseUint(whole+(digits + "000")[:3], 10, 16)
	if err != nil || n > maxQuality {
		return -1
	}
	return int(n)
}
