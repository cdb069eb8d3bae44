package impersonation_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	upstream "k8s.io/apiserver/pkg/endpoints/filters/impersonation"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
	"github.com/ostiary/ostiary/internal/impersonation"
)

// set is what the gate does as the last step before the wire.
var set = identityheader.Asserter(impersonation.Encode, impersonation.Strip)

func TestSetRefuses(t *testing.T) {
	tests := []struct {
		name string
		id   *identity.Identity
	}{
		{name: "attack 22 nobody", id: nil},
		{name: "attack 22 empty username", id: &identity.Identity{Groups: []string{"system:authenticated"}}},
		{name: "IMP-5 system:authenticated would be added", id: &identity.Identity{Username: "a", Groups: []string{"g"}}},
		{name: "IMP-5 ServiceAccount groups would be added", id: &identity.Identity{Username: "system:serviceaccount:a:b"}},
		{name: "IMP-5 system:unauthenticated would be added", id: &identity.Identity{Username: "system:anonymous", Groups: []string{"zz"}}},
		{name: "attack 31 anonymous and authenticated", id: &identity.Identity{Username: "system:anonymous", Groups: []string{"system:authenticated"}}},
		{name: "attack 14 line feed", id: &identity.Identity{Username: "a\nb", Groups: []string{"system:authenticated"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{"Impersonate-User": {"forged"}, "impersonate-group": {"forged"}, "Accept": {"a"}}
			if err := set(h, test.id); !errors.Is(err, identityheader.ErrInexpressible) {
				t.Errorf("error = %v", err)
			}
			if diff := cmp.Diff(http.Header{"Accept": {"a"}}, h); diff != "" {
				t.Errorf("what a refusal leaves: %s", diff)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name string
		id   *identity.Identity
	}{
		{name: "person", id: &identity.Identity{Username: "jane", UID: "42", Groups: []string{"a,c", "dev", "system:authenticated", "dev"}}},
		{name: "attack 31 anonymous", id: &identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}},
		{name: "empty group", id: &identity.Identity{Username: "jane", Groups: []string{"", "system:authenticated"}}},
		{name: "ServiceAccount", id: &identity.Identity{Username: "system:serviceaccount:a:b", Groups: []string{"system:serviceaccounts", "system:authenticated"}}},
		{name: "node", id: &identity.Identity{Username: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"}}},
		{name: "upper-case keys", id: &identity.Identity{Username: "jane", Groups: []string{"system:authenticated"}, Extra: map[string][]string{
			"Abc": {"1"}, "abc": {"2", ""}, "authentication.kubernetes.io/credential-id": {"JTI=x"}, "%zz": {"3"}, "ü/Ü": {"5"}, "": {"6"},
		}}},
		{name: "with the original caller", id: impersonation.WithOriginal(
			&identity.Identity{Username: "target", Groups: []string{"system:authenticated"}},
			&identity.Identity{Username: "jane", UID: "1", Groups: []string{"dev", "system:authenticated"}})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkRoundTrip(t, test.id) })
	}
}

// FuzzRoundTrip: whatever Set accepts, Kubernetes derives the same identity from, over the wire.
func FuzzRoundTrip(f *testing.F) {
	f.Add("jane", "42", "dev", "k", "v")
	f.Add("system:anonymous", "", "system:unauthenticated", "Acme.com/Ü", "")
	f.Add("system:serviceaccount:a:b", "", "", "", "x")
	f.Add("system:node:n", "", "", "%", "\xff")
	f.Fuzz(func(t *testing.T, user, uid, group, key, value string) {
		id := &identity.Identity{
			Username: user, UID: uid, Groups: []string{group, "system:authenticated", group},
			Extra: map[string][]string{key: {value, "second"}, key + "X": {value}},
		}
		if _, err := impersonation.Encode(id); err == nil {
			checkRoundTrip(t, id)
		}
	})
}

// checkRoundTrip sends id over HTTP/1.1 beside forged headers and lets Kubernetes, which allows everything, read it.
func checkRoundTrip(t *testing.T, id *identity.Identity) {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = http.Header{
		"Impersonate-User": {"forged"}, "impersonate-group": {"system:masters"}, "Impersonate-Uid": {"f"}, "Impersonate-Extra-Forged": {"f"},
	}
	if err := set(out.Header, id); err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if err := out.Write(&wire); err != nil {
		t.Fatal(err)
	}
	in, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	var got *identity.Identity
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	kubernetes := upstream.WithConstrainedImpersonation(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			u, _ := request.UserFrom(r.Context())
			got = &identity.Identity{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()}
		}),
		authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			return authorizer.DecisionAllow, "", nil
		}), serializer.NewCodecFactory(scheme))
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: "gate"})
	kubernetes.ServeHTTP(httptest.NewRecorder(), in.WithContext(request.WithRequestInfo(ctx, &request.RequestInfo{Verb: "get", Path: "/api"})))
	if diff := cmp.Diff(id, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkSetEncoded(b *testing.B) {
	h := usual()
	encoded, err := impersonation.Encode(&identity.Identity{
		Username: "jane@example.com", UID: "42", Groups: []string{"oidc:team", "oidc:dev", "system:authenticated"},
		Extra: map[string][]string{"authentication.kubernetes.io/credential-id": {"JTI=4711"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		impersonation.Strip(h)
		encoded.Set(h)
	}
}
