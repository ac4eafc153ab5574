package migrate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stella-ops/router/spec"
)

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		fw      Framework
		pattern string
		paths   string // a slash behind one is what the router wants
		exact   bool
		note    string
	}{
		{ServeMux, "/", "/{rest...}", false, "every path that no other pattern matches"},
		{ServeMux, "/{$}", "/", true, ""},
		{ServeMux, "/a/{$}", "/a/", false, "ends with a slash"},
		{ServeMux, "/a", "/a", true, ""},
		{ServeMux, "/a/{id}/{rest...}", "/a/{id}/{rest...}", true, ""},
		{ServeMux, "/a/", "/a/{rest...} /a/", false, "all below /a/"},
		{ServeMux, "/a b", "", false, "rename it"},
		{ServeMux, "/_stella/x", "", false, "the gateway answers itself"},
		{Chi, "/", "/", true, ""},
		{Chi, "", "/", true, ""},
		{Chi, "/a/{id}", "/a/{id}", true, ""},
		{Chi, "/a/{id:[a-z/]{2,3}}/b", "/a/{id}/b", false, "regular expression [a-z/]{2,3}"},
		{Chi, "/a/*", "/a/{rest...}", false, "without anything in its place"},
		{Chi, "/*", "/{rest...}", false, ""},
		{Chi, "/{rest}/*", "/{rest}/{rest2...}", false, ""},
		{Chi, "/a-{id}.json", "/{a_id_json}", false, "a whole segment"},
		{Chi, "/{a}-{b}", "/{a_b}", false, "a whole segment"},
		{Chi, "/{a-b}", "/{a_b}", false, "is called a_b"},
		{Chi, "/a/", "/a/", false, "the bridge adds the slash"},
		{Gin, "/a/:id", "/a/{id}", true, ""},
		{Gin, "/a/*path", "/a/{path...}", false, ""},
		{Gin, "/a/:id.json", "/a/{id_json}", false, "is called"},
		{Gin, "/a/v:id", "/a/{v_id}", false, "a whole segment"},
		{Echo, "/a/:id/*", "/a/{id}/{rest...}", false, ""},
		{Echo, "/a*", "/{a...}", false, "a whole segment"},
		{Echo, "a", "/a", true, ""},
	} {
		t.Run(string(c.fw)+" "+c.pattern, func(t *testing.T) {
			got := translate(c.fw, c.pattern)
			var paths []string
			for _, p := range got.paths {
				text := p.Path
				if p.Slash {
					text += "/"
				}
				paths = append(paths, text)
			}
			if diff := cmp.Diff(c.paths, strings.Join(paths, " ")); diff != "" {
				t.Error(diff)
			}
			if got.exact != c.exact {
				t.Errorf("exact is %v", got.exact)
			}
			if notes := strings.Join(got.notes, "\n"); !strings.Contains(notes, c.note) || c.exact && notes != "" {
				t.Errorf("notes are %q, want %q", notes, c.note)
			}
		})
	}
}

func TestJoinPath(t *testing.T) {
	for _, c := range []struct {
		fw                    Framework
		prefix, pattern, want string
	}{
		{Gin, "", "", "/"},
		{Gin, "/a", "", "/a"},
		{Gin, "/a", "/", "/a/"},
		{Gin, "/a/", "//b/", "/a/b/"},
		{Gin, "", "b", "/b"},
		{Echo, "/a", "", "/a"},
		{Echo, "/a", "/", "/a/"},
		{Echo, "", "b", "b"},
		{Chi, "/a", "/", "/a"},
		{Chi, "/a/*", "/b", "/a/b"},
		{Chi, "", "/", "/"},
		{ServeMux, "/a", "/b/", "/a/b/"},
	} {
		if got := joinPath(c.fw, c.prefix, c.pattern); got != c.want {
			t.Errorf("%s: %q below %q is %q, want %q", c.fw, c.pattern, c.prefix, got, c.want)
		}
	}
}

func TestSprintf(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []string
		want   value
	}{
		{"/%s/%v", []string{"a", "b"}, text("/a/b")},
		{"100%%/%q", []string{"a"}, text(`100%/"a"`)},
		{"%s", nil, nil},
		{"%", nil, nil},
		{"%x", []string{"a"}, nil},
		{"a", []string{"b"}, nil},
	} {
		if got := sprintf(c.format, c.args); got != c.want {
			t.Errorf("%q of %q is %v, want %v", c.format, c.args, got, c.want)
		}
	}
}

// FuzzTranslate holds that whatever becomes of a pattern is one of Stella's, and that what counts as exact is said without
// a note.
func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{"/", "/a/{id}", "/a/{$}", "/{a:[{}/]+}/*", "/:a/*b", "//", "/{", "/}", "/*/*", "/:/:", "/\\:x", "/é"} {
		for i := range frameworks {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, i int, pattern string) {
		fw := frameworks[(i%len(frameworks)+len(frameworks))%len(frameworks)]
		got := translate(fw, pattern)
		for _, p := range got.paths {
			if _, err := spec.ParsePattern(p.Path); err != nil {
				t.Errorf("%s %q becomes %q: %v", fw, pattern, p.Path, err)
			}
		}
		if len(got.paths) == 0 && len(got.notes) == 0 {
			t.Errorf("%s %q becomes nothing, without a reason", fw, pattern)
		}
		if got.exact && len(got.notes) > 0 {
			t.Errorf("%s %q is exact, with notes %q", fw, pattern, got.notes)
		}
	})
}

var frameworks = []Framework{ServeMux, Chi, Gin, Echo}
