package client_test

import (
	"slices"
	"testing"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

func TestNames(t *testing.T) {
	for text, want := range map[string][2]string{
		"id":              {"ID", "id"},
		"createdById":     {"CreatedByID", "createdByID"},
		"HTTPServer":      {"HTTPServer", "httpServer"},
		"unknown_invoice": {"UnknownInvoice", "unknownInvoice"},
		"If-Match":        {"IfMatch", "ifMatch"},
		"1st":             {"X1st", "x1st"},
		"\u65e5\u672c":    {"X\u65e5\u672c", "\u65e5\u672c"},
		"*/":              {"Empty", "empty"},
		"a2B":             {"A2B", "a2B"},
	} {
		if got := [2]string{client.Exported(text), client.Camel(text)}; got != want {
			t.Errorf("%q is %q, expected %q", text, got, want)
		}
	}
}

func TestNamesAreTakenOnce(t *testing.T) {
	n := client.Names{}
	n.Reserve("A")
	for _, want := range []string{"B", "B2", "B3"} {
		if got := n.Take("A", "B"); got != want {
			t.Errorf("got %s, expected %s", got, want)
		}
	}
	if got := n.TakeWith([]string{"Func"}, "C"); got != "C" || n.Take("CFunc") != "CFunc2" {
		t.Errorf("CFunc is not taken with %s", got)
	}
}

func endpoint(method, path, handler string, errors ...spec.ErrorAnswer) spec.Endpoint {
	return spec.Endpoint{
		Method: method, Path: path, Handler: handler, Kind: spec.KindTyped, Status: 200, Stream: spec.StreamNone, Public: "test", Limits: spec.DefaultLimits,
		Errors: errors,
	}
}

// shared has what two services' packages call alike.
func shared() *spec.Manifest {
	text := &spec.Schema{Type: spec.TypeString}
	object := func() *spec.Schema {
		return &spec.Schema{Type: spec.TypeObject, Properties: map[string]*spec.Schema{"state": {Type: spec.TypeString, Enum: []string{"on"}}, "text": text}}
	}
	gone := func(ref string) spec.ErrorAnswer {
		return spec.ErrorAnswer{Code: "gone", Status: 410, Details: &spec.Schema{Ref: ref}}
	}
	return &spec.Manifest{
		Service: "s", Version: "1.0.0",
		Endpoints: []spec.Endpoint{
			endpoint("GET", "/a", "Service.Get", gone("a.Item")),
			endpoint("GET", "/b", "example.com/b.Service.Get", gone("b.Item")),
			endpoint("GET", "/c/{id}", "example.com/c.List", spec.ErrorAnswer{Code: "late", Status: 409, Details: &spec.Schema{Ref: "c.LateError"}}),
		},
		Schemas: map[string]*spec.Schema{"a.Item": object(), "b.Item": object(), "c.LateError": object(), "Page[a.Item]": object()},
	}
}

func TestModel(t *testing.T) {
	m, err := client.New(shared(), "List")
	if err != nil {
		t.Fatal(err)
	}
	var types, errors, calls []string
	for _, x := range m.Types {
		types = append(types, x.Name)
	}
	for _, x := range m.Errors {
		errors = append(errors, x.Name)
	}
	for _, x := range m.Calls {
		calls = append(calls, x.Name+"("+x.Input+")")
	}
	for name, list := range map[string][2][]string{
		"types": {types, {
			"PageItem", "AItem", "BItem", "LateErrorDetails", "PageItemState", "AItemState", "BItemState", "LateErrorDetailsState",
		}},
		"errors": {errors, {"ServiceGetGoneError", "BServiceGetGoneError", "LateError"}},
		"calls":  {calls, {"ServiceGet()", "BServiceGet()", "List(ListInput)"}},
	} {
		if !slices.Equal(list[0], list[1]) {
			t.Errorf("the %s are %q, expected %q", name, list[0], list[1])
		}
	}
}

func TestModelRefusesWhatIsNoManifest(t *testing.T) {
	m := shared()
	m.Endpoints[0].Path = "a"
	if _, err := client.New(m); err == nil {
		t.Error("a path without a slash passes")
	}
}

func TestLines(t *testing.T) {
	got := client.Lines("\n a\r\n\n\tb\x00\ufeff\u2028c  \n")
	if want := []string{"a", "", "\tb", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}

func TestWebSocketsAreNoCalls(t *testing.T) {
	socket := endpoint("GET", "/chat", "Talk")
	socket.Kind, socket.Stream, socket.Status = spec.KindRaw, spec.StreamUpgrade, 101
	m := &spec.Manifest{Service: "s", Version: "1.0.0", Endpoints: []spec.Endpoint{socket, endpoint("POST", "/talks", "Service.Talk")}}
	model, err := client.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := client.NewReference(m); err != nil || len(whole.Calls) != 2 {
		t.Errorf("a reference has not all of it: %v", err)
	}
	if len(model.Calls) != 1 || model.Calls[0].Path != "/talks" || model.Calls[0].Name != "Talk" {
		t.Errorf("got %d calls, the first %+v", len(model.Calls), model.Calls[0])
	}
}
