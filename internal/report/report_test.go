package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/ostiary/ostiary/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// hostile is a name that attacks every format at once.
const hostile = "=cmd|'/c calc'!A1<script>alert(1)</script>\x1b[2J\n| [x](https://evil.example) ]]>&\x00"

func sample() *report.Report {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	r := &report.Report{
		Kind: "CredentialInventory", Title: "Who can get in", Tool: "kubectl-ostiary", Version: "v0.1.0",
		Target: "https://10.0.0.1:6443", Generated: at,
		Sources: []report.Source{
			{Name: "service account token Secrets", Access: report.Read, Items: 2},
			{Name: "audit log", Access: report.Partial, Items: 12000, Why: "3 lines are broken", From: at.Add(-time.Hour), Until: at},
			{Name: "static token file", Access: report.Unread, Why: "--token-auth-file names /etc/tokens.csv; run this on the node"},
			{Name: "gate", Access: report.Unread, Optional: true, Why: "no gate there"},
			{Name: "webhook", Access: report.Off},
		},
		Summary: []report.Figure{{Name: "credentials", Value: "2"}},
		Findings: []report.Finding{
			{Rule: "XC-09", Title: "every certificate in use has a record", Severity: report.High, State: report.Fail, Subject: hostile, Message: "used, and nothing says who issued it", Evidence: "audit log", Remedy: "investigate the CA key", Point: "G-03", References: []string{"CIS 3.1.1"}},
			{Rule: "ST-01", Title: "no static token file", Severity: report.High, State: report.Unknown, Message: "no flags were read"},
			{Rule: "AN-01", Title: "anonymous access", Severity: report.Medium, State: report.Pass, Message: "off"},
			{Rule: "BT-02", Title: "expiry", Severity: report.Critical, State: report.Warn, Subject: "secret kube-system/bootstrap-token-abcdef", Message: "no expiration"},
		},
		Table: report.Table{
			Columns: []report.Column{{Name: "ID"}, {Name: "OWNER"}, {Name: "POWER"}, {Name: "WHERE", Detail: true}},
			Rows: []report.Row{
				{Key: "a", Cells: []string{"X509SHA256=aa", hostile, "masters", "/etc/kubernetes"}},
				{Key: "b", Cells: []string{"SECRET=ci/deployer", "", "limited", "-2+3"}},
			},
		},
		Picture: &report.Picture{
			Title: "two ways in", Columns: []string{"Mechanism", "Power"},
			Nodes: []report.Node{
				{ID: "m", Label: "client certificates " + hostile, Note: "1", Column: 0, Tone: report.Alarm},
				{ID: "p", Label: "masters", Note: "1", Column: 1},
			},
			Links: []report.Link{{From: "m", To: "p", Count: 1, Tone: report.Alarm}, {From: "m", To: "gone", Count: 4}},
		},
		Details: map[string]any{"credentials": []map[string]string{{"id": "a"}, {"id": "b"}}},
	}
	r.Sort()
	return r
}

func written(t *testing.T, r *report.Report, format report.Format) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Write(&out, format); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestGolden holds every format to what a reader saw and approved.
func TestGolden(t *testing.T) {
	t.Parallel()

	for _, format := range report.Formats() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			got := written(t, sample(), report.Format(format))
			if again := written(t, sample(), report.Format(format)); again != got {
				t.Error("the same report was written in other bytes")
			}
			golden := filepath.Join("testdata", format+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryFormatSaysWhatIsMissing: no format lets an incomplete report look complete. The twin has no such source.
func TestEveryFormatSaysWhatIsMissing(t *testing.T) {
	t.Parallel()

	for _, format := range report.Formats() {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := sample()
			text := written(t, r, report.Format(format))
			for _, source := range []string{"static token file", "audit log"} {
				if !strings.Contains(text, source) || !strings.Contains(text, "run this on the node") {
					t.Errorf("%q and what would help is not in it:\n%s", source, text)
				}
			}
			for i := range r.Sources {
				r.Sources[i].Access, r.Sources[i].Why = report.Read, ""
			}
			if text := written(t, r, report.Format(format)); strings.Contains(strings.ToLower(text), "incomplete") || strings.Contains(text, "UNREAD") {
				t.Errorf("a complete report says that it is not:\n%s", text)
			}
		})
	}
}

// TestNoNameGetsOut: a name from a cluster is never a command, a formula, markup or a line of its own.
func TestNoNameGetsOut(t *testing.T) {
	t.Parallel()

	r := sample()
	for _, format := range []report.Format{report.FormatTable, report.FormatWide, report.FormatMarkdown} {
		if text := written(t, r, format); strings.ContainsAny(text, "\x1b\x00") || strings.Contains(text, "\n| [x]") {
			t.Errorf("%s: a name moves the terminal or forges a line", format)
		}
	}
	if text := written(t, r, report.FormatMarkdown); strings.Contains(text, "<script") || strings.Contains(text, "[x](") {
		t.Error("markdown: a name is markup")
	}

	cells, err := csv.NewReader(strings.NewReader(written(t, r, report.FormatCSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range cells {
		for _, cell := range line {
			if cell != "" && strings.ContainsAny(strings.TrimSpace(cell)[:1], "=+-@") {
				t.Errorf("csv: the cell %q is a formula", cell)
			}
		}
	}

	page, err := html.Parse(strings.NewReader(written(t, r, report.FormatHTML)))
	if err != nil {
		t.Fatal(err)
	}
	for node := range page.Descendants() {
		switch node.Data {
		case "script", "iframe", "img", "link", "a", "form":
			t.Errorf("html: the page has an element %q", node.Data)
		}
		for _, attribute := range node.Attr {
			if strings.HasPrefix(attribute.Key, "on") || attribute.Key == "src" || attribute.Key == "href" {
				t.Errorf("html: the page has an attribute %q", attribute.Key)
			}
		}
	}
	var parsed struct{}
	if err := xml.Unmarshal([]byte(written(t, r, report.FormatJUnit)), &parsed); err != nil {
		t.Errorf("junit: %v", err)
	}
	if !json.Valid([]byte(written(t, r, report.FormatSARIF))) {
		t.Error("sarif: no JSON")
	}
}

// TestSARIFGroups: what GitHub would refuse is written as one result for each rule, with the count.
func TestSARIFGroups(t *testing.T) {
	t.Parallel()

	r := sample()
	for i := range 30_000 {
		r.Findings = append(r.Findings, report.Finding{
			Rule: "SA-01", Title: "token Secrets", Severity: report.Medium, State: report.Fail, Subject: fmt.Sprintf("secret %05d", i), Message: "does not expire",
		})
	}
	r.Sort()
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID  string `json:"ruleId"`
				Message struct{ Text string }
			}
		}
	}
	if err := json.Unmarshal([]byte(written(t, r, report.FormatSARIF)), &log); err != nil {
		t.Fatal(err)
	}
	if got := len(log.Runs[0].Results); got != 5 {
		t.Errorf("%d results, want one for each of 5 rules", got)
	}
	found := false
	for _, result := range log.Runs[0].Results {
		found = found || result.RuleID == "SA-01" && strings.Contains(result.Message.Text, "30 000 subjects")
	}
	if !found {
		t.Error("no result says how many there are")
	}
}

func TestCode(t *testing.T) {
	t.Parallel()

	read := []report.Source{{Name: "a", Access: report.Read}}
	unread := []report.Source{{Name: "a", Access: report.Unread}}
	high := []report.Finding{{Rule: "X", Severity: report.High, State: report.Fail}}
	for _, row := range []struct {
		name         string
		sources      []report.Source
		findings     []report.Finding
		severity     report.Severity
		incompleteOK bool
		want         int
	}{
		{"all read, nothing found", read, nil, report.Low, false, report.CodeDone},
		{"a finding at the severity", read, high, report.High, false, report.CodeFindings},
		{"a finding below it", read, high, report.Critical, false, report.CodeDone},
		{"findings do not count", read, high, 0, false, report.CodeDone},
		{"a finding that is accepted", read, []report.Finding{{Severity: report.High, State: report.Accepted}}, report.Low, false, report.CodeDone},
		{"an unknown is no finding", read, []report.Finding{{Severity: report.High}}, report.Low, false, report.CodeDone},
		{"a source is missing", unread, nil, report.Low, false, report.CodeIncomplete},
		{"it may be missing", unread, nil, report.Low, true, report.CodeDone},
		{"a finding is certain, whatever is missing", unread, high, report.High, false, report.CodeFindings},
		{"what could not be looked at is no finding", unread, []report.Finding{{Severity: report.High, State: report.Fail, Gap: true}}, report.Low, false, report.CodeIncomplete},
		{"and may be missing", unread, []report.Finding{{Severity: report.High, State: report.Fail, Gap: true}}, report.Low, true, report.CodeDone},
		{"nobody asked anything", nil, nil, report.Low, false, report.CodeIncomplete},
		{"partly read", []report.Source{{Name: "a", Access: report.Partial}}, nil, report.Low, false, report.CodeIncomplete},
		{"optional", []report.Source{read[0], {Name: "b", Optional: true}}, nil, report.Low, false, report.CodeDone},
		{"proved off", []report.Source{{Name: "a", Access: report.Off}}, nil, report.Low, false, report.CodeDone},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := report.Report{Sources: row.sources, Findings: row.findings}
			if got := r.Code(row.severity, row.incompleteOK); got != row.want {
				t.Errorf("code %d, want %d", got, row.want)
			}
		})
	}
}

func TestOnlyNew(t *testing.T) {
	t.Parallel()

	keys := func(details []byte) ([]string, error) {
		var d struct{ Credentials []struct{ ID string } }
		err := json.Unmarshal(details, &d)
		var all []string
		for _, one := range d.Credentials {
			all = append(all, one.ID)
		}
		return all, err
	}
	earlier, err := report.ReadEarlier(strings.NewReader(written(t, sample(), report.FormatJSON)), keys)
	if err != nil {
		t.Fatal(err)
	}
	r := sample()
	r.Table.Rows = append(r.Table.Rows, report.Row{Key: "c", Cells: []string{"new", "", "", ""}})
	r.Findings = append(r.Findings, report.Finding{Rule: "SA-11", Severity: report.Critical, State: report.Fail})
	for i := range r.Findings {
		if r.Findings[i].Rule == "AN-01" {
			r.Findings[i].State = report.Fail // it passed before
		}
	}
	r.Sort()
	if err := r.OnlyNew(earlier); err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, f := range r.Findings {
		rules = append(rules, f.Rule)
	}
	if diff := cmp.Diff([]string{"SA-11", "AN-01"}, rules); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if len(r.Table.Rows) != 1 || r.Table.Rows[0].Key != "c" {
		t.Errorf("rows %v, want the new one", r.Table.Rows)
	}
	if r.Complete() {
		t.Error("what is missing was forgotten")
	}

	other := sample()
	other.Kind = "Audit"
	if err := other.OnlyNew(earlier); err == nil {
		t.Error("reports of two kinds were compared")
	}
	for name, text := range map[string]string{"no JSON": "x", "another version": `{"apiVersion":"v9"}`, "other details": `{"apiVersion":"report.ostiary.dev/v1alpha1","details":[]}`} {
		if _, err := report.ReadEarlier(strings.NewReader(text), keys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRowsMatchColumns: a row that lost a cell would shift what the reader sees.
func TestRowsMatchColumns(t *testing.T) {
	t.Parallel()

	for _, format := range report.Formats() {
		r := sample()
		r.Table.Rows[0].Cells = r.Table.Rows[0].Cells[:2]
		if err := r.Write(&bytes.Buffer{}, report.Format(format)); err == nil {
			t.Errorf("%s: a row with two of four cells was written", format)
		}
	}
}

// longDetails are details with a list that is written item by item.
type longDetails struct {
	Other string `json:"other"`
	items []map[string]string
}

func (d longDetails) Head() any { return d }

func (d longDetails) List() (string, iter.Seq[any]) {
	return "items", func(yield func(any) bool) {
		for _, item := range d.items {
			if !yield(item) {
				return
			}
		}
	}
}

// TestLongListIsTheSameJSON: written item by item, a list is what it would be in one piece.
func TestLongListIsTheSameJSON(t *testing.T) {
	t.Parallel()

	for _, items := range [][]map[string]string{{}, {{"id": "a"}}, {{"id": "a<"}, {"id": "b\x00"}, {}}} {
		r := sample()
		r.Details = longDetails{Other: "x", items: items}
		long := written(t, r, report.FormatJSON)
		r.Details = struct {
			Other string              `json:"other"`
			Items []map[string]string `json:"items"`
		}{"x", items}
		if diff := cmp.Diff(written(t, r, report.FormatJSON), long); diff != "" {
			t.Errorf("%d items (-whole +item by item):\n%s", len(items), diff)
		}
	}
}
