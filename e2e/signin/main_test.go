// Package signin_test signs people and pipelines in at Ostiary, the built program, with a real OpenID Connect provider and in front
// of a real API server, and takes from them what they got.
package signin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/oidcprovider"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	jane, joe   = "jane", "joe"
	mover       = "mover" // whose groups change
	robot       = "robot"
	robotUser   = "system:serviceaccount:default:" + robot
	password    = "correct horse battery staple"
	guard       = "guard"
	accountName = "ostiary-account"
	// deadline bounds every wait.
	deadline = stage.Deadline
	// retryAfter is what the gate says with 503.
	retryAfter = time.Second
)

// shared is what all tests use.
var shared struct {
	paths    binaries.Paths
	plane    *controlplane.ControlPlane
	provider *oidcprovider.Provider
	account  string // the gate's kubeconfig
}

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.provider, err = oidcprovider.Start(ctx, oidcprovider.Options{SessionIDs: true, Users: []oidcprovider.User{
		{Name: jane, Password: password, Groups: []string{"platform"}}, {Name: joe, Password: password}, {Name: mover, Password: password, Groups: []string{"one"}},
	}}); err != nil {
		return err
	}
	s.AtEnd(shared.provider.Stop)
	if shared.plane, err = s.Plane(ctx, controlplane.Options{}); err != nil {
		return err
	}
	return prepare(ctx)
}

// prepare makes the gate's account, and who may revoke and issue.
func prepare(ctx context.Context) error {
	plane, account := shared.plane, controlplane.User(accountName)
	if err := plane.Grant(ctx, accountName, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch", "create"}},
	}, account); err != nil {
		return err
	}
	if err := plane.Bind(ctx, accountName+"-keys", "system:service-account-issuer-discovery", account); err != nil {
		return err
	}
	if err := plane.Grant(ctx, "e2e-readers", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list", "watch"}},
	}, controlplane.User(jane), controlplane.User(joe), controlplane.User(mover), controlplane.User(robotUser), controlplane.User("builder")); err != nil {
		return err
	}
	if _, err := plane.Admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: robot}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := plane.Grant(ctx, "e2e-guard", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"*"}, Verbs: []string{"*"}},
	}, controlplane.User(guard)); err != nil {
		return err
	}
	if err := plane.Grant(ctx, "e2e-builders", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"issue"}, Verbs: []string{"create"}, ResourceNames: []string{"builder"}},
	}, controlplane.User(joe)); err != nil {
		return err
	}
	access, err := plane.CertificateAccess(pki.Client(accountName))
	if err != nil {
		return err
	}
	shared.account = filepath.Join(plane.Dir, accountName+".kubeconfig")
	return access.Write(shared.account)
}

// house is a gate where people sign in.
type house struct {
	*gate.Gate
	guard kubectl.Command
	admin *pki.KeyPair // the guard's
}

// open starts a gate. change changes its configuration before that.
func open(t *testing.T, change func(gate.Object)) *house {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	users, err := pki.NewAuthority("users-ca")
	must(err)
	usersFile, err := users.Write(dir, "users-ca")
	must(err)
	authentication, err := shared.provider.AuthenticationConfiguration()
	must(err)
	authenticationFile := filepath.Join(dir, "authentication.yaml")
	must(pki.WriteFile(authenticationFile, authentication))
	providerCA := filepath.Join(dir, "provider-ca.pem")
	must(pki.WriteFile(providerCA, shared.provider.CA))
	root := filepath.Join(dir, "issuer.pem")
	if out, err := exec.CommandContext(t.Context(), shared.paths[binaries.Ostiary], "issuer", "new-root", root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cluster, err := gate.RequestHeader(shared.plane, "prod")
	must(err)
	cluster["access"] = gate.Object{"kubeconfig": shared.account}
	cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keysFromCluster": true}
	second := maps.Clone(cluster) // the same API server under another name: people are the same there, ServiceAccounts need not be
	second["name"] = "second"
	config := gate.Object{
		"clusters": []any{cluster, second},
		"ledger":   gate.Object{"embedded": gate.Object{"directory": filepath.Join(dir, "ledger")}},
		"issuer":   gate.Object{"rootFile": root},
		"signIn": gate.Object{"providers": []any{gate.Object{
			"name": "main", "issuer": shared.provider.Issuer, "clientID": shared.provider.ClientID, "certificateAuthorityFile": providerCA,
		}}},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []string{usersFile}},
			"tokenRequest":      gate.Object{},
			"jwt":               gate.Object{"file": authenticationFile},
		},
	}
	if change != nil {
		change(config)
	}
	h := new(house)
	h.Gate, err = gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: config, Dir: dir})
	must(err)
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin, err := users.Issue(pki.Client(guard))
	must(err)
	h.admin = admin
	h.guard = h.as(t, h.Access().WithCertificate(admin))
	return h
}

// as is a kubectl, with the plugin, for whoever has a credential.
func (h *house) as(t *testing.T, access kubectl.Access) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// client trusts the gate, and shows a certificate if there is one.
func (h *house) client(certificate *tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(h.CA)
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// ask sends a request, and returns the status and the body. It asks again where the gate says that this may help, as every client
// does: on a busy machine the ledger may not be proven fresh for a moment.
func ask(t *testing.T, client *http.Client, method, address, contentType, body string) (int, string) {
	t.Helper()
	for over := time.After(deadline); ; {
		status, content := askOnce(t, client, method, address, contentType, body)
		if status != http.StatusServiceUnavailable {
			return status, content
		}
		select {
		case <-over:
			return status, content
		case <-time.After(retryAfter):
		}
	}
}

func askOnce(t *testing.T, client *http.Client, method, address, contentType, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// key is a key with a request for a certificate, of which the key alone should count.
type key struct {
	private *ecdsa.PrivateKey
	csr     []byte
}

func newKey(t *testing.T) *key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key{private, requestFor(t, private)}
}

// requestFor asks for a certificate for a key, in a name that nobody must get by that.
func requestFor(t *testing.T, private *ecdsa.PrivateKey) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:admin", Organization: []string{"system:masters"}},
	}, private)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// The paths and names on the wire, as they are documented: this is a client that shares no code with the gate.
const (
	tokenPath     = "/.ostiary/token"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeIDToken   = "urn:ietf:params:oauth:token-type:id_token"
)

// answer is that of a token exchange.
type answer struct {
	AccessToken      string    `json:"access_token"`
	IssuedTokenType  string    `json:"issued_token_type"`
	TokenType        string    `json:"token_type"`
	ExpiresIn        int64     `json:"expires_in"`
	CredentialID     string    `json:"credential_id"`
	Session          string    `json:"session"`
	SessionExpiresAt time.Time `json:"session_expires_at"`
	Username         string    `json:"username"`
	Groups           []string  `json:"groups"`
}

// signed is what somebody has who signed in.
type signed struct {
	answer
	certificate tls.Certificate
	private     *ecdsa.PrivateKey
}

// login signs a user in at the provider, with a browser's means, and returns the ID token.
func login(t *testing.T, user string) string {
	t.Helper()
	token, err := shared.provider.Login(t.Context(), user, password)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// exchange asks for a certificate, and returns the status and the body.
func (h *house) exchange(t *testing.T, token string, k *key, more url.Values) (int, string) {
	t.Helper()
	form := url.Values{
		"grant_type": {grantExchange}, "subject_token": {token}, "subject_token_type": {typeIDToken},
		"csr": {base64.RawURLEncoding.EncodeToString(k.csr)},
	}
	maps.Copy(form, more)
	return ask(t, h.client(nil), http.MethodPost, h.URL+tokenPath, "application/x-www-form-urlencoded", form.Encode())
}

// signIn wants an exchange to succeed.
func (h *house) signIn(t *testing.T, token string, k *key, more url.Values) *signed {
	t.Helper()
	status, body := h.exchange(t, token, k, more)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	s := new(signed)
	if err := json.Unmarshal([]byte(body), &s.answer); err != nil {
		t.Fatal(err)
	}
	s.certificate.PrivateKey, s.private = k.private, k.private
	for rest := []byte(s.AccessToken); ; {
		block, more := pem.Decode(rest)
		if block == nil {
			return s
		}
		s.certificate.Certificate, rest = append(s.certificate.Certificate, block.Bytes), more
	}
}

// kubectl is one for who signed in.
func (h *house) kubectl(t *testing.T, s *signed) kubectl.Command {
	t.Helper()
	leaf, err := x509.ParseCertificate(s.certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return h.as(t, h.Access().WithCertificate(pki.PairOf(leaf, s.private, s.certificate.Certificate[1:]...)))
}
