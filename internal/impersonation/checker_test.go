package impersonation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
)

const pods = "/api/v1/namespaces/ns/pods"

func TestCheck(t *testing.T) {
	const authn = ".authentication.k8s.io "
	tests := []struct {
		name       string
		legacyOnly bool
		requester  *identity.Identity // jane, if nil
		target     string             // pods, if empty
		headers    []string
		allows     []string
		want       *identity.Identity // without the original caller's extras; nil when refused
		code       int32
		message    string // a part of the refusal's text
	}{
		// Refusals.
		{
			name: "attack 4 Impersonate-Group: system:masters with the right to the user alone", headers: []string{"Impersonate-User: bob", "Impersonate-Group: system:masters"},
			allows: []string{"impersonate users bob", "impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "bob", "impersonate:user-info groups" + authn + "system:masters"},
			code:   403, message: `groups.authentication.k8s.io "system:masters" is forbidden: User "jane" cannot impersonate:user-info resource "groups" in API group "authentication.k8s.io" at the cluster scope: impersonating the system:masters group is not allowed`,
		},
		{
			name: "IMP-11 no rights, the first error", headers: []string{"Impersonate-User: bob"}, code: 403,
			message: `pods is forbidden: User "jane" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "ns"`,
		},
		{
			name: "IMP-15 no rights, gate off", legacyOnly: true, headers: []string{"Impersonate-User: bob"}, code: 403,
			message: `users "bob" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope`,
		},
		{
			name: "attack 33 gate off knows no constrained grants", legacyOnly: true, headers: []string{"Impersonate-User: bob"}, code: 403,
			allows: []string{"impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "bob"},
		},
		{
			name: "attack 26 ServiceAccount with the right to users", headers: []string{"Impersonate-User: system:serviceaccount:ns:sa"}, code: 403,
			allows: []string{"impersonate users system:serviceaccount:ns:sa", "impersonate users *"},
		},
		{
			name: "attack 26 ServiceAccount of another namespace", headers: []string{"Impersonate-User: system:serviceaccount:ns:sa"}, code: 403,
			allows: []string{"impersonate serviceaccounts other/sa", "impersonate serviceaccounts sa"},
		},
		{
			name: "attack 27 uid with the right to core uids", headers: []string{"Impersonate-User: bob", "Impersonate-Uid: 7"}, code: 403,
			allows: []string{"impersonate users bob", "impersonate uids 7"},
		},
		{
			name: "attack 28 one of two extra values", headers: []string{"Impersonate-User: bob", "Impersonate-Extra-Scopes: a", "Impersonate-Extra-Scopes: b"}, code: 403,
			allows: []string{"impersonate users bob", "impersonate userextras/scopes" + authn + "a"},
		},
		{
			name: "attack 33 constrained get, forbidden create", target: "POST " + pods, headers: []string{"Impersonate-User: bob"}, code: 403,
			allows: []string{"impersonate-on:user-info:get pods ns/", "impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "bob"},
		},
		{
			name: "attack 33 constrained without check A", headers: []string{"Impersonate-User: bob"}, code: 403, allows: []string{"impersonate:user-info users" + authn + "bob"},
		},
		{
			name: "attack 33 constrained without check B", headers: []string{"Impersonate-User: bob"}, code: 403, allows: []string{"impersonate-on:user-info:list pods ns/"},
		},
		{
			name: "attack 33 user-info excludes nodes", headers: []string{"Impersonate-User: system:node:n1"}, code: 403,
			allows: []string{"impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "system:node:n1", "impersonate:user-info nodes" + authn + "n1"},
		},
		{
			name: "attack 33 node mode takes the name alone", headers: []string{"Impersonate-User: system:node:n1", "Impersonate-Group: g"}, code: 403,
			allows: []string{"impersonate-on:arbitrary-node:list pods ns/", "impersonate:arbitrary-node nodes" + authn + "n1"},
		},
		{
			name: "IMP-10 empty group", headers: []string{"Impersonate-User: bob", "Impersonate-Group: "}, code: 403,
			allows: []string{"impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "bob", "impersonate:user-info groups" + authn[:len(authn)-1]},
		},
		{
			name: "IMP-8 associated node of another", headers: []string{"Impersonate-User: system:node:n2"}, code: 403,
			requester: &identity.Identity{Username: "system:serviceaccount:ns:agent", Groups: []string{"system:authenticated"}, Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"n1"}}},
			allows:    []string{"impersonate-on:associated-node:list pods ns/", "impersonate:associated-node nodes" + authn + "*"},
		},
		{name: "IMP-7 anonymous", requester: &identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}, headers: []string{"Impersonate-User: bob"}, code: 403, message: `User "system:anonymous" cannot`},
		{name: "screened: attack 10", headers: []string{"Impersonate-User: a", "Impersonate-User: b"}, code: 400},
		{name: "screened: attack 12", headers: []string{"Impersonate-User: a", "Impersonate-Extra-Ostiary.dev%2Foriginal-User: x"}, code: 400},
		{name: "attack 22 requester without a name", requester: &identity.Identity{Groups: []string{"system:masters"}}, headers: []string{"Impersonate-User: a"}, code: 500},

		// What may be.
		{
			name: "legacy user, IMP-5", headers: []string{"Impersonate-User: bob"}, allows: []string{"impersonate users bob"},
			want: &identity.Identity{Username: "bob", Groups: []string{"system:authenticated"}},
		},
		{
			name: "IMP-15 legacy, gate off", legacyOnly: true, headers: []string{"Impersonate-User: bob", "Impersonate-Uid: 7", "Impersonate-Extra-K: v"},
			allows: []string{"impersonate users bob", "impersonate uids" + authn + "7", "impersonate userextras/k" + authn + "v"},
			want:   &identity.Identity{Username: "bob", UID: "7", Groups: []string{"system:authenticated"}, Extra: map[string][]string{"k": {"v"}}},
		},
		{
			name:    "attacks 27, 28 everything in legacy",
			headers: []string{"Impersonate-User: bob", "Impersonate-Uid: 7", "Impersonate-Group: a,b", "Impersonate-Group: c", "Impersonate-Extra-Acme.com%2Fproject: p"},
			allows: []string{
				"impersonate users bob", "impersonate uids" + authn + "7", "impersonate groups a,b", "impersonate groups c",
				"impersonate userextras/acme.com/project" + authn + "p",
			},
			want: &identity.Identity{Username: "bob", UID: "7", Groups: []string{"a,b", "c", "system:authenticated"}, Extra: map[string][]string{"acme.com/project": {"p"}}},
		},
		{
			name: "attack 26 ServiceAccount, IMP-5", headers: []string{"Impersonate-User: system:serviceaccount:ns:sa"}, allows: []string{"impersonate serviceaccounts ns/sa"},
			want: &identity.Identity{Username: "system:serviceaccount:ns:sa", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"}},
		},
		{
			name: "IMP-6 not quite a ServiceAccount", headers: []string{"Impersonate-User: system:serviceaccount:NS:sa"}, allows: []string{"impersonate users system:serviceaccount:NS:sa"},
			want: &identity.Identity{Username: "system:serviceaccount:NS:sa", Groups: []string{"system:authenticated"}},
		},
		{
			name: "attack 31 anonymous target", headers: []string{"Impersonate-User: system:anonymous"}, allows: []string{"impersonate users system:anonymous"},
			want: &identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}},
		},
		{
			name: "attack 31 unauthenticated target", headers: []string{"Impersonate-User: bob", "Impersonate-Group: system:unauthenticated"},
			allows: []string{"impersonate users bob", "impersonate groups system:unauthenticated"},
			want:   &identity.Identity{Username: "bob", Groups: []string{"system:unauthenticated"}},
		},
		{
			name: "attack 33 user-info alone", headers: []string{"Impersonate-User: bob"},
			allows: []string{"impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "bob"},
			want:   &identity.Identity{Username: "bob", Groups: []string{"system:authenticated"}},
		},
		{
			name: "IMP-9 subresource", target: "POST " + pods + "/p/exec?command=sh", headers: []string{"Impersonate-User: bob"},
			allows: []string{"impersonate-on:user-info:create pods/exec ns/p", "impersonate:user-info users" + authn + "bob"},
			want:   &identity.Identity{Username: "bob", Groups: []string{"system:authenticated"}},
		},
		{
			name: "IMP-9 path", target: "/healthz", headers: []string{"Impersonate-User: bob"},
			allows: []string{"impersonate-on:user-info:get /healthz", "impersonate:user-info users" + authn + "bob"},
			want:   &identity.Identity{Username: "bob", Groups: []string{"system:authenticated"}},
		},
		{
			name: "IMP-9 selectors", target: pods + "?fieldSelector=spec.nodeName%3Dn1,status.phase!%3DFailed&labelSelector=app%20in%20(a),!b", headers: []string{"Impersonate-User: bob"},
			allows: []string{
				"impersonate-on:user-info:list pods ns/ fields=[{spec.nodeName In [n1]} {status.phase NotIn [Failed]}] labels=[{b DoesNotExist []} {app In [a]}]",
				"impersonate-on:user-info:list pods ns/ fields=[{spec.nodeName In [n1]} {status.phase NotIn [Failed]}] labels=[{app In [a]} {b DoesNotExist []}]",
				"impersonate:user-info users" + authn + "bob",
			},
			want: &identity.Identity{Username: "bob", Groups: []string{"system:authenticated"}},
		},
		{
			name: "IMP-10 four groups by a wildcard", headers: []string{"Impersonate-User: bob", "Impersonate-Group: a", "Impersonate-Group: b", "Impersonate-Group: c", "Impersonate-Group: d"},
			allows: []string{"impersonate-on:user-info:list pods ns/", "impersonate:user-info users" + authn + "bob", "impersonate:user-info groups" + authn + "*"},
			want:   &identity.Identity{Username: "bob", Groups: []string{"a", "b", "c", "d", "system:authenticated"}},
		},
		{
			name: "IMP-10 masters by legacy", headers: []string{"Impersonate-User: bob", "Impersonate-Group: system:masters"}, allows: []string{"impersonate users bob", "impersonate groups system:masters"},
			want: &identity.Identity{Username: "bob", Groups: []string{"system:masters", "system:authenticated"}},
		},
		{
			name: "IMP-5 node by arbitrary-node", headers: []string{"Impersonate-User: system:node:n1"},
			allows: []string{"impersonate-on:arbitrary-node:list pods ns/", "impersonate:arbitrary-node nodes" + authn + "n1"},
			want:   &identity.Identity{Username: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"}},
		},
		{
			name: "IMP-8 associated node", headers: []string{"Impersonate-User: system:node:n1"},
			requester: &identity.Identity{Username: "system:serviceaccount:ns:agent", Groups: []string{"system:authenticated"}, Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"n1"}}},
			allows:    []string{"impersonate-on:associated-node:list pods ns/", "impersonate:associated-node nodes" + authn + "*"},
			want:      &identity.Identity{Username: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			requester := test.requester
			if requester == nil {
				requester = jane()
			}
			if test.target == "" {
				test.target = pods
			}
			checker := newChecker(t, impersonation.Config{Reviewer: &cluster{allows: test.allows}, LegacyOnly: test.legacyOnly})
			r := newRequest(t.Context(), t, test.target, test.headers...)
			before := r.Header.Clone()
			got, err := checker.Check(r, requester)
			if diff := cmp.Diff(before, r.Header); diff != "" {
				t.Errorf("the request was changed: %s", diff)
			}
			if test.want == nil {
				checkRefusal(t, err, test.code, test.message)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(impersonation.WithOriginal(test.want, requester), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// checkRefusal wants err to be a Status of that code.
func checkRefusal(t *testing.T, err error, code int32, message string) {
	t.Helper()
	status, ok := asStatus(err)
	if !ok {
		t.Fatalf("error = %v, want a Status", err)
	}
	if status.ErrStatus.Code != code || !strings.Contains(status.ErrStatus.Message, message) {
		t.Errorf("refused with %d %s, want %d ... %s", status.ErrStatus.Code, status.ErrStatus.Message, code, message)
	}
	if status.ErrStatus.Status != "Failure" || status.ErrStatus.Reason == "" || status.ErrStatus.Kind != "" {
		t.Errorf("not as apierrors makes it: %+v", status.ErrStatus)
	}
}

func TestCheckNotAttempted(t *testing.T) {
	reviewer := &cluster{}
	requester := jane()
	got, err := newChecker(t, impersonation.Config{Reviewer: reviewer}).Check(newRequest(t.Context(), t, pods, "Accept: a"), requester)
	if err != nil || got != requester || len(reviewer.asked) != 0 {
		t.Errorf("got %v, %v after %d reviews", got, err, len(reviewer.asked))
	}
}

func TestCheckFailsClosed(t *testing.T) {
	checker := newChecker(t, impersonation.Config{Reviewer: &cluster{every: true}})
	_, err := checker.Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), nil)
	checkRefusal(t, err, 500, "")
	bare := newRequest(t.Context(), t, pods, "Impersonate-User: bob")
	_, err = checker.Check(bare.WithContext(t.Context()), jane())
	checkRefusal(t, err, 500, "attributes")
	_, err = new(impersonation.Checker).Check(newRequest(t.Context(), t, pods), jane())
	checkRefusal(t, err, 500, "")
}

func TestNewRefuses(t *testing.T) {
	for name, config := range map[string]impersonation.Config{
		"no reviewer": {}, "negative reviews": {Reviewer: &cluster{}, MaxReviews: -1},
		"negative timeout": {Reviewer: &cluster{}, Timeout: -1}, "negative concurrency": {Reviewer: &cluster{}, Concurrency: -1},
	} {
		if c, err := impersonation.New(config); c != nil || err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// asStatus finds the Status that a client is told.
func asStatus(err error) (*apierrors.StatusError, bool) {
	return asType[*apierrors.StatusError](err)
}
