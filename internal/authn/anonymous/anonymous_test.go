package anonymous_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/anonymous"
	"github.com/ostiary/ostiary/internal/identity"
)

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		paths   []string
		path    string
		outcome authn.Outcome
	}{
		{name: "ANON-4 longer", paths: []string{"/livez"}, path: "/livez/ping", outcome: authn.NoCredential},
		{name: "ANON-4 trailing slash", paths: []string{"/livez"}, path: "/livez/", outcome: authn.NoCredential},
		{name: "ANON-4 doubled slash", paths: []string{"/livez"}, path: "//livez", outcome: authn.NoCredential},
		{name: "ANON-4 case", paths: []string{"/livez"}, path: "/LIVEZ", outcome: authn.NoCredential},
		{name: "ANON-4 exact", paths: []string{"/readyz", "/livez"}, path: "/livez", outcome: authn.Accepted},
		{name: "ANON-1 no condition", path: "/api", outcome: authn.Accepted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := anonymous.New(tt.paths).Authenticate(t.Context(), &authn.Request{Path: tt.path})
			if got.Outcome != tt.outcome {
				t.Fatalf("outcome %d, want %d", got.Outcome, tt.outcome)
			}
			if got.Outcome != authn.Accepted {
				return
			}
			want := identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}
			if diff := cmp.Diff(want, got.Credential.Identity); diff != "" || !got.Credential.ID.IsZero() {
				t.Errorf("id %v, identity (-want +got):\n%s", got.Credential.ID, diff)
			}
		})
	}
}
