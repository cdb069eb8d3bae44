package inventory_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// What is planted in clear. Nothing of it may ever be in an output.
const (
	staticToken     = "Zk3vQ8sT1yLw6RbN9xGm"
	bootstrapID     = "joinme"
	bootstrapSecret = "h4v9x2q7m1k8w5z3"
	webhookToken    = "hook-5Jr8Wd2Pn7Xc4Vt"
)

// planted is a credential of each mechanism.
type planted struct {
	// want are the ids that the inventory must list, by what they are.
	want map[string]string
	// secrets are all tokens and keys, for the search in outputs.
	secrets []string
	// folder holds the kubeconfigs; frontProxy is the proxies' certificate.
	folder, frontProxy string
	// kept is carol's token, which the provider made.
	kept string
	// unrecorded is the id of a certificate that was signed with the CA's key and with nobody's knowledge.
	unrecorded string
}

// startWebhook answers TokenReviews: one token is good.
func startWebhook() (*httptest.Server, string, error) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		if review.Spec.Token == webhookToken {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "hook:dave", Groups: []string{"hook:people"}}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	file, err := os.CreateTemp("", "webhook-*.kubeconfig")
	if err != nil {
		return nil, "", err
	}
	if err := file.Close(); err != nil {
		return nil, "", err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server, file.Name(), kubectl.Access{Server: server.URL, CA: ca}.Write(file.Name())
}

func authenticationConfiguration(issuer *minter.Minter) ([]byte, error) {
	type object = map[string]any
	return json.Marshal(object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"jwt": []object{{
			"issuer":        object{"url": issuer.Issuer, "audiences": []string{"kubernetes"}, "certificateAuthority": string(issuer.CA)},
			"claimMappings": object{"username": object{"claim": "sub", "prefix": "oidc:"}, "groups": object{"claim": "groups", "prefix": "oidc:"}},
		}},
	})
}

func plant(ctx context.Context) (*planted, error) {
	p := &planted{want: map[string]string{}, folder: filepath.Join(shared.plane.Dir, "people"), secrets: []string{staticToken, bootstrapSecret, webhookToken}}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return nil, err
	}
	if err := shared.plane.Bind(ctx, "readers", "view",
		controlplane.Group("static-people"), controlplane.Group("hook:people"), controlplane.Group("oidc:people"), controlplane.Group("header-people"),
		controlplane.User("alice"), controlplane.User("mallory")); err != nil {
		return nil, err
	}
	if err := shared.plane.Bind(ctx, "robot-admin", "cluster-admin", serviceAccount("ci", "robot")); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{p.accounts, p.certificates, p.tokens, p.proxy} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// use makes one request with a credential, which must be let in.
func use(ctx context.Context, access kubectl.Access) error {
	config, err := access.REST()
	if err != nil {
		return err
	}
	return useConfig(ctx, config)
}

func useConfig(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return err
}

func (p *planted) useToken(ctx context.Context, token string) error {
	p.secrets = append(p.secrets, token)
	return use(ctx, shared.plane.Access().WithToken(token))
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "X509SHA256=" + hex.EncodeToString(sum[:])
}

// accounts plants a token Secret and a requested token.
func (p *planted) accounts(ctx context.Context) error {
	core := shared.plane.Admin.CoreV1()
	if _, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, name := range []string{"robot", "deployer"} {
		if _, err := core.ServiceAccounts("ci").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if _, err := core.Secrets("ci").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "deployer-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "deployer"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	var token string
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, stage.Deadline, true, func(ctx context.Context) (bool, error) {
		secret, err := core.Secrets("ci").Get(ctx, "deployer-token", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = string(secret.Data[corev1.ServiceAccountTokenKey])
		return token != "", nil
	}); err != nil {
		return fmt.Errorf("the token controller filled no Secret: %w", err)
	}
	p.want["serviceAccountSecret"] = "SECRET=ci/deployer-token"
	if err := p.useToken(ctx, token); err != nil {
		return err
	}
	requested, err := core.ServiceAccounts("ci").CreateToken(ctx, "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := p.useToken(ctx, requested.Status.Token); err != nil {
		return err
	}
	id, err := jti(requested.Status.Token)
	p.want["tokenRequest"] = "JTI=" + id
	return err
}

// certificates plants one that was asked for, one in a file, and one that nobody knows of.
func (p *planted) certificates(ctx context.Context) error {
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "alice", Organization: []string{"dev"}}}, key)
	if err != nil {
		return err
	}
	requests := shared.plane.Admin.CertificatesV1().CertificateSigningRequests()
	csr, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "alice"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}),
			SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
	})
	if _, err := requests.UpdateApproval(ctx, "alice", csr, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, stage.Deadline, true, func(ctx context.Context) (bool, error) {
		csr, err = requests.Get(ctx, "alice", metav1.GetOptions{})
		return err == nil && len(csr.Status.Certificate) > 0, err
	}); err != nil {
		return fmt.Errorf("no certificate was issued: %w", err)
	}
	block, _ := pem.Decode(csr.Status.Certificate)
	p.want["clientCertificate"] = fingerprint(block.Bytes)
	config, err := shared.plane.Access().REST()
	if err != nil {
		return err
	}
	config.CertData = csr.Status.Certificate
	if config.KeyData, err = pki.PrivateKeyPEM(key); err != nil {
		return err
	}
	if err := useConfig(ctx, config); err != nil {
		return err
	}
	// Signed by hand, as with a stolen key.
	forged, err := shared.plane.Authorities.Client.Issue(pki.Client("mallory", "dev"))
	if err != nil {
		return err
	}
	p.unrecorded = fingerprint(forged.Certificate.Raw)
	p.want["clientCertificate of nobody's issue"] = p.unrecorded
	if err := use(ctx, shared.plane.Access().WithCertificate(forged)); err != nil {
		return err
	}
	// In a file alone, never used.
	filed, err := shared.plane.Authorities.Client.Issue(pki.Client("breakglass", "system:masters"))
	if err != nil {
		return err
	}
	p.want["clientCertificate in a file"] = fingerprint(filed.Certificate.Raw)
	return shared.plane.Access().WithCertificate(filed).Write(filepath.Join(p.folder, "breakglass.kubeconfig"))
}

// tokens plants a bootstrap token, and uses those of the file, the provider and the webhook.
func (p *planted) tokens(ctx context.Context) error {
	if _, err := shared.plane.Admin.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + bootstrapID}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{
			"token-id": bootstrapID, "token-secret": bootstrapSecret, "usage-bootstrap-authentication": "true",
			"expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "auth-extra-groups": "system:bootstrappers:test",
		},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	p.want["bootstrapToken"] = "BOOTSTRAP=" + bootstrapID
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, stage.Deadline, true, func(ctx context.Context) (bool, error) {
		return p.useToken(ctx, bootstrapID+"."+bootstrapSecret) == nil, nil // the API server watches Secrets
	}); err != nil {
		return err
	}
	p.want["staticToken"] = "STATICUSER=bob/1"
	if err := p.useToken(ctx, staticToken); err != nil {
		return err
	}
	if _, err := shared.issuer.NewKey("k1", "ES256"); err != nil {
		return err
	}
	claims := shared.issuer.Claims("carol", "kubernetes", "people")
	token, err := shared.issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: "k1", Claims: claims})
	if err != nil {
		return err
	}
	p.want["jwt"], p.kept = "USER=jwt/oidc:carol", token
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, stage.Deadline, true, func(ctx context.Context) (bool, error) {
		return p.useToken(ctx, token) == nil, nil // the API server fetches keys in its own time
	}); err != nil {
		return err
	}
	p.want["webhook"] = "USER=hook:dave"
	return p.useToken(ctx, webhookToken)
}

// proxy says in headers who erin is.
func (p *planted) proxy(ctx context.Context) error {
	files, err := shared.plane.FrontProxy()
	if err != nil {
		return err
	}
	p.frontProxy = files.Cert
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return err
	}
	p.want["proxyHeader"], p.want["proxyHeader's certificate"] = "USER=erin", fingerprint(pair.Certificate[0])
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: shared.plane.Authorities.Serving.Pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, shared.plane.URL+"/api", nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Remote-User", "erin")
	request.Header.Set("X-Remote-Group", "header-people")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy's user got status %d", response.StatusCode)
	}
	return nil
}

// jti is the id that a token says it has.
func jti(token string) (string, error) {
	var claims struct {
		ID string `json:"jti"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	err = json.Unmarshal(payload, &claims)
	return claims.ID, err
}

func serviceAccount(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}
