package config

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/coding"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// formats are what a text may have to be: what people should write, and the check.
var formats = map[string]struct {
	want    string
	pattern string // as much of it as a JSON Schema can say
	check   func(string) error
}{
	"address":  {"host:port, such as 127.0.0.1:8080", `:[0-9]+$`, checkAddress},
	"socket":   {"host:port or unix:///path", `(:[0-9]+|^unix:///.+)$`, checkSocket},
	"broker":   {"the URL of a broker, such as valkey://127.0.0.1:6379", `^[a-z][a-z0-9+.-]*://`, checkURL},
	"store":    {"the URL of a Valkey or Redis server, such as valkey://127.0.0.1:6379", `^(valkeys?|rediss?)://`, checkStore},
	"url":      {"a URL, such as tcp://127.0.0.1:5100", `^[a-z][a-z0-9+.-]*://`, checkURL},
	"http":     {"an http or https URL, such as http://127.0.0.1:4318", `^https?://`, checkHTTP},
	"server":   {"http or https and a host, such as http://127.0.0.1:9000", `^https?://`, checkHTTP},
	"media":    {"a media type, such as application/json, or text/*", `^[^/]+/[^/]+$`, checkMedia},
	"network":  {"a network, such as 10.0.0.0/8", `/[0-9]+$`, checkNetwork},
	"file":     {"the name of a file", `\S`, checkFile},
	"service":  {"the name of a service", `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`, spec.CheckService},
	"version":  {"a version, exactly, such as 1.4.0", `^[0-9]+\.[0-9]+\.[0-9]+`, checkVersion},
	"grant":    {"a claim and its value, such as scope orders:read", `^\S+ \S`, checkGrant},
	"reserved": {"a header field that never reaches services, such as Stella-Tenant or X-Tenant-Id", `^[A-Za-z0-9-]+$`, checkReserved},
	"endpoint": {"a method and a path, such as POST /invoices", `^[A-Z]+ /`, checkEndpoint},
	"claim":    {"a claim, such as scope orders:read", `^\S`, checkClaim},
	"pattern":  {"a path, such as /books, /books/{id} or /books/{rest...}", `^/`, checkPattern},
	"path":     {"a path without parameters, such as /invoices", `^/`, checkPath},
}

func checkAddress(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q", port)
	}
	return nil
}

func checkSocket(text string) error {
	if path, ok := strings.CutPrefix(text, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return errors.New("a path from the root is expected")
		}
		return nil
	}
	return checkAddress(text)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || !strings.HasPrefix(text[len(u.Scheme):], "://") { // the error repeats the text, which may hold a password
		return errors.New("no scheme, or malformed")
	}
	return nil
}

// checkStore says no more than what kind of server is asked: the limiter knows the rest.
func checkStore(text string) error {
	if scheme, _, ok := strings.Cut(text, "://"); !ok || !slices.Contains([]string{"valkey", "valkeys", "redis", "rediss"}, scheme) {
		return errors.New("another scheme, or none")
	}
	return nil
}

func checkHTTP(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("another scheme, or no host")
	}
	return nil
}

func checkMedia(text string) error {
	return (&coding.Rule{Types: []string{text}}).Check()
}

func checkNetwork(text string) error {
	_, err := netip.ParsePrefix(text)
	return err //nolint:wrapcheck // the caller says about what
}

func checkFile(text string) error {
	if strings.TrimSpace(text) == "" || strings.ContainsRune(text, 0) {
		return errors.New("no name")
	}
	return nil
}

func checkVersion(text string) error {
	_, err := spec.ParseVersion(text)
	return err
}

func checkReserved(text string) error {
	if !spec.IsReservedHeader(http.CanonicalHeaderKey(text)) {
		return errors.New("services see this one")
	}
	return nil
}

func checkEndpoint(text string) error {
	_, err := spec.ParseIdentity(text)
	return err
}

func checkPattern(text string) error {
	_, err := spec.ParsePattern(text)
	return err
}

func checkClaim(text string) error {
	_, err := spec.ParseClaimRequirement(text)
	return err
}

func checkGrant(text string) error {
	c, err := spec.ParseClaimRequirement(text)
	switch {
	case err != nil:
		return err
	case c.Value == "":
		return errors.New("no value")
	case c.Type == "scp": // as an endpoint may ask for it
		return errors.New("the words of scp are claims of type scope: write scope in its place")
	}
	return nil
}

// checkPath says what to write where the path ends with a slash: such a path has everything below it without one.
func checkPath(text string) error {
	if path := strings.TrimRight(text, "/"); strings.HasPrefix(path, "/") && path != text && routing.CheckPath(path) == nil {
		return fmt.Errorf("it ends with a slash: write %s, which has everything below it", path)
	}
	return routing.CheckPath(text)
}

// check says what is wrong with the text of a setting, or of one item of it, before it is a value.
func (s *setting) check(text string) error {
	if len(s.oneOf) > 0 && !slices.Contains(s.oneOf, text) {
		return fmt.Errorf("expected %s, got %q", strings.Join(s.oneOf, " or "), shown(s, text))
	}
	if s.format != "" {
		f := formats[s.format]
		if err := f.check(text); err != nil {
			return fmt.Errorf("expected %s, got %q: %w", f.want, shown(s, text), err)
		}
	}
	return nil
}

// shown is a text for an error or a list.
func shown(s *setting, text string) string {
	if s.secret && text != "" {
		return "(not shown)"
	}
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// parse makes a value of a scalar's text.
func (s *setting) parse(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	switch {
	case t == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return v, fmt.Errorf("expected a time such as 500ms, 30s or 2m, got %q", shown(s, text))
		}
		v.SetInt(int64(d))
	case t == sizeType:
		n, err := spec.ParseSize(text)
		if err != nil {
			return v, fmt.Errorf("expected a size such as 64KiB or 1MiB, got %q", shown(s, text))
		}
		v.SetInt(n)
	case t.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return v, fmt.Errorf("expected a whole number, got %q", shown(s, text))
		}
		v.SetInt(int64(n))
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return v, fmt.Errorf("expected true or false, got %q", shown(s, text))
		}
		v.SetBool(text == "true")
	default:
		if i := slices.IndexFunc(s.oneOf, func(word string) bool { return strings.EqualFold(word, text) }); i >= 0 {
			text = s.oneOf[i]
		}
		v.SetString(text)
		return v, s.check(text)
	}
	return v, s.within(t, v)
}

// within checks a number or time against its bounds.
func (s *setting) within(t reflect.Type, v reflect.Value) error {
	for _, bound := range []struct {
		text   string
		broken func(a, b int64) bool
		words  string
	}{
		{s.min, func(a, b int64) bool { return a < b }, "at least"},
		{s.max, func(a, b int64) bool { return a > b }, "at most"},
	} {
		if bound.text == "" {
			continue
		}
		limit, err := new(setting).parse(t, bound.text)
		if err != nil { // a wrong tag, which a test finds
			return err
		}
		if bound.broken(v.Int(), limit.Int()) {
			return fmt.Errorf("expected %s %s, got %s", bound.words, bound.text, format(v))
		}
	}
	return nil
}

// parseFlat makes a value of the one text that a variable, a flag or a default has: a list has commas between its items,
// a table has KEY=VALUE with commas between.
func (s *setting) parseFlat(text string) (reflect.Value, error) {
	switch shapeOf(s.typ) { //nolint:exhaustive // sections have no text
	case list:
		v := reflect.MakeSlice(s.typ, 0, 1)
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			e, err := s.parse(s.typ.Elem(), item)
			if err != nil {
				return v, err
			}
			v = reflect.Append(v, e)
		}
		return v, nil
	case table:
		v := reflect.MakeMap(s.typ)
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			key, value, ok := strings.Cut(item, "=")
			if !ok {
				return v, fmt.Errorf("expected KEY=VALUE, got %q", shown(s, item))
			}
			if err := s.checkKey(key); err != nil {
				return v, err
			}
			e, err := s.parse(s.typ.Elem(), value)
			if err != nil {
				return v, err
			}
			if other := v.MapIndex(reflect.ValueOf(key)); other.IsValid() && !other.Equal(e) {
				return v, fmt.Errorf("%s is given twice: %s and %s", key, format(other), format(e))
			}
			v.SetMapIndex(reflect.ValueOf(key), e)
		}
		return v, nil
	}
	return s.parse(s.typ, text)
}

func (s *setting) checkKey(key string) error {
	if s.keys == "" {
		return nil
	}
	f := formats[s.keys]
	if err := f.check(key); err != nil {
		return fmt.Errorf("expected %s, got %q: %w", f.want, key, err)
	}
	return nil
}

// format is a value as one text, which parseFlat reads again.
func format(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return shortTime(time.Duration(v.Int()))
	case v.Type() == sizeType:
		return size(v.Int())
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = format(v.Index(i))
		}
		return strings.Join(items, ",")
	case v.Kind() == reflect.Map:
		items := make([]string, 0, v.Len())
		for _, key := range v.MapKeys() {
			items = append(items, key.String()+"="+format(v.MapIndex(key)))
		}
		slices.Sort(items)
		return strings.Join(items, ",")
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.Kind() == reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	}
	return v.String()
}

// shortTime leaves out the zeros that time.Duration writes behind minutes and hours.
func shortTime(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// binary are the units of spec.SizeUnits that sizes are written with.
var binary = []string{"B", "KiB", "MiB", "GiB"}

func size(n int64) string {
	unit := 0
	for unit < len(binary)-1 && n > 0 && n%1024 == 0 {
		n, unit = n/1024, unit+1 //nolint:mnd // KiB to MiB, and so on
	}
	return strconv.FormatInt(n, 10) + binary[unit]
}
