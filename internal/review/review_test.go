package review_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/inventory"
	"github.com/ostiary/ostiary/internal/report"
	"github.com/ostiary/ostiary/internal/review"
)

func now() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// build makes an inventory of token Secrets at a time after now.
func build(after time.Duration, names ...string) *inventory.Inventory {
	return inventory.Build(&inventory.Input{Facts: found(after, names...)})
}

func found(after time.Duration, names ...string) *facts.Facts {
	f := &facts.Facts{CollectedAt: now().Add(after), Cluster: facts.Cluster{Server: "https://10.0.0.1"}}
	for _, source := range []facts.Source{
		facts.SourceRBAC, facts.SourceServiceAccounts, facts.SourceTokenSecrets, facts.SourceBootstrapTokens, facts.SourceCertificates,
		facts.SourceKubeconfigs, facts.SourceCertificateFiles, facts.SourceUsage, facts.SourceExtension, facts.SourceNodes,
	} {
		f.Note(facts.SourceStatus{Source: source, State: facts.Read})
	}
	f.APIServers = []facts.APIServer{{}}
	for _, name := range names {
		f.TokenSecrets = append(f.TokenSecrets, facts.TokenSecret{Namespace: "ci", Name: name, ServiceAccount: "app"})
		f.ServiceAccounts = []facts.ServiceAccount{{Namespace: "ci", Name: "app"}}
	}
	f.CertificateRequests = []facts.CertificateRequest{{Name: "root", Username: "boss", Certificate: &facts.Certificate{
		Fingerprint: "aa", CommonName: "alice", Organizations: []string{"system:masters"}, ClientAuth: true, NotAfter: now().Add(10000 * time.Hour),
	}}}
	return f
}

func start(t *testing.T, names ...string) *review.Review {
	t.Helper()
	r, err := review.Start(build(0, names...), "v1", "boss", false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const heading = "ID,REVIEWER,DECISION,REASON,TICKET\n"

func TestDecideRefuses(t *testing.T) {
	t.Parallel()

	const secret, root = "SECRET=ci/a,ruth,keep,,\n", "X509SHA256=aa,ruth,keep,break glass,\n"
	for _, row := range []struct{ name, sheet, want string }{
		{"nothing", "", "empty"},
		{"no columns", "a,b\n", "no column ID"},
		{"a line is open", heading + secret, "1 lines have no decision, the first is X509SHA256=aa"},
		{"another verdict", heading + root + "SECRET=ci/a,ruth,maybe,,\n", "want keep or revoke"},
		{"nobody answers", heading + root + "SECRET=ci/a,,keep,,\n", "nobody answers for it"},
		{"somebody else's line", heading + root + secret + "SECRET=ci/z,ruth,keep,,\n", "not in the population"},
		{"twice", heading + root + secret + secret, "decided twice"},
		{"revoked without a reason", heading + root + "SECRET=ci/a,ruth,revoke,,\n", "a reason is needed"},
		{"privileged without a reason", heading + secret + "X509SHA256=aa,ruth,keep,,\n", "a reason is needed"},
		{"oneself", heading + secret + "X509SHA256=aa,alice,keep,mine,\n", "their own access"},
		{"who issued it", heading + secret + "X509SHA256=aa,boss,keep,mine,\n", "issued it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := start(t, "a").Decide(strings.NewReader(row.sheet), now(), false)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
	if err := start(t, "a").Decide(strings.NewReader(heading+secret+root), now(), false); err != nil {
		t.Errorf("good decisions: %v", err)
	}
	if err := start(t, "a").Decide(strings.NewReader(heading+secret), now(), true); err != nil {
		t.Errorf("a part of them: %v", err)
	}
}

// TestSheetComesBack: the sheet that reviewers get is one that decide reads.
func TestSheetComesBack(t *testing.T) {
	t.Parallel()

	r := start(t, "a")
	var sheet bytes.Buffer
	if err := r.Sheet().Write(&sheet, report.FormatCSV); err != nil {
		t.Fatal(err)
	}
	if err := r.Decide(&sheet, now(), true); err != nil || len(r.Decisions) != 0 {
		t.Errorf("an empty sheet gave %v and %v", r.Decisions, err)
	}
}

func TestIncompleteIsRefused(t *testing.T) {
	t.Parallel()

	inv := inventory.Build(&inventory.Input{Facts: &facts.Facts{CollectedAt: now()}})
	if _, err := review.Start(inv, "v1", "", false); !errors.Is(err, review.ErrIncomplete) {
		t.Errorf("error %v, want ErrIncomplete", err)
	}
	if _, err := review.Start(inv, "v1", "", true); err != nil {
		t.Error(err)
	}
}

func TestFinish(t *testing.T) {
	t.Parallel()

	r := start(t, "kept", "gone", "alive")
	sheet := heading + "SECRET=ci/kept,ruth,keep,,\nSECRET=ci/gone,ruth,revoke,old,\nSECRET=ci/alive,ruth,revoke,old,\n"
	if err := r.Decide(strings.NewReader(sheet), now().Add(time.Hour), true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Finish(build(0, "kept"), "v1", 0); !errors.Is(err, review.ErrOlder) {
		t.Errorf("facts from before the decisions: %v", err)
	}
	result, err := r.Finish(build(10*time.Hour, "kept", "alive", "new"), "v1", 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range result.Findings {
		found[f.Subject] = f.Rule + " " + f.State.String()
	}
	for subject, want := range map[string]string{
		"SECRET=ci/alive": "RV-01 fail", "X509SHA256=aa": "RV-02 fail", "SECRET=ci/new": "RV-03 warn", "SECRET=ci/kept": "", "SECRET=ci/gone": "",
	} {
		if found[subject] != want {
			t.Errorf("%s: %q, want %q", subject, found[subject], want)
		}
	}
	if result, err = r.Finish(build(10*time.Hour, "alive"), "v1", 100*time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Findings {
		if f.Rule == "RV-01" && f.State != report.Warn {
			t.Errorf("there is time left, and it is %v", f.State)
		}
	}
}

// TestFinishElsewhere: a line is not gone because somebody looked at another cluster, or left out where it was.
func TestFinishElsewhere(t *testing.T) {
	t.Parallel()

	frozen := found(0, "token")
	frozen.Note(facts.SourceStatus{Source: facts.SourceSecrets, State: facts.Read})
	frozen.StoredCredentials = []facts.StoredCredential{{Kind: "Secret", Namespace: "ci", Name: "copy", Key: "k", What: "kubeconfig", Subject: "bob"}}
	r, err := review.Start(inventory.Build(&inventory.Input{Facts: frozen}), "v1", "boss", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Decide(strings.NewReader(heading+"SECRET=ci/token,ruth,revoke,old,\n"), now().Add(time.Hour), true); err != nil {
		t.Fatal(err)
	}
	other := found(10 * time.Hour)
	other.Cluster.Server = "https://10.0.0.2"
	if _, err := r.Finish(inventory.Build(&inventory.Input{Facts: other}), "v1", 0); !errors.Is(err, review.ErrElsewhere) {
		t.Errorf("another cluster: %v", err)
	}
	for _, row := range []struct {
		name string
		scan bool
		want string
	}{{"as before", true, "gone"}, {"without the Secrets", false, "not seen, and not every source was read"}} {
		later := found(10 * time.Hour)
		if row.scan {
			later.Note(facts.SourceStatus{Source: facts.SourceSecrets, State: facts.Read})
		}
		result, err := r.Finish(inventory.Build(&inventory.Input{Facts: later}), "v1", 0)
		if err != nil {
			t.Fatal(err)
		}
		details, ok := result.Details.(review.Details)
		if !ok || result.Complete() != row.scan {
			t.Fatalf("%s: complete %t", row.name, result.Complete())
		}
		for _, outcome := range details.Outcomes {
			if outcome.Item.ID == "SECRET=ci/token" && outcome.Now != row.want {
				t.Errorf("%s: %s is %q, want %q", row.name, outcome.Item.ID, outcome.Now, row.want)
			}
		}
	}
}

func TestChangedFilesAreRefused(t *testing.T) {
	t.Parallel()

	r := start(t, "a", "b")
	if err := r.Decide(strings.NewReader(heading+"SECRET=ci/a,ruth,revoke,old,\n"), now(), true); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := r.Write(&file); err != nil {
		t.Fatal(err)
	}
	text := file.String()
	if _, err := review.Read(strings.NewReader(text)); err != nil {
		t.Fatalf("the file as it was written: %v", err)
	}
	for name, change := range map[string][2]string{
		"a line": {`"id": "SECRET=ci/b"`, `"id": "SECRET=ci/c"`}, "a power": {`"power": "masters"`, `"power": "none"`},
		"a source": {`"access": "read"`, `"access": "off"`}, "a decision": {`"verdict": "revoke"`, `"verdict": "keep"`}, "a date": {`"frozen": "2026-11`, `"frozen": "2026-12`},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := review.Read(strings.NewReader(changed)); !errors.Is(err, review.ErrChanged) {
			t.Errorf("%s was changed: error %v", name, err)
		}
	}
	for _, wrong := range []string{"", "{}", `{"apiVersion":"v1","kind":"Pod"}`} {
		if _, err := review.Read(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q is a review", wrong)
		}
	}
}
