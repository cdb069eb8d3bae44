package attacks_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// Who may act as whom is decided alike in both modes, and as kube-apiserver decides it when asked directly.
func TestImpersonationEqualsKubernetes(t *testing.T) {
	const asSelf = http.StatusCreated
	for _, tt := range []struct {
		name, headers string
		want          *authenticationv1.UserInfo // nil: forbidden
	}{
		{"attack 4 masters beside an allowed user", "Impersonate-User: middle\r\nImpersonate-Group: system:masters\r\n", nil},
		{"attack 26 ServiceAccount of another namespace", "Impersonate-User: system:serviceaccount:team-b:builder\r\n", nil},
		{"attack 26 another ServiceAccount of the namespace", "Impersonate-User: system:serviceaccount:team-a:other\r\n", nil},
		{"attack 26 ServiceAccount with groups of another namespace", "Impersonate-User: system:serviceaccount:team-a:builder\r\nImpersonate-Group: system:serviceaccounts:team-b\r\n", nil},
		{"twin 26", "Impersonate-User: system:serviceaccount:team-a:builder\r\n", &authenticationv1.UserInfo{
			Username: "system:serviceaccount:team-a:builder", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"},
		}},
		{"attack 27 another uid", "Impersonate-User: middle\r\nImpersonate-Uid: 43\r\n", nil},
		{"twin 27", "Impersonate-User: middle\r\nImpersonate-Uid: 42\r\n", &authenticationv1.UserInfo{
			Username: "middle", UID: "42", Groups: []string{"system:authenticated"},
		}},
		{"attack 28 another value", "Impersonate-User: middle\r\nImpersonate-Extra-Reason: curiosity\r\n", nil},
		{"attack 28 one value of two", "Impersonate-User: middle\r\nImpersonate-Extra-Reason: audit\r\nImpersonate-Extra-Reason: curiosity\r\n", nil},
		{"attack 28 another key", "Impersonate-User: middle\r\nImpersonate-Extra-Reason%2fx: audit\r\n", nil},
		{"twin 28", "Impersonate-User: middle\r\nImpersonate-Extra-Reason: audit\r\n", &authenticationv1.UserInfo{
			Username: "middle", Groups: []string{"system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"reason": {"audit"}},
		}},
		{"attack 29 another user", "Impersonate-User: jane\r\n", nil},
		{"attack 29 one group of two", "Impersonate-User: middle\r\nImpersonate-Group: devs\r\nImpersonate-Group: ops\r\n", nil},
		{"attack 30 whom the target may act as", "Impersonate-User: top\r\n", nil},
		{"attack 31 anonymous and authenticated", "Impersonate-User: system:anonymous\r\nImpersonate-Group: system:authenticated\r\n", nil},
		{"attack 36 masters in another case", "Impersonate-User: middle\r\nImpersonate-Group: System:masters\r\n", nil},
		{"attack 36 nodes", "Impersonate-User: system:node:node-1\r\nImpersonate-Group: system:nodes\r\n", nil},
		{"twin 36", "Impersonate-User: middle\r\nImpersonate-Group: devs\r\n", &authenticationv1.UserInfo{
			Username: "middle", Groups: []string{"devs", "system:authenticated"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(t *testing.T, s server) answer {
				t.Helper()
				got := once(t, s, nil, whoAmI(bearer("boss")+tt.headers))
				if tt.want == nil {
					got.want(t, http.StatusForbidden)
					return got
				}
				user := got.user(t)
				for key := range user.Extra {
					if strings.HasPrefix(key, "ostiary.dev/") {
						delete(user.Extra, key)
					}
				}
				sameUser(t, *tt.want, user)
				return got
			}
			check(t, direct())
			inEachMode(t, func(t *testing.T, m mode) {
				got := check(t, at(m.gate))
				if line := logged(t, m.gate, got); tt.want == nil && m.name == impersonation && (line.Verdict != "deny" || line.Reason != "impersonation" || line.UpstreamStatus != 0) {
					t.Errorf("the access log says %+v", line)
				}
			})
		})
	}
	t.Run("twin as oneself", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			once(t, at(m.gate), nil, whoAmI(bearer("boss"))).want(t, asSelf)
		})
	})
}

// Attacks 30 and 32: the audit trail names both, and of the caller's own extras nothing enters but under the gate's own
// keys.
func TestAttacks30And32TheOriginalStaysOnRecord(t *testing.T) {
	certificate, err := shared.plane.Authorities.Client.Issue(pki.Client("boss", "chiefs"))
	if err != nil {
		t.Fatal(err)
	}
	inEachMode(t, func(t *testing.T, m mode) {
		got := once(t, at(m.gate), certificate, whoAmI("Impersonate-User: middle\r\n"))
		user := got.user(t)
		if _, found := user.Extra["authentication.kubernetes.io/credential-id"]; found {
			t.Errorf("the target looks as if it had proved itself: %v", user.Extra)
		}
		event := audited(t, got)
		if m.name == requestHeader {
			if event.User.Username != "boss" || event.ImpersonatedUser == nil || event.ImpersonatedUser.Username != "middle" {
				t.Errorf("the API server saw %q act as %v", event.User.Username, event.ImpersonatedUser)
			}
			return
		}
		id := logged(t, m.gate, got).CredentialID
		want := map[string]authenticationv1.ExtraValue{
			"ostiary.dev/original-user": {"boss"}, "ostiary.dev/original-groups": {"chiefs", "system:authenticated"},
			"ostiary.dev/original-credential-id": {id},
		}
		if diff := cmp.Diff(want, event.ImpersonatedUser.Extra); diff != "" || id == "" {
			t.Errorf("extras in the audit log (-want +got), credential %q:\n%s", id, diff)
		}
		if line := logged(t, m.gate, got); line.User != "boss" || line.ActingAs != "middle" {
			t.Errorf("the access log says %+v", line)
		}
	})
}

// Attack 31.
func TestAttack31AuthenticatedOrAnonymousNeverBoth(t *testing.T) {
	groups := func(t *testing.T, m mode, headers string) []string {
		t.Helper()
		event := audited(t, once(t, at(m.gate), nil, request("GET /version", headers)))
		if event.ImpersonatedUser != nil {
			return event.ImpersonatedUser.Groups
		}
		return event.User.Groups
	}
	inEachMode(t, func(t *testing.T, m mode) {
		for _, tt := range []struct {
			name, headers string
			want          []string
		}{
			{"named", bearer("boss"), []string{"chiefs", "system:authenticated"}},
			{"anonymous", "", []string{"system:unauthenticated"}},
			{"as a user", bearer("boss") + "Impersonate-User: middle\r\n", []string{"system:authenticated"}},
			{"as nobody", bearer("boss") + "Impersonate-User: system:anonymous\r\n", []string{"system:unauthenticated"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if diff := cmp.Diff(tt.want, groups(t, m, tt.headers)); diff != "" {
					t.Errorf("groups (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// reviews are the access reviews that the API server was asked about a user so far. It asks for a last one about a
// stranger first, so that none is missed.
func reviews(t *testing.T, user string) []authorizationv1.SubjectAccessReviewSpec {
	t.Helper()
	m := inMode(t, impersonation)
	stranger := "stranger-" + strings.ToLower(rand.Text())
	token, err := mint(stranger)
	if err != nil {
		t.Fatal(err)
	}
	once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\nImpersonate-User: top\r\n")).want(t, http.StatusForbidden)
	about := func(e auditv1.Event) (spec authorizationv1.SubjectAccessReviewSpec, ok bool) {
		if e.ObjectRef == nil || e.ObjectRef.Resource != "subjectaccessreviews" || e.RequestObject == nil || e.Stage != auditv1.StageResponseComplete {
			return spec, false
		}
		var review authorizationv1.SubjectAccessReview
		if err := json.Unmarshal(e.RequestObject.Raw, &review); err != nil {
			t.Fatal(err)
		}
		return review.Spec, true
	}
	if _, err := shared.plane.WaitAudit(stage.Within(t), func(e auditv1.Event) bool {
		spec, ok := about(e)
		return ok && spec.User == stranger
	}); err != nil {
		t.Fatal(err)
	}
	events, err := shared.plane.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	var all []authorizationv1.SubjectAccessReviewSpec
	for _, event := range events {
		if spec, ok := about(event); ok && spec.User == user {
			all = append(all, spec)
		}
	}
	return all
}

func inMode(t *testing.T, name string) mode {
	t.Helper()
	for _, m := range shared.modes {
		if m.name == name {
			return m
		}
	}
	t.Fatalf("there is no mode %q", name)
	return mode{}
}

// Attack 28: the review is about the requester as a whole, not only by name.
func TestAttack28ReviewsNameTheWholeRequester(t *testing.T) {
	caller := "whole-" + strings.ToLower(rand.Text())
	certificate, err := shared.plane.Authorities.Client.Issue(pki.Leaf{CommonName: caller, Organizations: []string{"chiefs"}, UIDs: []string{"7"}})
	if err != nil {
		t.Fatal(err)
	}
	m := inMode(t, impersonation)
	got := once(t, at(m.gate), certificate, whoAmI("Impersonate-User: top\r\n"))
	got.want(t, http.StatusForbidden)
	asked := reviews(t, caller)
	if len(asked) == 0 {
		t.Fatal("nobody was asked")
	}
	for _, spec := range asked {
		if spec.UID != "7" || !slices.Equal(spec.Groups, []string{"chiefs", "system:authenticated"}) ||
			!slices.Equal(spec.Extra["authentication.kubernetes.io/credential-id"], []string{logged(t, m.gate, got).CredentialID}) {
			t.Errorf("asked about %+v", spec)
		}
	}
}

// Attack 29: one request costs a bounded number of reviews.
func TestAttack29AThousandGroups(t *testing.T) {
	const bound = 100
	caller := "many-" + strings.ToLower(rand.Text())
	if err := shared.plane.Grant(t.Context(), caller, []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"users", "groups"}, Verbs: []string{"impersonate"}},
	}, controlplane.User(caller)); err != nil {
		t.Fatal(err)
	}
	certificate, err := shared.plane.Authorities.Client.Issue(pki.Client(caller))
	if err != nil {
		t.Fatal(err)
	}
	groups := func(n int) string {
		var lines strings.Builder
		for i := range n {
			lines.WriteString("Impersonate-Group: group-" + strconv.Itoa(i) + "\r\n")
		}
		return lines.String()
	}
	m := inMode(t, impersonation)
	once(t, at(m.gate), certificate, whoAmI("Impersonate-User: top\r\n"+groups(1000))).want(t, http.StatusForbidden)
	if asked := len(reviews(t, caller)); asked == 0 || asked > bound {
		t.Errorf("%d reviews, want 1 to %d", asked, bound)
	}
	t.Run("twin", func(t *testing.T) {
		user := once(t, at(m.gate), certificate, whoAmI("Impersonate-User: top\r\n"+groups(20))).user(t)
		if len(user.Groups) != 21 {
			t.Errorf("%d groups, want 21", len(user.Groups))
		}
	})
	t.Run("twin without the bound", func(t *testing.T) {
		once(t, direct(), certificate, whoAmI("Impersonate-User: top\r\n"+groups(1000))).want(t, http.StatusCreated)
	})
}

// limitedGate is a gate in impersonation mode whose own account has the given rights only.
func limitedGate(t *testing.T, name string, rules []rbacv1.PolicyRule) *gate.Gate {
	t.Helper()
	if err := shared.plane.Grant(t.Context(), name, rules, controlplane.User(name)); err != nil {
		t.Fatal(err)
	}
	access, err := shared.plane.CertificateAccess(pki.Client(name))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(kubeconfig); err != nil {
		t.Fatal(err)
	}
	g, err := start(t.Context(), impersonation, func(config gate.Object) {
		config["clusters"] = []any{gate.Impersonation(shared.plane, "prod", kubeconfig)}
	})
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	return g
}

// Attack 29: a review that is not answered is no yes.
func TestAttack29ReviewsThatFail(t *testing.T) {
	rules := slices.DeleteFunc(controlplane.ImpersonatorRules(), func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Resources, "subjectaccessreviews")
	})
	g := limitedGate(t, "gate-without-reviews", rules)
	got := once(t, at(g), nil, whoAmI(bearer("boss")+"Impersonate-User: middle\r\n"))
	got.want(t, http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") == "" {
		t.Error("the answer has no Retry-After")
	}
	once(t, at(g), nil, whoAmI(bearer("boss"))).want(t, http.StatusCreated)
}

// Attack 33: constrained impersonation is enough for the gate, and confines it.
func TestAttack33ConstrainedImpersonation(t *testing.T) {
	g := limitedGate(t, "gate-constrained", []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users", "groups", "uids", "userextras/*"}, Verbs: []string{"impersonate:user-info"}},
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}, Verbs: []string{"impersonate-on:user-info:create"}},
	})
	sameUser(t, jane(), once(t, at(g), nil, whoAmI(bearer("jane"))).user(t))
	got := once(t, at(g), nil, request("GET /api/v1/namespaces", bearer("jane")))
	got.want(t, http.StatusForbidden)
	t.Run("twin", func(t *testing.T) {
		once(t, at(inMode(t, impersonation).gate), nil, request("GET /api/v1/namespaces", bearer("jane"))).want(t, http.StatusOK)
	})
}

// Attack 37 and 40: headers count only from whom the API server trusts, and the gate's own credentials are good for
// nothing else.
func TestAttacks37And40UpstreamCredentials(t *testing.T) {
	authorities := shared.plane.Authorities
	issue := func(authority *pki.Authority, leaf pki.Leaf) *pki.KeyPair {
		pair, err := authority.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	asAdmin := "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n"
	for _, tt := range []struct {
		name        string
		certificate *pki.KeyPair
		raw         string
		status      int
	}{
		{"attack 37 no certificate", nil, whoAmI(asAdmin), http.StatusUnauthorized},
		{"attack 37 wrong name", issue(authorities.RequestHeader, pki.Client("somebody")), whoAmI(asAdmin), http.StatusUnauthorized},
		{"attack 37 no name", issue(authorities.RequestHeader, pki.Client("")), whoAmI(asAdmin), http.StatusUnauthorized},
		{"attack 37 the users' CA", issue(authorities.Client, pki.Client(controlplane.FrontProxyName)), request("GET /api/v1/namespaces", asAdmin), http.StatusForbidden},
		{"attack 37 for servers", issue(authorities.RequestHeader, pki.Server(controlplane.FrontProxyName)), whoAmI(asAdmin), http.StatusUnauthorized},
		{"attack 40 front proxy by itself", shared.frontProxy, whoAmI(""), http.StatusUnauthorized},
		{"attack 40 impersonator by itself", issue(authorities.Client, pki.Client(controlplane.ImpersonatorName)), request("GET /api/v1/namespaces", ""), http.StatusForbidden},
		{"attack 40 impersonator and secrets", issue(authorities.Client, pki.Client(controlplane.ImpersonatorName)), request("GET /api/v1/namespaces/kube-system/secrets", ""), http.StatusForbidden},
		{"twin front proxy with headers", shared.frontProxy, request("GET /api/v1/namespaces", asAdmin), http.StatusOK},
		{"twin impersonator as jane", issue(authorities.Client, pki.Client(controlplane.ImpersonatorName)), request("GET /api/v1/namespaces", "Impersonate-User: jane\r\n"), http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) { once(t, direct(), tt.certificate, tt.raw).want(t, tt.status) })
	}
	t.Run("attack 37 the front proxy's certificate at the gate", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			once(t, at(m.gate), shared.frontProxy, whoAmI(asAdmin)).want(t, http.StatusUnauthorized)
		})
	})
}

// Attack 22: what nobody was authenticated for never reaches the API server, least of all as the gate itself.
func TestAttack22NobodyIsForwarded(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		mark := "nobody-" + strings.ToLower(rand.Text())
		empty, err := mint("")
		if err != nil {
			t.Fatal(err)
		}
		for name, headers := range map[string]string{
			"no credential": "", "wrong token": "Authorization: Bearer x\r\n", "empty subject": "Authorization: Bearer " + empty + "\r\n",
			"basic": "Authorization: Basic amFuZTpqYW5l\r\n", "as somebody": "Impersonate-User: jane\r\n", "cookie": "Cookie: token=" + shared.tokens["jane"] + "\r\n",
		} {
			t.Run(name, func(t *testing.T) {
				once(t, at(m.gate), nil, request("GET /api/v1/namespaces/"+mark, headers)).want(t, http.StatusUnauthorized)
			})
		}
		// One that is let in, as the mark of how far the audit log must have come.
		last := once(t, at(m.gate), nil, request("GET /api/v1/namespaces/"+mark+"?last", bearer("jane")))
		last.want(t, http.StatusNotFound)
		audited(t, last)
		events, err := shared.plane.AuditEvents()
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			if strings.Contains(event.RequestURI, mark) && !strings.HasSuffix(event.RequestURI, "?last") {
				t.Errorf("reached the API server as %s", fmt.Sprint(event.User.Username, event.ImpersonatedUser))
			}
		}
	})
}
