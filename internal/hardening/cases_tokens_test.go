package hardening_test

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
)

// tokenCases are further ones of the checks ST, BT, SA and TR.
func tokenCases() map[string]checkCase {
	account := func(token facts.HeldToken) func(*facts.Facts) {
		token.JWT, token.Subject = true, "system:serviceaccount:ci:builder"
		return kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Token = &token })
	}
	return map[string]checkCase{
		"ST-06": {
			fires: tokenFile(func(file *facts.File) { file.Changed = now.Add(-400 * day) }),
			also:  []func(*facts.Facts){tokenFile(func(file *facts.File) { file.Changed = now.Add(-100 * day) })},
			quiet: both(withTokenFile, func(f *facts.Facts) { f.APIServers[0].StaticTokens.Entries = nil }),
		},
		"ST-09": {
			fires: both(withTokenFile, failures("192.0.2.1", "bearer", 600, hour/60)),
			also:  []func(*facts.Facts){both(withTokenFile, failures("192.0.2.1", "", 6000, hour))},
			quiet: both(withTokenFile, failures("192.0.2.1", "bearer", 300, hour), failures("192.0.2.2", "x509", 600, hour/60), failures("10.9.0.1", "bearer", 600, hour/60)),
		},
		"BT-07": {fires: nobodyJoins, quiet: both(nobodyJoins, func(f *facts.Facts) { f.ClusterInfo = &facts.ClusterInfo{} })},
		"BT-10": {
			fires: func(f *facts.Facts) {
				f.ClusterRoles = append(f.ClusterRoles, clusterRole("readers", rule("list", "", "secrets")))
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("readers", "readers", user("a"), user("b"), user("c"), user("d"), user("e"), user("f")))
			},
			quiet: func(f *facts.Facts) {
				f.ClusterRoles = append(f.ClusterRoles, clusterRole("readers", rule("list", "", "secrets", "one")))
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("readers", "readers", user("a"), user("b"), user("c"), user("d"), user("e"), user("f")))
			},
		},
		"BT-12": {
			fires: both(joinable, failures("192.0.2.1", "bearer", 600, hour/60)),
			quiet: both(joinable, failures("192.0.2.1", "bearer", 5, hour/60)),
		},
		"SA-09": {
			fires: func(f *facts.Facts) {
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("all", "view", group("system:serviceaccounts:ci")))
			},
			also: []func(*facts.Facts){
				boundIn("prod", "view", group("system:serviceaccounts:ci")), boundIn("ci", "cluster-admin", group("system:serviceaccounts:ci")),
				boundIn("ci", "view", group("system:serviceaccounts")),
			},
			quiet: both(boundIn("ci", "view", group("system:serviceaccounts:ci")), boundIn("ci", "cluster-admin", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "ci", Name: "builder"})),
		},
		"SA-13": {
			fires: without("encryption-provider-config"),
			also: []func(*facts.Facts){
				func(f *facts.Facts) { f.APIServers[0].Encryption.Secrets = []string{"identity", "aescbc"} },
				func(f *facts.Facts) { f.APIServers[0].Encryption.Secrets = nil },
			},
			quiet: func(f *facts.Facts) { f.APIServers[0].Encryption.Secrets = []string{"secretbox"} },
		},
		"SA-14": {
			fires: func(f *facts.Facts) { f.APIServers[0].TokenKeys[0].KeyBits = 1024 },
			also: []func(*facts.Facts){without("service-account-key-file"), func(f *facts.Facts) {
				k := &f.APIServers[0].TokenKeys
				*k = append(*k, facts.PublicKey{KeyDigest: "2", KeyType: "ECDSA", KeyBits: 256}, facts.PublicKey{KeyDigest: "3", KeyType: "ECDSA", KeyBits: 256})
			}},
			quiet: func(f *facts.Facts) {
				k := &f.APIServers[0].TokenKeys // the same key twice, as a private and as a public one
				*k = append(*k, (*k)[0], facts.PublicKey{KeyDigest: "2", KeyType: "ECDSA", KeyBits: 256})
			},
		},
		"SA-15": {
			fires: func(f *facts.Facts) { f.ServiceAccounts[0].NoAutomount = false },
			also: []func(*facts.Facts){func(f *facts.Facts) {
				f.PodTokens = append(f.PodTokens, facts.PodTokens{Namespace: "ci", Account: "default", Mounted: 1, Example: "tools"})
			}},
			quiet: func(f *facts.Facts) {
				f.PodTokens = append(f.PodTokens, facts.PodTokens{Namespace: "ci", Account: "default", Without: 3})
			},
		},
		"TR-04": {
			fires: account(facts.HeldToken{Issuer: "https://kubernetes.default.svc", Expires: now.Add(hour)}),
			also:  []func(*facts.Facts){used(facts.Observation{Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=2", Source: "192.0.2.1"})},
			quiet: both(account(facts.HeldToken{Issuer: "https://kubernetes.default.svc", Expires: now.Add(hour), Bound: true}),
				used(facts.Observation{Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=2", Source: "192.0.2.1"}),
				func(f *facts.Facts) {
					f.Usage.IssuedIDs = append(f.Usage.IssuedIDs, facts.IssuedToken{CredentialID: "JTI=2", Bound: "Secret s"})
				}),
		},
		"TR-09": {
			fires: func(f *facts.Facts) {
				f.ProjectedTokens = []facts.ProjectedToken{{Namespace: "ci", Pod: "builder-0", Volume: "vault", Audience: "vault", Seconds: 604800}}
			},
			quiet: func(f *facts.Facts) {
				f.ProjectedTokens = []facts.ProjectedToken{{Namespace: "ci", Pod: "builder-0", Volume: "vault", Audience: "vault", Seconds: 86400}}
			},
		},
		"TR-10": {
			fires: setFlag("api-audiences", "https://kubernetes.default.svc", "vault"),
			also: []func(*facts.Facts){
				setFlag("api-audiences", "kubernetes"),
				issuer(func(i *facts.Issuer) { i.Audiences = []string{"https://kubernetes.default.svc"} }),
				account(facts.HeldToken{Audience: []string{"kubernetes", "vault"}}),
			},
			quiet: both(setFlag("api-audiences", "https://kubernetes.default.svc"), account(facts.HeldToken{Audience: []string{"vault"}})),
		},
		"TR-11": {
			fires: setFlag("service-account-issuer", "kubernetes/serviceaccount"),
			also: []func(*facts.Facts){both(setFlag("service-account-issuer", "https://new", "https://old"), func(f *facts.Facts) {
				f.APIServers[0].StartedAt = now.Add(-40 * day)
			})},
			quiet: setFlag("service-account-issuer", "https://new"),
		},
	}
}
