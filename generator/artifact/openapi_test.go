package artifact_test

import (
	"encoding/json"
	"testing"

	"github.com/stella-ops/router/generator/artifact"
	"github.com/stella-ops/router/spec"
)

// TestOpenAPIKinds holds that each kind is of the version that it says, and names the gateway that it is told.
func TestOpenAPIKinds(t *testing.T) {
	m := &spec.Manifest{Service: "x", Version: "1.0.0"}
	for name, version := range map[string]string{"openapi": "3.1.0", "openapi30": "3.0.3"} {
		kind, known := artifact.Find(name)
		if !known {
			t.Fatalf("there is no kind %s", name)
		}
		for url, want := range map[string]string{"": artifact.DefaultURL, "https://api.example.com": "https://api.example.com"} {
			raw, err := kind.Render(m, artifact.Options{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				OpenAPI string `json:"openapi"`
				Servers []struct {
					URL string `json:"url"`
				} `json:"servers"`
			}
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if got.OpenAPI != version || len(got.Servers) != 1 || got.Servers[0].URL != want {
				t.Errorf("%s for %q is %s and names %v", name, url, got.OpenAPI, got.Servers)
			}
		}
	}
}
