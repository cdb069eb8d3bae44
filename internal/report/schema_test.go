package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ostiary/ostiary/internal/report"
)

// sarifSchema is the schema that OASIS publishes for SARIF 2.1.0.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(file)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // dates and URIs, too
	if err := compiler.AddResource("sarif.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// reports are one with everything, hostile names included, one with nothing, and one with many findings of one rule.
func reports() map[string]*report.Report {
	many := sample()
	for i := range 300 {
		many.Findings = append(many.Findings, report.Finding{
			Rule: "SA-01", Title: "tokens", Severity: report.Medium, State: report.Fail, Subject: "namespace " + strconv.Itoa(i), Message: hostile, Location: "/etc/kube rnetes/%zz?x#y",
		})
	}
	many.Sort()
	return map[string]*report.Report{"sample": sample(), "empty": {Kind: "HardeningReport", Title: "nothing", Tool: "kubectl-ostiary"}, "many": many}
}

// TestSARIFSchema holds the output to the schema. The twins show that the schema sees a fault.
func TestSARIFSchema(t *testing.T) {
	t.Parallel()

	schema := sarifSchema(t)
	judge := func(text string) error {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return schema.Validate(value)
	}
	for name, r := range reports() {
		if err := judge(written(t, r, report.FormatSARIF)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := written(t, sample(), report.FormatSARIF)
	for name, change := range map[string][2]string{
		"another version":  {`"version": "2.1.0"`, `"version": "2.2"`},
		"an unknown level": {`"level": "error"`, `"level": "fatal"`},
		"an unknown field": {`"runs": [`, `"run": [], "runs": [`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Errorf("%s: %q is not in the output", name, change[0])
		} else if judge(bad) == nil {
			t.Errorf("%s: the schema finds no fault", name)
		}
	}
}

// TestJUnitForm: the output is well-formed XML, has no character that XML 1.0 forbids, and counts what it holds.
func TestJUnitForm(t *testing.T) {
	t.Parallel()

	for name, r := range reports() {
		text := written(t, r, report.FormatJUnit)
		decoder := xml.NewDecoder(strings.NewReader(text))
		count := map[string]int{}
		sums := map[string]int{}
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			element, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			count[element.Name.Local]++
			if element.Name.Local != "testsuite" {
				continue
			}
			for _, attribute := range element.Attr {
				n, err := strconv.Atoi(attribute.Value)
				if err == nil {
					sums[attribute.Name.Local] += n
				}
			}
		}
		for attribute, element := range map[string]string{"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"} {
			if sums[attribute] != count[element] {
				t.Errorf("%s: %s says %d, and there are %d %s", name, attribute, sums[attribute], count[element], element)
			}
		}
	}
}

// FuzzReadEarlier: whatever an earlier report holds, reading it fails or gives something to compare with.
func FuzzReadEarlier(f *testing.F) {
	var good strings.Builder
	if err := sample().Write(&good, report.FormatJSON); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good.String(), "{}", `{"apiVersion":"ostiary.dev/v1alpha1","kind":"CredentialInventory","findings":[{"state":"fail"}]}`, "[", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		earlier, err := report.ReadEarlier(strings.NewReader(text), nil)
		if (err == nil) != (earlier != nil) {
			t.Fatalf("an earlier report %v with the error %v", earlier, err)
		}
		if err != nil {
			return
		}
		_ = sample().OnlyNew(earlier) // must not panic
		earlier.Knew("a")
	})
}
