package decisions_test

import (
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// TestReservedNamesAreRefused is about gates that were not told to allow names of Kubernetes' own, which is how a gate
// comes.
func TestReservedNamesAreRefused(t *testing.T) {
	const differs = "User and group names starting with `system:` are refused"
	ca, m, p := clientAuthority(), shared.issuers.mapped, shared.issuers.prefixed
	certificate := func(user string, groups ...string) call { return issue(t, ca, pki.Client(user, groups...)) }
	token := func(token string) call { return call{headers: bearer(token)} }
	shared.strict.run(t, []row{
		{
			name: "X509-8 system:masters", call: certificate("root", "system:masters"), want: as("root", "system:masters", authenticated),
			difference: differs, ostiary: refused(),
		},
		{
			name: "X509-8 system:masters among others", call: certificate("root", "dev", "system:masters"), want: as("root", "dev", "system:masters", authenticated),
			difference: differs, ostiary: refused(),
		},
		{
			name: "X509-6 a component of the control plane", call: certificate("system:kube-controller-manager"),
			want: as("system:kube-controller-manager", authenticated), difference: differs, ostiary: refused(),
		},
		{
			name: "X509-6 a node", call: certificate("system:node:one", "system:nodes"),
			want: as("system:node:one", "system:nodes", authenticated), difference: differs, ostiary: refused(),
		},
		{
			name: "X509-11 system:anonymous", call: certificate("system:anonymous", unauthenticated),
			want: as("system:anonymous", unauthenticated), difference: differs, ostiary: refused(),
		},
		{
			name: "FILE-3 system:masters", call: token("tok-masters"), want: as("mallory", "system:masters", authenticated).withUID("uid-mallory"),
			difference: differs, ostiary: refused(),
		},
		{
			name: "GRP-2 system:authenticated", call: token("tok-authenticated"), want: as("olga", authenticated, "dev").withUID("uid-olga"),
			difference: differs, ostiary: refused(),
		},
		{
			name: "GRP-2 system:unauthenticated", call: token("tok-unauthenticated"), want: as("nick", "dev", unauthenticated).withUID("uid-nick"),
			difference: differs, ostiary: refused(),
		},
		{
			name: "OIDC-19 system:masters", call: m.token(t, with{"groups": []string{"system:masters"}}),
			want: as("jane", "system:masters", authenticated), difference: differs, ostiary: refused(),
		},
		{
			name: "OIDC-19 a ServiceAccount", call: m.token(t, with{"sub": "system:serviceaccount:kube-system:default"}),
			want: as("system:serviceaccount:kube-system:default", "dev", authenticated), difference: differs, ostiary: refused(),
		},
		{
			name: "OIDC-19 system:masters by expression", call: shared.issuers.cel.token(t, with{"groups": "system:masters"}),
			want: as("jane", "system:masters", authenticated), difference: differs, ostiary: refused(),
		},
		{
			name: "CHAIN-1 a reserved certificate with a good token", call: certificate("root", "system:masters").with(bearer(tokenAlice)...),
			want: as("root", "system:masters", authenticated), difference: differs, ostiary: refused(),
		},
		{name: "OIDC-19 behind a prefix it is no such name", call: p.token(t, with{"roles": []string{"system:masters"}}), want: as("oidc:jane@example.com", "oidc:system:masters", authenticated).withUID("u-1")},
		{name: "OIDC-19 in other letter case it is no such name", call: m.token(t, with{"groups": []string{"System:masters"}}), want: as("jane", "System:masters", authenticated)},
		{name: "ANON-1 anonymous has its own names", want: anonymous()},
		{name: "GRP-1 system:authenticated is added all the same", call: token(tokenAlice), want: alice()},
	})
}
