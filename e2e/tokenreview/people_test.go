package tokenreview_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// as is kubectl straight at a caller's API server, with a token.
func (c *caller) as(t *testing.T, token string) kubectl.Command {
	t.Helper()
	file := t.TempDir() + "/kubeconfig"
	if err := c.plane.Access().WithToken(token).Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file}
}

// TestPeopleComeIn: API servers that know neither issuer nor token file let people in whom Ostiary knows, as whom it knows
// them and with the groups of its rules, in both versions of TokenReview (G-28).
func TestPeopleComeIn(t *testing.T) {
	jti := map[string]any{"jti": "token-of-jane"}
	for _, tt := range []struct {
		name, version, token string
		want                 authenticationv1.UserInfo
	}{
		{"jwt, v1, group rule of this caller", v1, mint(t, jti), authenticationv1.UserInfo{
			Username: "oidc:jane", Groups: []string{"platform", onCall, "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=token-of-jane"}},
		}},
		{"jwt, v1beta1", v1beta1, mint(t, jti), authenticationv1.UserInfo{
			Username: "oidc:jane", Groups: []string{"platform", "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=token-of-jane"}},
		}},
		{"static token, v1, group rule of this caller", v1, shared.staticToken, authenticationv1.UserInfo{
			Username: "sam", UID: "uid-of-sam", Groups: []string{"ops", "platform", onCall, "system:authenticated"},
		}},
		{"static token, v1beta1", v1beta1, shared.staticToken, authenticationv1.UserInfo{
			Username: "sam", UID: "uid-of-sam", Groups: []string{"ops", "platform", "system:authenticated"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := shared.callers[tt.version]
			person := c.as(t, tt.token)
			got, err := person.WhoAmI(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// The group of the rule is one that RBAC knows: whoever has it may look, nobody else.
			result, err := person.Run(t.Context(), "get", "configmaps", "--namespace", "default")
			if err != nil {
				t.Fatal(err)
			}
			if may := result.ExitCode == 0; may != slices.Contains(tt.want.Groups, onCall) {
				t.Errorf("%s", result)
			}
			line, err := shared.gate.WaitAccessLog(stage.Within(t), func(l gate.Line) bool {
				return l.Kind == "token_review" && l.Cluster == tt.version && l.User == tt.want.Username
			})
			if err != nil {
				t.Fatal(err)
			}
			if line.Verdict != "allow" || line.Source != "127.0.0.1" || line.Mechanism == "" || line.CredentialID == "" || strings.Contains(tt.token, line.CredentialID) {
				t.Errorf("recorded as %+v", line)
			}
		})
	}
}

// TestBadTokensAreRefused: the caller is told nothing but 401, and Ostiary's log says why.
func TestBadTokensAreRefused(t *testing.T) {
	now := time.Now()
	mechanismOf := func(reason string) func(gate.Line) bool {
		return func(l gate.Line) bool { return l.Kind == "token_review" && l.Verdict == "deny" && l.Reason == reason }
	}
	stranger := mint(t, map[string]any{"iss": "https://issuer.example"})
	for _, tt := range []struct{ name, token, reason string }{
		{"G-12 guessed", "a-token-that-nobody-has", "rejected"},
		{"OIDC-1 of another issuer", stranger, "rejected"},
		{"expired", mint(t, map[string]any{"exp": now.Add(-time.Minute).Unix()}), "rejected"},
		{"attack 41 for another audience", mint(t, map[string]any{"aud": "another"}), "rejected"},
		{"forged", mint(t, nil) + "AAAA", "rejected"},
		{"G-27 issued for too long", mint(t, map[string]any{"exp": now.Add(24 * time.Hour).Unix()}), "lifetime_exceeded"},
		{"reserved group", mint(t, map[string]any{"groups": []string{"system:masters"}}), "reserved_name"},
		{"GW-4 line break in the name", mint(t, map[string]any{"sub": "jane\nroot"}), "unforwardable_identity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, version := range []string{v1, v1beta1} {
				status, body := ask(t, shared.callers[version], tt.token)
				if status != http.StatusUnauthorized || !strings.Contains(body, `"message":"Unauthorized"`) {
					t.Errorf("%s: %d %s", version, status, body)
				}
			}
			if _, err := shared.gate.WaitAccessLog(stage.Within(t), mechanismOf(tt.reason)); err != nil {
				t.Error(err)
			}
		})
	}
	for _, version := range []string{v1, v1beta1} {
		if status, body := ask(t, shared.callers[version], mint(t, nil)); status != http.StatusOK {
			t.Errorf("%s: the twin is refused: %d %s", version, status, body)
		}
	}
}

// TestAudiences: spec.audiences reaches Ostiary and its answer counts, with the audiences in the order that was asked for
// (AUD-3, the vectors of section 2).
func TestAudiences(t *testing.T) {
	token := mint(t, nil)
	for _, tt := range []struct {
		name            string
		audiences, want []string
	}{
		{"AUD-1 none", nil, []string{controlplane.Issuer, apiAudience}},
		{"AUD-3 the other way round", []string{apiAudience, controlplane.Issuer}, []string{apiAudience, controlplane.Issuer}},
		{"AUD-2 one of them", []string{"other", apiAudience}, []string{apiAudience}},
		{"AUD-2 another", []string{"other"}, nil},
		{"AUD-7 the client's", []string{clientID}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, version := range []string{v1, v1beta1} {
				got, err := shared.callers[version].plane.Admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
					Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: tt.audiences},
				}, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got.Status.Audiences); diff != "" || got.Status.Authenticated != (tt.want != nil) {
					t.Errorf("%s: authenticated %v, audiences (-want +got):\n%s", version, got.Status.Authenticated, diff)
				}
			}
		})
	}
}
