package mechanisms_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// clientOf is a client of a gate with a bearer token.
func clientOf(t *testing.T, g *gate.Gate, token string) *kubernetes.Clientset {
	t.Helper()
	config, err := g.Access().WithToken(token).REST()
	if err != nil {
		t.Fatal(err)
	}
	return clientFor(t, config)
}

func clientFor(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// signingRequest asks for a node's first certificate, as kubeadm and a kubelet do.
func signingRequest(t *testing.T, node string, key *ecdsa.PrivateKey) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "node-csr-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: "kubernetes.io/kube-apiserver-client-kubelet",
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}
}

// TestJoin: a machine joins through the gate with a bootstrap token, which is good for nothing else (G-16) and for so many
// machines only (G-18). The twin is a gate that leaves it to RBAC.
func TestJoin(t *testing.T) {
	for mode, g := range shared.gates {
		t.Run(mode, func(t *testing.T) {
			ctx := t.Context()
			client := clientOf(t, g, joinToken)
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			requests := client.CertificatesV1().CertificateSigningRequests()
			made, err := requests.Create(ctx, signingRequest(t, "one", key), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if made.Spec.Username != "system:bootstrap:"+joinID {
				t.Errorf("requested by %q", made.Spec.Username)
			}
			var certificate []byte
			stage.Await(t, "the certificate", func(ctx context.Context) bool {
				got, err := requests.Get(ctx, made.Name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				certificate = got.Status.Certificate
				return len(certificate) > 0
			})
			keyDER, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			node := clientFor(t, &rest.Config{Host: g.URL, TLSClientConfig: rest.TLSClientConfig{
				CAData: g.CA, CertData: certificate, KeyData: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
			}})
			if _, err := node.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err != nil && !apierrors.IsForbidden(err) {
				t.Errorf("the node's own certificate: %v", err)
			}
			if _, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("pods by a bootstrap token: %v, want forbidden", err)
			}
			if _, err := clientOf(t, shared.twin, joinToken).CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err != nil {
				t.Errorf("the twin: %v", err)
			}
			config, err := g.Access().WithToken(joinToken).REST()
			if err != nil {
				t.Fatal(err)
			}
			config.Impersonate.UserName = "somebody"
			if _, err := clientFor(t, config).CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("as somebody else: %v, want forbidden", err)
			}
			if _, err := requests.Create(ctx, signingRequest(t, "two", key), metav1.CreateOptions{}); err != nil {
				t.Errorf("second use: %v", err)
			}
			if _, err := requests.Create(ctx, signingRequest(t, "three", key), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("third use: %v, want forbidden", err)
			}
		})
	}
}

// TestOwnBootstrapTokens: a gate takes tokens that Ostiary made, of which the file holds hashes, and a new one within moments;
// the cluster knows none of them.
func TestOwnBootstrapTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	makeToken := func() string {
		out, err := exec.CommandContext(t.Context(), shared.paths[binaries.Ostiary], "config", "bootstrap-token", "--file", file, "--ttl", "1h").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	first := makeToken()
	cluster, err := gate.RequestHeader(shared.plane, "plane")
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: gate.Object{
		"clusters": []any{cluster}, "authentication": gate.Object{"bootstrapToken": gate.Object{"file": file}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	list := func(ctx context.Context, token string) error {
		_, err := clientOf(t, g, token).CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list(t.Context(), first); err != nil {
		t.Errorf("the token that was made: %v", err)
	}
	if err := list(t.Context(), first[:7]+joinSecret); !apierrors.IsUnauthorized(err) {
		t.Errorf("another secret under its id: %v, want 401", err)
	}
	if err := list(t.Context(), joinToken); !apierrors.IsUnauthorized(err) {
		t.Errorf("the cluster's own token: %v, want 401", err)
	}
	second := makeToken()
	stage.Await(t, "the second token", func(ctx context.Context) bool { return list(ctx, second) == nil })
}
