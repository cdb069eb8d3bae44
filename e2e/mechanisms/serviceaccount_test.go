package mechanisms_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// whoami asks who a token's bearer is; the error is the API's.
func whoami(ctx context.Context, t *testing.T, g *gate.Gate, token string) (*authenticationv1.UserInfo, error) {
	t.Helper()
	review, err := clientOf(t, g, token).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return &review.Status.UserInfo, nil
}

// lifetimeOf is how long a token is good, and its id.
func lifetimeOf(t *testing.T, token string) (time.Duration, string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		ID       string `json:"jti"`
		Expires  int64  `json:"exp"`
		IssuedAt int64  `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return time.Duration(claims.Expires-claims.IssuedAt) * time.Second, claims.ID
}

// TestTokenRequests: tokens that are requested through the gate live as long as they may, the caller is warned, and what was
// issued is on record (G-24). A longer one, requested elsewhere, is refused at the gate.
func TestTokenRequests(t *testing.T) {
	pair, err := shared.plane.Authorities.Client.Issue(pki.Client("e2e-admin", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	create := func(t *testing.T, g *gate.Gate) kubectl.Result {
		t.Helper()
		file := filepath.Join(t.TempDir(), "kubeconfig")
		if err := g.Access().WithCertificate(pair).Write(file); err != nil {
			t.Fatal(err)
		}
		command := kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file}
		result, err := command.Run(t.Context(), "create", "token", robot, "--namespace=default", "--duration=8760h")
		if err != nil || result.ExitCode != 0 {
			t.Fatalf("%v\n%s", err, result)
		}
		return result
	}
	long := strings.TrimSpace(create(t, shared.twin).Stdout)
	if lifetime, _ := lifetimeOf(t, long); lifetime != 8760*time.Hour {
		t.Errorf("the twin gives %s, want a year", lifetime)
	}
	if _, err := whoami(t.Context(), t, shared.twin, long); err != nil {
		t.Errorf("the twin refuses it: %v", err)
	}
	for mode, g := range shared.gates {
		t.Run(mode, func(t *testing.T) {
			result := create(t, g)
			token := strings.TrimSpace(result.Stdout)
			lifetime, id := lifetimeOf(t, token)
			if lifetime != time.Hour || !strings.Contains(result.Stderr, "Warning: requested expiration") {
				t.Errorf("%s, and kubectl says %q", lifetime, result.Stderr)
			}
			ctx := stage.Within(t)
			line, err := g.WaitAccessLog(ctx, func(l gate.Line) bool { return l.IssuedID == "JTI="+id })
			if err != nil {
				t.Fatal(err)
			}
			if line.IssuedTo != "system:serviceaccount:default:"+robot || line.User != "e2e-admin" || time.Until(line.IssuedExpires) > time.Hour {
				t.Errorf("recorded %+v", line)
			}
			got, err := whoami(ctx, t, g, token)
			if err != nil {
				t.Fatal(err)
			}
			// G-21: an account in a group, and what Kubernetes says of the credential.
			if !strings.Contains(strings.Join(got.Groups, " "), "robots") || len(got.Extra["authentication.kubernetes.io/credential-id"]) != 1 {
				t.Errorf("%+v", got)
			}
			if _, err := whoami(ctx, t, g, long); !apierrors.IsUnauthorized(err) {
				t.Errorf("a token of a year: %v, want 401", err)
			}
		})
	}
}

// TestSecretToken: a Secret's token lets in until its Secret is gone, and another one of the account stays good.
func TestSecretToken(t *testing.T) {
	secrets := shared.plane.Admin.CoreV1().Secrets("default")
	tokens := make(map[string]string)
	for _, name := range []string{"first", "second"} {
		_, err := secrets.Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: robot}},
			Type:       corev1.SecretTypeServiceAccountToken,
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		stage.Await(t, "a token in the Secret", func(ctx context.Context) bool {
			secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			tokens[name] = string(secret.Data[corev1.ServiceAccountTokenKey])
			return tokens[name] != ""
		})
	}
	for mode, g := range shared.gates {
		for name, token := range tokens {
			if got, err := whoami(t.Context(), t, g, token); err != nil || got.Username != "system:serviceaccount:default:"+robot {
				t.Errorf("%s, %s: %+v %v", mode, name, got, err)
			}
		}
	}
	if err := secrets.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for mode, g := range shared.gates {
		stage.Await(t, mode+": the token of the Secret that is gone is refused", func(ctx context.Context) bool {
			_, err := whoami(ctx, t, g, tokens["first"])
			return apierrors.IsUnauthorized(err)
		})
		if _, err := whoami(t.Context(), t, g, tokens["second"]); err != nil {
			t.Errorf("%s: the other token: %v", mode, err)
		}
	}
}
