package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	clientv3 "go.etcd.io/etcd/client/v3"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// plantLoose leaves traces of use that should not be: names from a webhook, tokens that live for days, a pod's token in
// somebody's hands, a token that nobody issued, an administrator who was away for months; and a certificate of the legacy
// signer.
func plantLoose(ctx context.Context, w *world) error {
	w.secrets = append(w.secrets, hookToken)
	return steps(ctx, w,
		func(ctx context.Context, w *world) error {
			return uses(ctx, w.Access().WithToken(hookToken), w, "get", "pods")
		},
		func(ctx context.Context, w *world) error { return signIn(ctx, w, 48*time.Hour) },
		func(ctx context.Context, w *world) error {
			token, err := podToken(ctx, w, w.Admin)
			if err != nil {
				return err
			}
			return uses(ctx, w.Access().WithToken(token), w, "get", "pods")
		},
		forge, legacy, administrators,
	)
}

// signIn uses a token of the provider, and leaves it in a kubeconfig.
func signIn(ctx context.Context, w *world, lifetime time.Duration) error {
	claims := shared.issuer.Claims("carol", "kubernetes")
	claims["exp"] = time.Now().Add(lifetime).Unix()
	token, err := shared.issuer.Mint(minter.Token{Algorithm: "RS256", KeyID: "people", Claims: claims})
	if err != nil {
		return err
	}
	w.secrets = append(w.secrets, token)
	access := w.Access().WithToken(token)
	if err := until(ctx, "a sign-in of carol", func(ctx context.Context) (bool, error) { return whoIs(ctx, w, token, "") }); err != nil {
		return err
	}
	return w.kubeconfig("carol", access)
}

// whoIs reports whether a token lets somebody in, as a program that says of itself what is given.
func whoIs(ctx context.Context, w *world, token, agent string) (bool, error) {
	config, err := w.Access().WithToken(token).REST()
	if err != nil {
		return false, err
	}
	config.UserAgent = agent
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return false, err
	}
	_, err = client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return err == nil, err
}

// podToken makes a node, a pod on it, and has a token made that is bound to the pod, by whoever the client is.
func podToken(ctx context.Context, w *world, client kubernetes.Interface) (string, error) {
	core := w.Admin.CoreV1()
	node, err := core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}
	if _, err := core.Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return "", err
	}
	if _, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder"}}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	pod, err := core.Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "builder"},
		Spec:       corev1.PodSpec{ServiceAccountName: "builder", NodeName: "node-1", Containers: []corev1.Container{{Name: "c", Image: "none.example.com/none"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	var made *authenticationv1.TokenRequest
	if err := until(ctx, "a token of the pod", func(ctx context.Context) (bool, error) { // a node may have one as soon as its pod is known to the authorizer
		made, err = client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "builder", &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}},
		}, metav1.CreateOptions{})
		return err == nil, err
	}); err != nil {
		return "", err
	}
	w.secrets = append(w.secrets, made.Status.Token)
	return made.Status.Token, nil
}

// forge signs a token of an account with the cluster's key, as whoever stole it can, and uses it.
func forge(ctx context.Context, w *world) error {
	account, err := w.Admin.CoreV1().ServiceAccounts("default").Get(ctx, "builder", metav1.GetOptions{})
	if err != nil {
		return err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: w.ServiceAccountKey}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return err
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": controlplane.Issuer, "sub": "system:serviceaccount:default:builder", "aud": []string{controlplane.Issuer}, "jti": forgedID,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": account.Name, "uid": account.UID}},
	})
	if err != nil {
		return err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return err
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return err
	}
	w.secrets = append(w.secrets, token)
	if ok, err := whoIs(ctx, w, token, "builder/v1"); !ok {
		return fmt.Errorf("the API server refuses a token that its own key signed: %w", err)
	}
	return nil
}

// forgedID is the id of the token that nobody issued.
const forgedID = "0f0f0f0f-0000-4000-8000-000000000000"

// legacy puts an approved request for the legacy signer into etcd, as a cluster has it that was made long ago: today's API
// takes none any more, and still shows it.
func legacy(ctx context.Context, w *world) (err error) {
	flag := func(name string) string {
		for _, arg := range w.APIServerArgs {
			if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
				return value
			}
		}
		return ""
	}
	pair, err := tls.LoadX509KeyPair(flag("etcd-certfile"), flag("etcd-keyfile"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(flag("etcd-cafile"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	etcd, err := clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: []string{flag("etcd-servers")}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, etcd.Close()) }()
	request := certificatesv1.CertificateSigningRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"},
		ObjectMeta: metav1.ObjectMeta{Name: legacyRequest, UID: "11111111-0000-4000-8000-000000000000", CreationTimestamp: metav1.Now()},
		Spec:       certificatesv1.CertificateSigningRequestSpec{SignerName: "kubernetes.io/legacy-unknown", Request: []byte("none"), Username: "mallory", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}},
		Status: certificatesv1.CertificateSigningRequestStatus{Conditions: []certificatesv1.CertificateSigningRequestCondition{
			{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "long ago", LastUpdateTime: metav1.Now()},
		}},
	}
	content, err := json.Marshal(&request)
	if err != nil {
		return err
	}
	if _, err := etcd.Put(ctx, "/registry/certificatesigningrequests/"+legacyRequest, string(content)); err != nil {
		return err
	}
	return until(ctx, "the request of the legacy signer", func(ctx context.Context) (bool, error) {
		_, err := w.Admin.CertificatesV1().CertificateSigningRequests().Get(ctx, legacyRequest, metav1.GetOptions{})
		return err == nil, err
	})
}

const legacyRequest = "from-long-ago"

// administrators has two of them with certificates of four months ago: busy works, away does not. An older log is one of
// these days with another date.
func administrators(ctx context.Context, w *world) error {
	if err := w.Bind(ctx, "operators", "cluster-admin", group("operators")); err != nil {
		return err
	}
	for _, name := range []string{"away", "busy"} {
		leaf := pki.Client(name, "operators")
		leaf.NotBefore = time.Now().Add(-120 * 24 * time.Hour)
		access, err := w.CertificateAccess(leaf)
		if err != nil {
			return err
		}
		if err := w.kubeconfig(name, access); err != nil {
			return err
		}
		if name == "away" {
			continue
		}
		if err := uses(ctx, access, w, "get", "pods"); err != nil {
			return err
		}
	}
	now, err := os.ReadFile(filepath.Join(w.Dir, "audit.log"))
	if err != nil {
		return err
	}
	first, _, _ := bytes.Cut(now, []byte("\n"))
	var event map[string]any
	if err := json.Unmarshal(first, &event); err != nil {
		return err
	}
	event["auditID"] = rand.Text()
	event["requestReceivedTimestamp"] = time.Now().Add(-110 * 24 * time.Hour).UTC().Format(time.RFC3339Nano)
	old, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(w.Dir, oldLog), append(old, '\n'))
}

// oldLog is the log of months ago.
const oldLog = "audit-old.log"
