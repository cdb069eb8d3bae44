package inventory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/inventory"
	"github.com/ostiary/ostiary/internal/report"
)

// now is when the facts of these tests were gathered.
func now() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

const day = 24 * time.Hour

// world is a cluster with something of everything, every source of which was read.
func world() *facts.Facts {
	f := &facts.Facts{CollectedAt: now(), Cluster: facts.Cluster{Server: "https://10.0.0.1"}, TokenTrackingSince: now().Add(-200 * day)}
	for _, source := range []facts.Source{
		facts.SourceRBAC, facts.SourceServiceAccounts, facts.SourceTokenSecrets, facts.SourceBootstrapTokens, facts.SourceCertificates,
		facts.SourceKubeconfigs, facts.SourceCertificateFiles, facts.SourceUsage, facts.SourceExtension, facts.SourceNodes,
	} {
		f.Note(facts.SourceStatus{Source: source, State: facts.Read})
	}
	f.APIServers = []facts.APIServer{{Program: facts.Program{Name: "a", Evidence: facts.EvidenceManifest, Flags: apiserverflags.Values{
		"authorization-mode": {"Node", "RBAC"}, "token-auth-file": {"/etc/tokens.csv"}, "anonymous-auth": {"false"},
	}}, StaticTokens: &facts.StaticTokenFile{Entries: []facts.StaticToken{{User: "bob", Groups: []string{"ops"}}, {User: "alice"}}}}}
	f.ServiceAccounts = []facts.ServiceAccount{{Namespace: "ci", Name: "deployer", UID: "1"}}
	f.TokenSecrets = []facts.TokenSecret{
		{Namespace: "ci", Name: "used", ServiceAccount: "deployer", AccountUID: "1", Created: now().Add(-300 * day), LastUsed: now().Add(-day)},
		{Namespace: "ci", Name: "idle", ServiceAccount: "deployer", AccountUID: "1", Created: now().Add(-300 * day), LastUsed: now().Add(-100 * day)},
		{Namespace: "ci", Name: "never", ServiceAccount: "deployer", AccountUID: "1", Created: now().Add(-300 * day)},
		{Namespace: "ci", Name: "young", ServiceAccount: "deployer", AccountUID: "1", Created: now().Add(-day)},
		{Namespace: "ci", Name: "shut", ServiceAccount: "deployer", AccountUID: "1", InvalidSince: now().Add(-day)},
		{Namespace: "ci", Name: "lost", ServiceAccount: "gone"},
		{Namespace: "ci", Name: "other", ServiceAccount: "deployer", AccountUID: "0"},
	}
	leaf := facts.Certificate{Fingerprint: "aa", CommonName: "alice", Organizations: []string{"dev"}, Issuer: "CN=client-ca", NotAfter: now().Add(day), ClientAuth: true}
	f.CertificateRequests = []facts.CertificateRequest{{Name: "alice", Username: "boss", Certificate: &leaf}}
	f.Usage = &facts.Usage{
		From: now().Add(-10 * time.Hour), Until: now(),
		Observed: []facts.Observation{
			{Username: "alice", CredentialID: "X509SHA256=aa", Mechanism: "clientCertificate", Source: "10.0.0.9", First: now().Add(-9 * time.Hour), Last: now().Add(-time.Hour), Count: 3},
			{Username: "mallory", CredentialID: "X509SHA256=ff", Mechanism: "clientCertificate", First: now().Add(-time.Hour), Last: now(), Count: 1},
			{Username: "system:serviceaccount:ci:deployer", CredentialID: "JTI=1", Mechanism: "tokenRequest", First: now().Add(-time.Hour), Last: now(), Count: 1},
			{Username: "system:serviceaccount:ci:deployer", CredentialID: "JTI=forged", Mechanism: "tokenRequest", First: now().Add(-time.Hour), Last: now(), Count: 1},
			{Username: "system:serviceaccount:ci:deployer", CredentialID: "JTI=old", Mechanism: "tokenRequest", First: now().Add(-10 * time.Hour), Last: now(), Count: 1},
			{Username: "bob", Groups: []string{"ops", "system:authenticated"}, First: now().Add(-time.Hour), Last: now(), Count: 5},
			{Username: "system:apiserver", Groups: []string{"system:masters"}, First: now(), Last: now(), Count: 5},
		},
		IssuedIDs: []facts.IssuedToken{
			{CredentialID: "JTI=1", Account: "system:serviceaccount:ci:deployer", IssuedBy: "alice", ByCredential: "X509SHA256=aa", At: now().Add(-time.Hour), Lifetime: 2 * time.Hour},
			{CredentialID: "JTI=0", Account: "system:serviceaccount:ci:deployer", IssuedBy: "alice", ByCredential: "X509SHA256=aa", At: now().Add(-9 * time.Hour), Lifetime: time.Hour},
		},
	}
	f.ClusterRoles = []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}}
	f.RoleBindings = []rbacv1.RoleBinding{{
		ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "ci"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "secrets"},
		Subjects: []rbacv1.Subject{{Kind: "Group", Name: "dev"}, {Kind: "User", Name: "ghost"}},
	}}
	return f
}

func states(inv *inventory.Inventory) map[string]inventory.State {
	all := map[string]inventory.State{}
	for _, c := range inv.Credentials {
		all[c.ID] = c.State
	}
	return all
}

func TestStates(t *testing.T) {
	t.Parallel()

	f := world()
	f.Roster = []facts.Person{{Usernames: []string{"bob"}, Name: "Bob", Active: false}}
	ledger := &inventory.Ledger{Entries: []inventory.Entry{
		{ID: "SECRET=ci/used/0011223344556677", Mechanism: "serviceAccountSecret", Username: "system:serviceaccount:ci:deployer", Revoked: true, Revocation: "r-1"},
		{ID: "STATIC=9", Mechanism: "staticToken", Username: "eve", LastUsed: now()},
	}}
	got := states(inventory.Build(&inventory.Input{Facts: f, Ledger: ledger}))
	for id, want := range map[string]inventory.State{
		"SECRET=ci/used": inventory.Revoked, "SECRET=ci/idle": inventory.Dormant, "SECRET=ci/never": inventory.Dormant, "SECRET=ci/young": inventory.Unseen,
		"SECRET=ci/shut": inventory.Invalidated, "SECRET=ci/lost": inventory.Orphan, "SECRET=ci/other": inventory.Orphan,
		"X509SHA256=aa": inventory.Active, "X509SHA256=ff": inventory.Unrecorded,
		"JTI=1": inventory.Active, "JTI=0": inventory.Expired, "JTI=forged": inventory.Unrecorded, "JTI=old": inventory.Unrecorded,
		"STATICUSER=bob/1": inventory.Leaver, "STATICUSER=alice/1": inventory.Unseen, "STATIC=9": inventory.Active,
	} {
		if got[id] != want {
			t.Errorf("%s is %q, want %q", id, got[id], want)
		}
	}
	if _, found := got["USER=system:apiserver"]; found {
		t.Error("the API server's own client is listed")
	}
}

// TestHalfRBACIsNoPower: where a binding may be missing, nobody is said to have no power.
func TestHalfRBACIsNoPower(t *testing.T) {
	t.Parallel()

	f := world()
	f.Note(facts.SourceStatus{Source: facts.SourceRBAC, State: facts.Partial})
	for _, c := range inventory.Build(&inventory.Input{Facts: f}).Credentials {
		if c.Power.Level.String() != "unknown" {
			t.Errorf("%s has power %v", c.ID, c.Power.Level)
		}
	}
}

// TestNoRecordNoAccusation: what a source that was not read might explain is not called unrecorded.
func TestNoRecordNoAccusation(t *testing.T) {
	t.Parallel()

	f := world()
	f.Note(facts.SourceStatus{Source: facts.SourceCertificates, State: facts.Unreadable})
	f.Usage.IssuedIDs = nil
	for id, state := range states(inventory.Build(&inventory.Input{Facts: f})) {
		if state == inventory.Unrecorded {
			t.Errorf("%s is called unrecorded", id)
		}
	}
}

func ids(answer *inventory.Answer) []string {
	var all []string
	for _, line := range answer.Lines {
		all = append(all, line.ID+" "+line.Relation)
	}
	slices.Sort(all)
	return all
}

func ask(t *testing.T, f *facts.Facts, q inventory.Question) *inventory.Answer {
	t.Helper()
	answer, err := inventory.Build(&inventory.Input{Facts: f}).Ask(&q)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestWho(t *testing.T) {
	t.Parallel()

	got := strings.Join(ids(ask(t, world(), inventory.Question{Who: "alice"})), "\n")
	for _, want := range []string{"X509SHA256=aa own", "STATICUSER=alice/1 own", "JTI=1 made by them", "SECRET=ci/used they can read it"} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	for _, not := range []string{"JTI=0", "mallory", "SECRET=ci/shut"} {
		if strings.Contains(got, not) {
			t.Errorf("%q in\n%s", not, got)
		}
	}
	if got := ids(ask(t, world(), inventory.Question{Who: "nobody"})); len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}
}

func TestSameIdentity(t *testing.T) {
	t.Parallel()

	answer := ask(t, world(), inventory.Question{SameIdentity: true})
	if len(answer.Findings) != 1 || answer.Findings[0].Subject != "alice" {
		t.Errorf("findings %v, want alice, who has a certificate and a static token", answer.Findings)
	}
}

func TestUnrecorded(t *testing.T) {
	t.Parallel()

	severities := map[string]report.Severity{}
	for _, f := range ask(t, world(), inventory.Question{Unrecorded: true}).Findings {
		severities[f.Subject] = f.Severity
	}
	for id, want := range map[string]report.Severity{"X509SHA256=ff": report.High, "JTI=forged": report.Critical, "JTI=old": report.Low} {
		if severities[id] != want {
			t.Errorf("%s: %v, want %v", id, severities[id], want)
		}
	}
	if len(severities) != 3 {
		t.Errorf("findings about %v", severities)
	}
}

func TestBlastRadius(t *testing.T) {
	t.Parallel()

	got := strings.Join(ids(ask(t, world(), inventory.Question{BlastRadius: "ca=client-ca"})), "\n")
	if want := "JTI=1 made by one that is cut off; works until it ends\nX509SHA256=aa cut off"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := ids(ask(t, world(), inventory.Question{BlastRadius: "account=ci/deployer"})); len(got) < 5 {
		t.Errorf("the account's credentials: %v", got)
	}
	inv := inventory.Build(&inventory.Input{Facts: world()})
	for _, wrong := range []inventory.Question{
		{BlastRadius: "moon"}, {BlastRadius: "account=x"}, {BlastRadius: "issuer="}, {Who: "a", Unrecorded: true},
	} {
		if _, err := inv.Ask(&wrong); err == nil {
			t.Errorf("%+v: no error", wrong)
		}
	}
	if _, err := inv.Ask(&inventory.Question{BlastRadius: "ca=other"}); !errors.Is(err, inventory.ErrUnknown) {
		t.Errorf("an unknown CA: %v", err)
	}
}

// TestUnmatched: a name that is bound and that nobody has is an open door for whoever gets it.
func TestUnmatched(t *testing.T) {
	t.Parallel()

	inv := inventory.Build(&inventory.Input{Facts: world()})
	if len(inv.Unmatched) != 1 || inv.Unmatched[0].Subject != "User ghost" {
		t.Errorf("unmatched %v, want the user whom nobody is", inv.Unmatched)
	}
}

// TestReport: the same facts give the same bytes, and an earlier report leaves only what is new.
func TestReport(t *testing.T) {
	t.Parallel()

	write := func(f *facts.Facts, earlier *report.Earlier) string {
		inv := inventory.Build(&inventory.Input{Facts: f})
		answer, err := inv.Ask(&inventory.Question{})
		if err != nil {
			t.Fatal(err)
		}
		made, err := inv.Report(answer, report.FormatJSON, "v1", earlier)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := made.Write(&out, report.FormatJSON); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := write(world(), nil)
	if again := write(world(), nil); again != first {
		t.Error("the same facts gave other bytes")
	}
	earlier, err := report.ReadEarlier(strings.NewReader(first), inventory.Keys)
	if err != nil {
		t.Fatal(err)
	}
	f := world()
	f.TokenSecrets = append(f.TokenSecrets, facts.TokenSecret{Namespace: "ci", Name: "new", ServiceAccount: "deployer", AccountUID: "1", Created: now()})
	var read struct {
		Details struct{ Credentials []struct{ ID string } }
	}
	if err := json.Unmarshal([]byte(write(f, earlier)), &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Details.Credentials) != 1 || read.Details.Credentials[0].ID != "SECRET=ci/new" {
		t.Errorf("new: %v", read.Details.Credentials)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()

	access := func(f *facts.Facts) map[string]report.Access {
		all := map[string]report.Access{}
		for _, source := range inventory.Build(&inventory.Input{Facts: f}).Sources() {
			all[source.Name] = source.Access
		}
		return all
	}
	got := access(world())
	for name, want := range map[string]report.Access{"static token file": report.Read, "webhook": report.Off, "OpenID Connect issuers": report.Off, "RBAC": report.Read} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	f := world()
	second := f.APIServers[0]
	second.Name, second.StaticTokens = "b", nil
	f.APIServers = append(f.APIServers, second)
	if got := access(f)["static token file"]; got != report.Partial {
		t.Errorf("the file of one of two replicas was read, and it is %v", got)
	}
	f.APIServers = nil
	for _, name := range []string{"static token file", "webhook", "OpenID Connect issuers"} {
		if got := access(f)[name]; got != report.Unread {
			t.Errorf("no flags are known, and %s is %v", name, got)
		}
	}
}

// TestStaticTokenAtTheGate: a line of a token file and the gate's entry of the same user and place are one line, which is
// named at the gate; another place of the user, and a hashed entry, are lines of their own.
func TestStaticTokenAtTheGate(t *testing.T) {
	t.Parallel()

	server := facts.APIServer{
		Program:      facts.Program{Name: "a", Flags: map[string][]string{"token-auth-file": {"/etc/tokens.csv"}}},
		StaticTokens: &facts.StaticTokenFile{Entries: []facts.StaticToken{{Line: 1, User: "bob"}, {Line: 2, User: "bob"}}},
	}
	f := &facts.Facts{CollectedAt: now(), APIServers: []facts.APIServer{server}}
	second := identity.ClearTextTokenID("bob", 2).Value
	used := now().Add(-time.Hour)
	inv := inventory.Build(&inventory.Input{Facts: f, Ledger: &inventory.Ledger{Cluster: "prod", Entries: []inventory.Entry{
		{ID: second, Mechanism: "staticToken", Username: "bob", LastUsed: used, LastSource: "10.0.0.7", Revoked: true, Revocation: "rev-1"},
		{ID: "STATIC=0123456789abcdef", Mechanism: "staticToken", Username: "bob"},
	}}})
	got := map[string]string{}
	for _, c := range inv.Credentials {
		got[c.ID] = string(c.State) + " " + c.GateID
		if c.ID == "STATICUSER=bob/2" && (!c.LastUsed.Equal(used) || len(c.Sources) != 2) {
			t.Errorf("the joined line: %+v, want both sources and the gate's use", c)
		}
	}
	want := map[string]string{"STATICUSER=bob/1": "unseen ", "STATICUSER=bob/2": "revoked " + second, "STATIC=0123456789abcdef": "unseen "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
