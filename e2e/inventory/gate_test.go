package inventory_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// guarded is a gate before the shared control plane, with a ledger.
type guarded struct {
	*gate.Gate

	// admin is a kubeconfig of whoever runs it, which leads through it.
	admin string
}

func openGate(t *testing.T) *guarded {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	const account, guard = "inventory-gate", "inventory-guard"
	for _, grant := range []struct {
		name    string
		rules   []rbacv1.PolicyRule
		subject rbacv1.Subject
	}{
		{account, []rbacv1.PolicyRule{
			{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
			{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
			{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests"}, Verbs: []string{"list", "watch"}},
		}, controlplane.User(account)},
		{guard, []rbacv1.PolicyRule{
			{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}},
			{NonResourceURLs: []string{"*"}, Verbs: []string{"*"}},
		}, controlplane.User(guard)},
	} {
		must(shared.plane.Grant(t.Context(), grant.name, grant.rules, grant.subject))
	}
	must(shared.plane.Bind(t.Context(), account+"-keys", "system:service-account-issuer-discovery", controlplane.User(account)))
	access, err := shared.plane.CertificateAccess(pki.Client(account))
	must(err)
	accountFile, tokens, authentication := filepath.Join(dir, "account.kubeconfig"), filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "authentication.json")
	must(access.Write(accountFile))
	must(pki.WriteFile(tokens, []byte(staticToken+`,bob,u-bob,"static-people"`+"\n")))
	providers, err := authenticationConfiguration(shared.issuer)
	must(err)
	must(pki.WriteFile(authentication, providers))
	cluster, err := gate.RequestHeader(shared.plane, "prod")
	must(err)
	cluster["access"] = gate.Object{"kubeconfig": accountFile}
	cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keysFromCluster": true}
	started, err := gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Dir: dir, Config: gate.Object{
		"clusters": []any{cluster},
		"ledger":   gate.Object{"embedded": gate.Object{"directory": filepath.Join(dir, "ledger")}, "certificateSigningRequests": true},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []string{shared.plane.ClientCAFile()}},
			"staticToken":       gate.Object{"file": tokens, "allowClearText": true},
			"tokenRequest":      gate.Object{},
			"jwt":               gate.Object{"file": authentication},
		},
	}})
	must(err)
	t.Cleanup(func() {
		if err := started.Stop(); err != nil {
			t.Error(err)
		}
	})
	pair, err := shared.plane.Authorities.Client.Issue(pki.Client(guard))
	must(err)
	g := &guarded{Gate: started, admin: filepath.Join(dir, "guard.kubeconfig")}
	must(g.Access().WithCertificate(pair).Write(g.admin))
	return g
}

// status asks through the gate who one is.
func (g *guarded) status(t *testing.T, access kubectl.Access) int {
	t.Helper()
	config, err := access.WithServer(g.URL, g.CA).REST()
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // nothing was written
	return response.StatusCode
}

// TestGate lists what a gate's ledger holds beside what the cluster tells, each credential once, and carries a review's
// revocations out: what was decided to go does not get in by the gate any more, and what was to stay does.
func TestGate(t *testing.T) {
	g := openGate(t)
	pair, err := shared.plane.Authorities.Client.Issue(pki.Client("gina", "dev"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := shared.plane.Admin.CoreV1().ServiceAccounts("ci").CreateToken(t.Context(), "deployer", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	robotID, err := jti(made.Status.Token)
	if err != nil {
		t.Fatal(err)
	}
	shared.planted.secrets = append(shared.planted.secrets, made.Status.Token)
	const bob = "STATICUSER=bob/1"
	gina, robot := fingerprint(pair.Certificate.Raw), "JTI="+robotID
	ways := map[string]kubectl.Access{
		gina: g.Access().WithCertificate(pair), robot: g.Access().WithToken(made.Status.Token), bob: g.Access().WithToken(staticToken),
	}
	for id, access := range ways {
		if got := g.status(t, access); got != http.StatusOK {
			t.Fatalf("%s gets in by the gate with status %d", id, got)
		}
	}

	list := func(want int, args ...string) inventoryReport {
		t.Helper()
		result := runCommand(t, g.admin, want, append([]string{"inventory", "--output", "json", "--all"}, args...)...)
		var read inventoryReport
		if err := json.Unmarshal([]byte(result.Stdout), &read); err != nil {
			t.Fatalf("%v\n%s", err, result)
		}
		return read
	}
	// The ledger writes what was used in the background.
	var report inventoryReport
	listed := func(context.Context) (bool, error) {
		report = list(0, evidence(t)...)
		for id := range ways {
			if line := report.byID(id); line == nil || !slices.Contains(line.Sources, "the gate's ledger") {
				return false, nil
			}
		}
		return true, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, stage.Deadline, true, listed); err != nil {
		t.Fatalf("not all that was used is listed as the ledger's: %v\n%+v", err, report.Details.Credentials)
	}
	if i := slices.IndexFunc(report.Sources, func(s source) bool { return s.Name == "the gate's ledger" }); i < 0 || report.Sources[i].Access != "read" {
		t.Errorf("the ledger is not among the sources that were read: %+v", report.Sources)
	}
	for id, want := range map[string][]string{
		robot: {"the gate's ledger", "records of use"}, bob: {"the gate's ledger", "static token file"},
	} {
		line := report.byID(id)
		for _, one := range want {
			if !slices.Contains(line.Sources, one) {
				t.Errorf("%s is known from %v, want %s, too", id, line.Sources, one)
			}
		}
	}
	if line := report.byID(bob); !strings.HasPrefix(line.GateID, "STATIC=cleartext-") || report.byID(line.GateID) != nil {
		t.Errorf("bob's token is at the gate as %q, want one line for both", line.GateID)
	}
	if line := report.byID(gina); line.LastUsed == "" || len(line.From) == 0 || line.State != "unrecorded" {
		t.Errorf("gina's certificate: %+v, want its use by the gate, and that nobody recorded its issue", line)
	}

	// A review decides that the three go.
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	frozen, sheet, decided := file("review.json"), file("sheet.csv"), file("decided.json")
	runCommand(t, g.admin, 0, append([]string{"review", "start", "--out", frozen, "--sheet", sheet}, evidence(t)...)...)
	decideSheet(t, sheet, func(id string) (string, string, string) {
		if _, goes := ways[id]; goes {
			return "ruth", "revoke", "not needed any more"
		}
		return "ruth", "keep", "known"
	})
	runCommand(t, g.admin, 0, "review", "decide", "--review", frozen, "--decisions", sheet, "--out", decided, "--revoke")
	for id, access := range ways {
		if got := g.status(t, access); got != http.StatusUnauthorized {
			t.Errorf("%s was decided to go, and gets in by the gate with status %d", id, got)
		}
	}
	if got := g.status(t, g.Access().WithToken(shared.planted.kept)); got != http.StatusOK {
		t.Errorf("carol's token was to stay, and gets status %d", got)
	}
	result := runCommand(t, g.admin, 0, append([]string{"review", "finish", "--review", decided, "--output", "json"}, evidence(t)...)...)
	var finished struct {
		Details struct {
			Outcomes []struct {
				Item     struct{ ID string }
				Decision struct{ Verdict, Revocation string }
				Now      string
				Proven   bool
			}
		}
	}
	if err := json.Unmarshal([]byte(result.Stdout), &finished); err != nil {
		t.Fatal(err)
	}
	proven := 0
	for _, o := range finished.Details.Outcomes {
		if _, goes := ways[o.Item.ID]; !goes {
			continue
		}
		proven++
		if o.Now != "revoked" || !o.Proven || o.Decision.Revocation == "" {
			t.Errorf("the evidence of %s: %+v, want it revoked, with the revocation's name", o.Item.ID, o)
		}
		// The name in the evidence is that of a revocation that stands.
		got := runCommand(t, g.admin, 0, "get", "revocations", "--output", "json").Stdout
		if !strings.Contains(got, o.Decision.Revocation) {
			t.Errorf("the ledger has no revocation %s", o.Decision.Revocation)
		}
	}
	if proven != len(ways) {
		t.Errorf("%d of %d lines are in the evidence", proven, len(ways))
	}

	// Lifted behind the review's back, it works again, and that is found out.
	name := finished.Details.Outcomes[slices.IndexFunc(finished.Details.Outcomes, func(o struct {
		Item     struct{ ID string }
		Decision struct{ Verdict, Revocation string }
		Now      string
		Proven   bool
	},
	) bool {
		return o.Item.ID == gina
	})].Decision.Revocation
	runCommand(t, g.admin, 0, "lift", name, "--reason", "a mistake")
	if got := g.status(t, ways[gina]); got != http.StatusOK {
		t.Errorf("a lifted revocation refuses still, with status %d", got)
	}
	again := runCommand(t, g.admin, 1, append([]string{"review", "finish", "--review", decided, "--output", "json"}, evidence(t)...)...)
	if !strings.Contains(again.Stdout, `"rule": "RV-01"`) || !strings.Contains(again.Stdout, gina) {
		t.Error("nothing says that gina's certificate works again")
	}
}

// decideSheet fills a sheet in.
func decideSheet(t *testing.T, sheet string, verdict func(id string) (reviewer, decision, reason string)) {
	t.Helper()
	data, err := os.ReadFile(sheet)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(lines[0], name) }
	for _, line := range lines[1:] {
		line[column("REVIEWER")], line[column("DECISION")], line[column("REASON")] = verdict(line[column("ID")])
	}
	var out strings.Builder
	if err := csv.NewWriter(&out).WriteAll(lines); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sheet, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
