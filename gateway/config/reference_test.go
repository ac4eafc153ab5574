package config_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stella-ops/router/gateway/config"
)

var update = flag.Bool("update", false, "write docs/reference/configuration.md")

const referenceFile = "../../docs/reference/configuration.md"

const referenceHead = `<!-- Generated from gateway/config: go test ./gateway/config -run Reference -update -->

# Configuration of a gateway

` + "`gateway.yaml`" + ` is named by ` + "`--config`" + ` or ` + "`STELLA_CONFIG`" + `. It is read strictly: an unknown key, a key given twice, an
alias or a wrong value is refused, with its place, and all at once. Above the file stand variables, and flags above those. A
list in a variable has commas between its items, a table has ` + "`KEY=VALUE`" + ` with commas between. What is marked *Restart*
cannot change while the gateway runs.

| command | what it does |
|---|---|
| ` + "`stella-gateway check FILE`" + ` | reads a file, and says everything that is wrong with it |
| ` + "`stella-gateway diff OLD NEW`" + ` | says what the new file has otherwise, and what of it needs a restart |
| ` + "`stella-gateway ctl config diff FILE`" + ` | says what a file has otherwise than a gateway that runs |
| ` + "`stella-gateway config show --origin`" + ` | shows every value, and where it came from |
| ` + "`stella-gateway config schema`" + ` | prints the JSON Schema of the file, for editors |

## The file
`

// TestReferenceIsCurrent compares docs/reference/configuration.md with the table.
func TestReferenceIsCurrent(t *testing.T) {
	text := referenceHead + config.Reference()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != text {
		t.Error("docs/reference/configuration.md differs from the table: run go test ./gateway/config -run Reference -update, and look at what changed")
	}
}
