package hardening_test

import (
	"github.com/ostiary/ostiary/internal/facts"
)

// outsideCases are further ones of the checks OI and WH.
func outsideCases() map[string]checkCase {
	mapped := func(m facts.Mapping) func(*facts.Facts) {
		return issuer(func(i *facts.Issuer) { i.Username = m })
	}
	principal := func(p facts.MappedPrincipal) func(*facts.Facts) {
		return func(f *facts.Facts) { f.MappedPrincipals = append(f.MappedPrincipals, p) }
	}
	strong := both(withStrongAccount, software(0, func(s *facts.Software) { s.Namespace, s.Pods[0].Account = "ci", "root" }))
	return map[string]checkCase{
		"OI-04": {
			fires: mapped(facts.Mapping{Claim: "email", Prefix: "idp:"}),
			also: []func(*facts.Facts){
				mapped(facts.Mapping{Claim: "preferred_username", Prefix: "idp:"}), mapped(facts.Mapping{Expression: `"idp:" + claims.upn`}),
			},
			quiet: issuer(func(i *facts.Issuer) {
				i.Username.Claim, i.ClaimRules = "email", []string{"claims.email_verified == true"}
			}),
		},
		"OI-06": {
			fires: issuer(func(i *facts.Issuer) { i.Audiences = []string{"kubernetes", "wiki"} }),
			also: []func(*facts.Facts){kubeconfig(func(k *facts.Kubeconfig) {
				k.Users[0].Token = &facts.HeldToken{JWT: true, Issuer: issuerURL, Audience: []string{"kubernetes", "wiki"}}
			})},
			quiet: kubeconfig(func(k *facts.Kubeconfig) {
				k.Users[0].Token = &facts.HeldToken{JWT: true, Issuer: issuerURL, Audience: []string{"kubernetes"}}
			}),
		},
		"OI-08": {
			fires: software(0, func(s *facts.Software) { s.Neighbours = []string{"shop-0"} }),
			also: []func(*facts.Facts){
				software(0, func(s *facts.Software) { s.Guarded = false }), software(0, func(s *facts.Software) { s.Tainted = false }),
				software(0, func(s *facts.Software) { s.NodeNeighbours = []string{"shop/shop-0"} }), strong,
			},
			quiet: func(f *facts.Facts) {
				f.Software = append(f.Software, facts.Software{Host: "accounts.google.com", Purpose: "provider"}) // its vendor runs it
			},
		},
		"OI-09": {
			fires: issuer(func(i *facts.Issuer) { i.URL = "https://dex.auth.svc" }),
			also: []func(*facts.Facts){issuer(func(i *facts.Issuer) {
				i.OwnCA, i.CAs = true, []facts.Certificate{*certificate("idp-ca", 20*day)}
			}), both(without("authentication-config"), setFlag("oidc-issuer-url", issuerURL), setFlag("oidc-client-id", "kubernetes"), setFlag("oidc-ca-file", "/ca.crt"), func(f *facts.Facts) {
				f.APIServers[0].Authentication, f.APIServers[0].OIDCCAs = nil, []facts.Certificate{*certificate("idp-ca", 20*day)}
			})},
			quiet: issuer(func(i *facts.Issuer) {
				i.URL, i.OwnCA, i.CAs = "https://dex.auth.svc", true, []facts.Certificate{authority("idp")}
			}),
		},
		"OI-11": {
			fires: func(f *facts.Facts) { f.Metrics[0].KeyFetches[0].Failed = now.Add(hour) },
			also:  []func(*facts.Facts){func(f *facts.Facts) { f.KeySets[0].Keys[0].KeyBits = 1024 }},
			quiet: func(f *facts.Facts) { f.Metrics[0].KeyFetches[0].Failed = now.Add(-hour) },
		},
		"OI-12": {
			fires: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].ProviderSecrets = []string{"refresh-token"} }),
			also: []func(*facts.Facts){
				kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Exec.Secrets = []string{"--oidc-client-secret"} }),
				kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Token = &facts.HeldToken{JWT: true, Issuer: issuerURL} }),
				kubeconfig(func(k *facts.Kubeconfig) { k.File.Mode, k.Users[0].ProviderSecrets = 0o644, []string{"id-token"} }),
			},
			quiet: kubeconfig(func(k *facts.Kubeconfig) {
				k.Users[0].Token = &facts.HeldToken{JWT: true, Issuer: "https://kubernetes.default.svc", Subject: "system:serviceaccount:ci:builder"}
			}),
		},
		"OI-13": {
			fires: func(f *facts.Facts) { f.Cluster.Version = "v1.33.1-eks-1a2b3c4" },
			also:  []func(*facts.Facts){func(f *facts.Facts) { f.Cluster.Version = "v1.33.1-gke.1500" }},
			quiet: func(f *facts.Facts) { f.Cluster.Version = "v1.37.2" },
		},

		"WH-03": {
			fires: both(withWebhook, func(f *facts.Facts) { f.APIServers[0].Webhook.Users[0].Certificate = nil }),
			also:  []func(*facts.Facts){both(withWebhook, func(f *facts.Facts) { f.APIServers[0].Webhook.CurrentUser = "another" })},
			quiet: withWebhook,
		},
		"WH-07": {
			fires: both(withWebhook, software(1, func(s *facts.Software) { s.Neighbours = []string{"shop-0"} })),
			also:  []func(*facts.Facts){both(withWebhook, software(1, func(s *facts.Software) { s.Guarded = false }))},
			quiet: both(withWebhook, software(0, func(s *facts.Software) { s.Guarded = false })),
		},
		"WH-09": {
			fires: webhook(func(c *facts.KubeconfigCluster) { c.Server = "https://auth.example.com/review" }),
			also:  []func(*facts.Facts){webhook(func(c *facts.KubeconfigCluster) { c.Server = "https://198.51.100.7" })},
			quiet: webhook(func(c *facts.KubeconfigCluster) { c.Server = "https://10.96.0.7" }),
		},
		"WH-10": {
			fires: both(withWebhook, func(f *facts.Facts) {
				f.WebhookHandshakes = append(f.WebhookHandshakes, facts.Handshake{Server: "https://hook.auth.svc", Offered: "TLS 1.1", Accepted: true})
			}),
			quiet: both(withWebhook, func(f *facts.Facts) {
				f.WebhookHandshakes = append(f.WebhookHandshakes, facts.Handshake{Server: "https://hook.auth.svc", Offered: "TLS 1.1"})
			}),
		},
		"WH-11": {
			fires: principal(facts.MappedPrincipal{Principal: "arn:aws:iam::1:role/admin", Groups: []string{"system:masters"}}),
			also:  []func(*facts.Facts){principal(facts.MappedPrincipal{Principal: "arn:aws:iam::1:role/ops", Groups: []string{"idp:operators"}})},
			quiet: principal(facts.MappedPrincipal{Principal: "arn:aws:iam::1:role/dev", Groups: []string{"idp:developers"}}),
		},
	}
}
