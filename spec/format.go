package spec

import (
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Formats are the values of Schema.Format that a handler's text may ask for, sorted. They are those of JSON Schema
// that have one meaning, and password, which asks for nothing but to be hidden on screens.
func Formats() []string {
	return []string{"date", "date-time", "email", "hostname", formatIPv4, "ipv6", "password", "time", "uri", "uuid"}
}

const formatIPv4 = "ipv4"

// HasFormat reports whether text is of a format. What is none of [Formats] is not checked: all text has it.
func HasFormat(format, text string) bool {
	switch format {
	case "date":
		return parses(time.DateOnly, text)
	case "date-time":
		return parses(time.RFC3339Nano, text)
	case "time":
		return parses("15:04:05Z07:00", text)
	case "email":
		a, err := mail.ParseAddress(text)
		return err == nil && a.Name == "" && a.Address == text
	case "hostname":
		return isHostname(text)
	case formatIPv4, "ipv6":
		ip, err := netip.ParseAddr(text)
		return err == nil && ip.Is4() == (format == formatIPv4) && ip.Zone() == ""
	case "uri":
		u, err := url.Parse(text)
		return err == nil && u.IsAbs()
	case "uuid":
		return isUUID(text)
	}
	return true
}

func parses(layout, text string) bool {
	_, err := time.Parse(layout, text)
	return err == nil
}

// isHostname is RFC 1123, section 2.1.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	return !slices.ContainsFunc(strings.Split(s, "."), func(label string) bool {
		return label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !isASCIILetter(r) && (r < '0' || r > '9') })
	})
}

func isASCIILetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// isUUID is RFC 9562, section 4: 8-4-4-4-12 hexadecimal digits.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, r := range s {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}
