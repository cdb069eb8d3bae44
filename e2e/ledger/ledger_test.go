package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// reviewBody asks who one is, which everybody may.
const reviewBody = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`

// ask asks the API server, through a gate or straight, who one is.
func ask(t *testing.T, config *rest.Config, header http.Header, server string) (int, string) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/apis/authentication.k8s.io/v1/selfsubjectreviews", strings.NewReader(reviewBody))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// everyWay makes a credential of each mechanism: five of one person, three of the cluster's own.
func (h *house) everyWay(t *testing.T) []*credential {
	t.Helper()
	pair, err := h.users.Issue(pki.Client(person, "platform"))
	if err != nil {
		t.Fatal(err)
	}
	portal, err := h.portals.Issue(pki.Client(portalName))
	if err != nil {
		t.Fatal(err)
	}
	idToken, err := shared.issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: keyID, Claims: shared.issuer.Claims(person, audience, "platform")})
	if err != nil {
		t.Fatal(err)
	}
	requested := strings.TrimSpace(func() string {
		out, err := h.guard.MustSucceed(t.Context(), "create", "token", robot, "--namespace=default")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}())
	kept, join := h.secretToken(t), joinID+"."+shared.joinSecret
	privateKey, err := pair.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(name, user, token string, secrets ...string) *credential {
		return &credential{name: name, user: user, access: h.Access().WithToken(token), secrets: append(secrets, token)}
	}
	return []*credential{
		{name: "proxyHeader", user: person, access: h.Access().WithCertificate(portal), header: http.Header{"X-Remote-User": {person}}},
		{name: "clientCertificate", user: person, access: h.Access().WithCertificate(pair), secrets: []string{string(privateKey)}},
		bearer("staticToken", person, h.staticToken),
		bearer("jwt", person, idToken, signatureOf(idToken)),
		bearer("webhook", person, shared.foreignToken),
		bearer("serviceAccountSecret", robotUser, kept, signatureOf(kept)),
		bearer("tokenRequest", robotUser, requested, signatureOf(requested)),
		bearer("bootstrapToken", joinUser, join, shared.joinSecret),
	}
}

// signatureOf is the part of a JWT that makes it a credential.
func signatureOf(token string) string { return token[strings.LastIndex(token, ".")+1:] }

// secretToken is the token that the cluster keeps in a Secret for the robot.
func (h *house) secretToken(t *testing.T) string {
	t.Helper()
	secrets := shared.plane.Admin.CoreV1().Secrets("default")
	name := "robot-" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	if _, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: robot}}, Type: corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token := ""
	stage.Await(t, "the cluster made the token", func(ctx context.Context) bool {
		found, err := secrets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		token = string(found.Data[corev1.ServiceAccountTokenKey])
		return token != ""
	})
	return token
}

// listed reads "kubectl ostiary get credentials -o json".
func (h *house) listed(t *testing.T, args ...string) []listed {
	t.Helper()
	var list struct{ Items []listed }
	if err := json.Unmarshal([]byte(h.ostiary(t, append([]string{"get", "credentials", "-o=json"}, args...)...)), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

type listed struct {
	Metadata struct{ Name string }
	Spec     struct{ ID, Issuer, Mechanism, Username, Cluster string }
	Status   struct {
		State, Origin, Revocation string
		IssuedTo                  struct{ Username, CredentialID string }
	}
}

// TestEveryMechanism: each of the eight mechanisms' credentials is recorded, and shut out when its owner is, with the CA
// untouched, until that is lifted. Afterwards nobody finds a secret in what the gate wrote.
func TestEveryMechanism(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	authority, err := os.ReadFile(h.usersFile)
	if err != nil {
		t.Fatal(err)
	}
	all := h.everyWay(t)
	for _, one := range all {
		if status, body := one.comesIn(t); status != http.StatusCreated || !strings.Contains(body, `"`+one.user+`"`) {
			t.Fatalf("%s: %d %s", one.name, status, body)
		}
	}
	recorded := h.listed(t)
	for _, one := range all {
		if !slices.ContainsFunc(recorded, func(c listed) bool {
			return c.Spec.Mechanism == one.name && c.Spec.Username == one.user && c.Status.State == "active" && c.Spec.Cluster == "prod"
		}) {
			t.Errorf("%s is not on record: %+v", one.name, recorded)
		}
	}
	if !slices.ContainsFunc(recorded, func(c listed) bool {
		return c.Spec.Mechanism == "tokenRequest" && c.Status.Origin == "issued" && c.Status.IssuedTo.Username == guard && c.Status.IssuedTo.CredentialID == fingerprint(h.admin)
	}) {
		t.Errorf("the record does not tell who requested the token: %+v", recorded)
	}

	var names []string
	for _, user := range []string{person, robotUser, joinUser} {
		names = append(names, strings.TrimSpace(h.ostiary(t, "revoke", "--user="+user, "--reason=a test", "-o=name")))
	}
	for _, one := range all {
		if status, body := one.comesIn(t); status != http.StatusUnauthorized || strings.Contains(body, "revoke") {
			t.Errorf("%s after its owner was shut out: %d %s", one.name, status, body)
		}
	}
	if left := h.listed(t, "--state=active", "--user="+person); len(left) != 0 {
		t.Errorf("these count as active: %+v", left)
	}
	if after, err := os.ReadFile(h.usersFile); err != nil || !bytes.Equal(after, authority) {
		t.Errorf("the CA was touched: %v", err)
	}
	for _, name := range names {
		h.ostiary(t, "lift", name, "--reason=over")
	}
	for _, one := range all {
		if status, _ := one.comesIn(t); status != http.StatusCreated {
			t.Errorf("%s after the lift: %d", one.name, status)
		}
	}

	h.searchSecrets(t, all)
}

// searchSecrets looks for every secret on the disk, in logs, metrics and the API's answers.
func (h *house) searchSecrets(t *testing.T, all []*credential) {
	t.Helper()
	places := map[string][]byte{}
	if err := filepath.WalkDir(h.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		places[path] = content
		return err
	}); err != nil {
		t.Fatal(err)
	}
	metrics, err := h.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	places["metrics"] = []byte(metrics)
	for _, what := range []string{"credentials", "revocations", "streams"} {
		places["answer about "+what] = []byte(h.ostiary(t, "get", what, "-o=json"))
	}
	looked, inLedger := 0, 0
	for place, content := range places {
		if strings.HasSuffix(place, "tokens.csv") || strings.Contains(place, "-ca") {
			continue // what the test wrote
		}
		if strings.Contains(place, "/ledger/") {
			inLedger++
			for _, name := range []string{person, robotUser, joinUser, "X509SHA256=", "JTI="} {
				if bytes.Contains(content, []byte(name)) {
					t.Errorf("%q stands in the clear in %s", name, place)
				}
			}
		}
		for _, one := range all {
			for _, secret := range one.secrets {
				if looked++; bytes.Contains(content, []byte(secret)) {
					t.Errorf("a secret of %s stands in %s", one.name, place)
				}
			}
		}
	}
	if looked < 100 || inLedger < 2 {
		t.Errorf("looked for secrets %d times, in %d files of the ledger: that proves nothing", looked, inLedger)
	}
	t.Logf("looked for secrets %d times in %d places", looked, len(places))
}

// TestStrict: where a mechanism is strict, only what is on record comes in, however it came there (G-08).
func TestStrict(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		ledger := h.ledger()
		ledger["strict"] = []string{"clientCertificate"}
		// Nobody is on record yet, the guard neither.
		ledger["breakGlass"] = []any{gate.Object{"id": fingerprint(h.admin)}}
	})
	lax := open(t, nil) // the twin
	issue := func(name string) (*credential, string) {
		pair, err := h.users.Issue(pki.Client(name))
		if err != nil {
			t.Fatal(err)
		}
		files, err := pair.Write(t.TempDir(), name)
		if err != nil {
			t.Fatal(err)
		}
		return &credential{name: name, user: name, access: h.Access().WithCertificate(pair)}, files.Cert
	}
	stray, _ := issue("stray")
	if status, _ := stray.comesIn(t); status != http.StatusUnauthorized {
		t.Errorf("a certificate that is not on record: %d", status)
	}
	if _, err := h.WaitLog(t.Context(), func(line gate.Object) bool {
		return strings.Contains(toText(line["msg"]), "not on record") && line["user"] == "stray"
	}); err != nil {
		t.Errorf("no alarm: %v", err)
	}
	if _, err := h.WaitAccessLog(t.Context(), func(line gate.Line) bool { return line.Reason == "unrecorded" }); err != nil {
		t.Errorf("not in the access log: %v", err)
	}
	// The guard comes in by a token here, and puts certificates on record.
	idToken, err := shared.issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: keyID, Claims: shared.issuer.Claims(guard, audience)})
	if err != nil {
		t.Fatal(err)
	}
	h.guard = h.as(t, h.Access().WithToken(idToken))
	known, file := issue("known")
	h.ostiary(t, "import", "--certificates="+file)
	if status, _ := known.comesIn(t); status != http.StatusCreated {
		t.Errorf("a certificate that was imported: %d", status)
	}
	if status, _ := stray.comesIn(t); status != http.StatusUnauthorized {
		t.Errorf("a certificate that is not on record: %d", status)
	}

	// One that the cluster signs is on record as soon as it is.
	signed := h.signed(t, "signed")
	stage.Await(t, "the signed certificate is on record", func(context.Context) bool {
		return slices.ContainsFunc(h.listed(t, "--user=signed"), func(c listed) bool { return c.Status.Origin == "found" }) //nolint:contextcheck // it has the test's
	})
	if status, _ := signed.comesIn(t); status != http.StatusCreated {
		t.Errorf("a certificate that the cluster signed: %d", status)
	}
	h.ostiary(t, "import", "--certificate-requests", "--secrets", "--cluster-name=prod")
	if got := h.listed(t, "--mechanism=bootstrapToken"); len(got) != 1 {
		t.Errorf("bootstrap tokens on record: %+v", got)
	}
	laxPair, err := lax.users.Issue(pki.Client("stray"))
	if err != nil {
		t.Fatal(err)
	}
	twin := &credential{access: lax.Access().WithCertificate(laxPair)}
	if status, _ := twin.comesIn(t); status != http.StatusCreated {
		t.Errorf("the twin: %d", status)
	}
}

func toText(value any) string { text, _ := value.(string); return text }

// signed has the cluster sign a client certificate.
func (h *house) signed(t *testing.T, user string) *credential {
	t.Helper()
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: user}}, key)
	if err != nil {
		t.Fatal(err)
	}
	requests := shared.plane.Admin.CertificatesV1().CertificateSigningRequests()
	name := user + "-" + strings.ToLower(t.Name())
	request, err := requests.Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
	})
	if _, err := requests.UpdateApproval(t.Context(), name, request, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	var certificate []byte
	stage.Await(t, "the cluster signed", func(ctx context.Context) bool {
		found, err := requests.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		certificate = found.Status.Certificate
		return len(certificate) > 0
	})
	block, _ := pem.Decode(certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &credential{name: user, user: user, access: h.Access().WithCertificate(pki.PairOf(leaf, key))}
}

// TestDistrust: a CA is distrusted from a date on, without a restart and with its file as it was; what it signed before
// counts, and open streams of the rest end (G-07).
func TestDistrust(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	issue := func(notBefore time.Time) *credential {
		leaf := pki.Client(guard)
		leaf.NotBefore, leaf.NotAfter = notBefore, time.Now().Add(time.Hour)
		pair, err := h.users.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		return &credential{access: h.Access().WithCertificate(pair)}
	}
	early, late := issue(time.Now().Add(-48*time.Hour)), issue(time.Now().Add(-time.Minute))
	watching := map[string]*kubectl.Session{}
	for name, one := range map[string]*credential{"early": early, "late": late} {
		session, err := h.as(t, one.access).Start(t.Context(), "ostiary", "get", "credentials", "--watch")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(session.Stop)
		if err := session.WaitFor(t.Context(), "CREDENTIAL"); err != nil {
			t.Fatal(err)
		}
		watching[name] = session
	}
	stage.Await(t, "both watches are open", func(context.Context) bool {
		return strings.Count(h.ostiary(t, "get", "streams"), "watch credentials") == 2 //nolint:contextcheck // it has the test's
	})
	for name, one := range map[string]*credential{"early": early, "late": late} {
		if status, _ := one.comesIn(t); status != http.StatusCreated {
			t.Errorf("%s: %d", name, status)
		}
	}
	// The guard's certificate is of the same CA, so that it would be shut out too.
	refused, err := h.guard.Run(t.Context(), "ostiary", "revoke", "--ca="+h.usersFile, "--reason=key stolen")
	if err != nil || refused.ExitCode != 1 {
		t.Errorf("%v\n%s", err, refused)
	}
	h.ostiary(t, "revoke", "--ca="+h.usersFile, "--issued-from="+time.Now().Add(-24*time.Hour).UTC().Format(time.RFC3339), "--reason=key stolen", "--including-myself")
	if status, _ := early.comesIn(t); status != http.StatusCreated {
		t.Errorf("what it signed before: %d", status)
	}
	if status, _ := late.comesIn(t); status != http.StatusUnauthorized {
		t.Errorf("what it signed after: %d", status)
	}
	limited := stage.Within(t)
	if err := watching["late"].Wait(limited); err == nil || limited.Err() != nil {
		t.Errorf("a stream of what it signed after ended with %v", err)
	}
	select {
	case <-watching["early"].Done():
		t.Errorf("a stream of what it signed before ended:\n%s", watching["early"].Output())
	default:
	}
}
