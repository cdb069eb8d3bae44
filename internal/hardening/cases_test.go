package hardening_test

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/hardening"
)

// checkCase is what shows that a check works. Both start from sound facts.
type checkCase struct {
	// fires plants the fault; many are several faults, each of which must show by itself.
	fires func(*facts.Facts)
	also  []func(*facts.Facts)
	// quiet plants what looks like the fault and is none; nil means that sound facts are that case.
	quiet func(*facts.Facts)
	// options go with both.
	options hardening.Options
}

const person = "kubectl/v1.37.2 (linux/amd64)"

// cases are all, by the ids of the checks.
func cases() map[string]checkCase {
	return map[string]checkCase{
		"OV-03": {
			fires: static(func(s *facts.StaticToken) { s.User = "alice" }),
			also:  []func(*facts.Facts){used(facts.Observation{Username: "alice", Mechanism: "jwt", Source: "10.9.9.9"})},
			quiet: withTokenFile,
		},
		"OV-04": {
			fires: used(facts.Observation{Username: "alice", Mechanism: "clientCertificate", Agent: person, Source: "192.0.2.1"}),
			quiet: used(facts.Observation{Username: "system:node:node-1", Mechanism: "clientCertificate", Agent: person, Source: "10.0.0.1"}),
		},
		"OV-06": {fires: func(f *facts.Facts) { f.Note(facts.SourceStatus{Source: facts.SourceAWSAuth, State: facts.Unreadable}) }},
		"OV-08": {
			fires: signed(request("mallory", hour)), also: []func(*facts.Facts){signed(request("nobody", hour)), static(func(s *facts.StaticToken) { s.User = "mallory" })},
			quiet: withTokenFile,
		},
		"OV-09": {
			fires: signed(request("bob", 400*day, "idp:operators")),
			quiet: both(signed(request("bob", 400*day, "idp:operators")), used(facts.Observation{Username: "bob", CredentialID: "X509SHA256=" + fingerprint("bob"), Last: now})),
		},
		"OV-12": {
			fires: func(f *facts.Facts) { f.APIServers[0].AuditPolicy.Rules[0].Level = "RequestResponse" },
			also: []func(*facts.Facts){
				func(f *facts.Facts) { f.APIServers[0].AuditPolicy.Rules[0].Users = []string{"alice"} },
				func(f *facts.Facts) {
					p := f.APIServers[0].AuditPolicy // reviews at Request hold tokens, requests for tokens at Request do not
					p.Rules = append([]facts.AuditRule{{Level: "Request", Resources: []string{"authentication.k8s.io/*"}}}, p.Rules...)
				},
				func(f *facts.Facts) {
					f.APIServers[0].AuditPolicy.Rules[0].Resources = []string{"authentication.k8s.io/tokenreviews"}
				},
			},
		},
		"OV-13": {fires: setFlag("authorization-mode", "AlwaysAllow"), also: []func(*facts.Facts){func(f *facts.Facts) { delete(f.APIServers[0].Flags, "authorization-mode") }}},
		"OV-14": {fires: func(f *facts.Facts) {
			f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("lazy", "view", group("system:authenticated")))
		}, quiet: func(f *facts.Facts) {
			f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("fine", "view", group("idp:developers")))
		}},
		"OV-15": {fires: replica(func(s *facts.APIServer) { s.Flags["profiling"] = []string{"false"} }), quiet: replica(func(s *facts.APIServer) { s.Flags["advertise-address"] = []string{"10.0.0.2"} })},

		"AN-01": {
			fires: section(&facts.AnonymousSection{Enabled: true}),
			also: []func(*facts.Facts){
				section(nil),
				func(f *facts.Facts) { delete(f.APIServers[0].Flags, "authentication-config") },
				func(f *facts.Facts) { f.Probes[1].Status = 403 },
			},
			quiet: section(&facts.AnonymousSection{}),
		},
		"AN-02": {
			fires: section(&facts.AnonymousSection{Enabled: true, Paths: []string{"/metrics"}}),
			also:  []func(*facts.Facts){section(nil), section(&facts.AnonymousSection{Enabled: true, Paths: []string{"/livezz"}})},
			quiet: section(&facts.AnonymousSection{Enabled: true, Paths: []string{"/livez", "/api/v1/namespaces/kube-public/configmaps/cluster-info"}}),
		},
		"AN-03": {
			fires: func(f *facts.Facts) {
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("open", "view", user("system:anonymous")))
			},
			also: []func(*facts.Facts){func(f *facts.Facts) { clusterInfoRole(f, "get,list") }, func(f *facts.Facts) {
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("open", "view", group("system:unauthenticated")))
			}, func(f *facts.Facts) { f.ClusterRoles[2].Rules = []rbacv1.PolicyRule{rule("get", "", "secrets")} }},
			quiet: func(f *facts.Facts) { clusterInfoRole(f, "get") },
		},
		"AN-04": {fires: setFlag("anonymous-auth", "false"), also: []func(*facts.Facts){setFlag("oidc-issuer-url", "https://idp")}},

		"XC-01": {fires: signed(request("bob", 365*day)), also: []func(*facts.Facts){signed(request("bob", 2*day))}, quiet: signed(request("bob", day))},
		"XC-02": {fires: func(f *facts.Facts) { f.ControllerManagers[0].Flags["cluster-signing-duration"] = []string{"87600h"} }, also: []func(*facts.Facts){
			func(f *facts.Facts) { delete(f.ControllerManagers[0].Flags, "cluster-signing-duration") },
		}},
		"XC-04": {
			fires: signed(request("bob", hour, "system:masters")),
			also: []func(*facts.Facts){
				used(facts.Observation{Username: "eve", Groups: []string{"system:masters"}, Mechanism: "clientCertificate"}),
				kubeconfig(func(k *facts.Kubeconfig) {
					k.Users[0].Certificate = certificate("kubernetes-admin", 365*day, "system:masters")
				}),
			},
			quiet:   signed(request("vault", hour, "system:masters")),
			options: hardening.Options{BreakGlass: []string{"vault"}},
		},
		"XC-05": {fires: signed(request("bob", hour, "idp:operators")), quiet: signed(request("bob", hour, "idp:developers"))},
		"XC-07": {
			fires: used(facts.Observation{Username: "system:node:gone", Mechanism: "clientCertificate", CredentialID: "X509SHA256=9", Source: "10.0.0.9"}),
			also:  []func(*facts.Facts){used(facts.Observation{Username: "system:node:node-1", Mechanism: "clientCertificate", CredentialID: "X509SHA256=9", Source: "192.0.2.1"})},
			quiet: used(facts.Observation{Username: "system:node:node-1", Mechanism: "clientCertificate", CredentialID: "X509SHA256=rotated", Source: "10.0.0.1"}),
		},
		"XC-08": {fires: signed(request("system:serviceaccount:ci:builder", hour)), also: []func(*facts.Facts){
			used(facts.Observation{Username: "system:serviceaccount:ci:builder", Mechanism: "clientCertificate"}),
		}},
		"XC-09": {fires: used(facts.Observation{Username: "eve", Mechanism: "clientCertificate", CredentialID: "X509SHA256=forged"}), quiet: both(used(facts.Observation{
			Username: "alice", Mechanism: "clientCertificate", CredentialID: "X509SHA256=" + fingerprint("alice"),
		}), func(f *facts.Facts) { f.CertificateRequests[0].Certificate.NotAfter = now.Add(-hour) })}, // over since it was used
		"XC-11": {
			fires: signed(facts.CertificateRequest{Name: "x", SignerName: "kubernetes.io/kube-apiserver-client", Username: "system:serviceaccount:ci:builder"}),
			also: []func(*facts.Facts){func(f *facts.Facts) {
				f.Usage.Certificates = []facts.IssuedCertificate{{Request: "x", SignerName: "kubernetes.io/kube-apiserver-client", ApprovedBy: "eve"}}
			}},
			options: hardening.Options{Approvers: []string{"admin"}},
		},
		"XC-12": {fires: signed(facts.CertificateRequest{Name: "x", SignerName: "kubernetes.io/legacy-unknown", Approved: true}), quiet: signed(facts.CertificateRequest{Name: "x", SignerName: "kubernetes.io/legacy-unknown", Denied: true})},
		"XC-13": {fires: setFlag("disable-admission-plugins", "PodSecurity", "CertificateSubjectRestriction"), quiet: setFlag("disable-admission-plugins", "PodSecurity")},
		"XC-14": {
			fires: granted(user("eve"), approving()...), also: []func(*facts.Facts){granted(user("eve"),
				rule("patch", "certificates.k8s.io", "certificatesigningrequests/approval"), rule("approve", "certificates.k8s.io", "signers"),
			), granted(rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "ci", Name: "builder"}, approving()...)},
			quiet:   both(granted(user("admin"), approving()...), func(f *facts.Facts) { f.ClusterRoleBindings = f.ClusterRoleBindings[:4:4] }, granted(user("admin"), approving()...)),
			options: hardening.Options{Approvers: []string{"admin"}},
		},
		"XC-15": {
			fires: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].EmbeddedKey, k.File.Mode = true, 0o644 }),
			also: []func(*facts.Facts){
				func(f *facts.Facts) { f.Keys[0].Mode = 0o640 },
				func(f *facts.Facts) { f.Keys[0].DirMode = 0o777 },
			},
			quiet: kubeconfig(func(k *facts.Kubeconfig) { k.File.Mode = 0o644 }), // it holds nothing
		},
		"XC-16": {fires: stored("Secret", "kubeconfig"), also: []func(*facts.Facts){stored("ConfigMap", "kubeconfig")}},
		"XC-20": {fires: func(f *facts.Facts) {
			f.CertificateRequests[0].Certificate.KeyType, f.CertificateRequests[0].Certificate.KeyBits = "RSA", 1024
		}, also: []func(*facts.Facts){
			func(f *facts.Facts) { f.CertificateRequests[0].Certificate.Signature = "SHA1-RSA" },
			func(f *facts.Facts) { f.CertificateRequests[0].Certificate.CA = true },
			func(f *facts.Facts) { f.CertificateRequests[0].Certificate.ClientAuth = false },
			func(f *facts.Facts) {
				f.CertificateRequests[0].Certificate.KeyDigest = f.CertificateRequests[1].Certificate.KeyDigest
			},
		}, quiet: func(f *facts.Facts) { // a kubelet's, by which nobody gets in
			f.CertificateRequests[0].Certificate.ClientAuth, f.CertificateRequests[0].Certificate.ServerAuth = false, true
		}},
		"XC-21": {fires: func(f *facts.Facts) { f.Keys[0].Mode = 0o640 }, also: []func(*facts.Facts){
			func(f *facts.Facts) { f.Keys[0].UID = 1000 },
			func(f *facts.Facts) { f.APIServers[0].EtcdCAs = f.APIServers[0].ClientCAs },
		}},

		"ST-01": {fires: withTokenFile},
		"ST-02": {
			fires: tokenFile(func(file *facts.File) { file.Mode = 0o644 }),
			also: []func(*facts.Facts){
				tokenFile(func(file *facts.File) { file.UID = 1000 }), tokenFile(func(file *facts.File) { file.DirMode = 0o775 }),
				both(withTokenFile, func(f *facts.Facts) { f.APIServers[0].StaticTokens.Copies = []facts.File{{Path: "/etc/tokens.csv~"}} }),
			},
			quiet: withTokenFile,
		},
		"ST-03": {
			fires: static(func(s *facts.StaticToken) { s.Token.Bits = 40 }), also: []func(*facts.Facts){static(func(s *facts.StaticToken) { s.Token.Published = true })},
			quiet: withTokenFile,
		},
		"ST-04": {fires: tokenFile(func(file *facts.File) { file.Changed = now }), quiet: withTokenFile},
		"ST-05": {
			fires: static(func(s *facts.StaticToken) { s.Groups = []string{"system:masters"} }),
			also: []func(*facts.Facts){
				static(func(s *facts.StaticToken) { s.User = "system:admin" }), static(func(s *facts.StaticToken) { s.Groups = []string{"idp:operators"} }),
			},
			quiet: withTokenFile,
		},
		"ST-07": {fires: both(withTokenFile, func(f *facts.Facts) { f.APIServers[0].StaticTokens.Problems = []string{"line 2"} }), quiet: withTokenFile},
		"ST-08": {fires: both(withTokenFile, replica(func(s *facts.APIServer) { s.Files[3].Digest = "other" })), quiet: both(withTokenFile, replica(func(*facts.APIServer) {}))},

		"BT-01": {fires: both(joinable, nobodyJoins), quiet: joinable},
		"BT-02": {fires: token(func(t *facts.BootstrapToken) { t.Expires = time.Time{} }), also: []func(*facts.Facts){func(f *facts.Facts) { f.Kubeadm.EndlessTokens = 1 }}},
		"BT-03": {fires: token(func(t *facts.BootstrapToken) { t.Expires = now.Add(30 * day) }), also: []func(*facts.Facts){token(func(t *facts.BootstrapToken) { t.Expires = now.Add(2 * day) })}},
		"BT-04": {fires: token(func(t *facts.BootstrapToken) { t.Expires = now.Add(-2 * hour) }), quiet: token(func(t *facts.BootstrapToken) { t.Expires = now.Add(-time.Minute) })},
		"BT-05": {
			fires: token(func(t *facts.BootstrapToken) { t.Token.Published = true }),
			also: []func(*facts.Facts){token(func(t *facts.BootstrapToken) { t.Secret.Bits = 30 }), func(f *facts.Facts) {
				f.BootstrapTokens = append(f.BootstrapTokens, joinToken())
			}},
		},
		"BT-06": {fires: func(f *facts.Facts) { f.ClusterInfo.Signatures[0].Guessed = true }, quiet: func(f *facts.Facts) { f.ClusterInfo = &facts.ClusterInfo{} }},
		"BT-08": {
			fires: func(f *facts.Facts) {
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("odd", "view", group("system:bootstrappers")))
			}, also: []func(*facts.Facts){func(f *facts.Facts) {
				f.BootstrapTokens[0].ExtraGroups = []string{"idp:operators"}
			}, func(f *facts.Facts) {
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("odd", "view", user("system:bootstrap:k3x9qz")))
			}, joinRole("kubeadm:kubelet-config-1.30", rule("*", "", "secrets")), joinRole("kubeadm:kubeadm-certs", rule("get", "", "secrets"))},
			quiet: joinRole("kubeadm:kubeadm-certs", rule("get", "", "secrets", "kubeadm-certs")),
		},
		"BT-09": {
			fires: used(facts.Observation{Username: "system:bootstrap:k3x9qz", Actions: []string{"list pods"}}),
			quiet: used(facts.Observation{Username: "system:bootstrap:k3x9qz", Actions: []string{"create certificates.k8s.io/certificatesigningrequests", "get configmaps", "get nodes", "get path"}}),
		},
		"BT-11": {fires: func(f *facts.Facts) { f.Texts[0].JoinTokens = 1 }, also: []func(*facts.Facts){func(f *facts.Facts) { f.Kubeadm.LiteralTokens = 1 }}},

		"SA-01": {fires: withTokenSecret},
		"SA-02": {
			fires: both(withTokenSecret, func(f *facts.Facts) { f.TokenSecrets[0].LastUsed = now.Add(-91 * day) }),
			also: []func(*facts.Facts){both(withTokenSecret, func(f *facts.Facts) {
				f.TokenSecrets[0].LastUsed, f.TokenSecrets[0].Created = time.Time{}, now.Add(-200*day)
			})},
			quiet: withTokenSecret,
		},
		"SA-03": {fires: func(f *facts.Facts) { f.TokenTrackingSince = time.Time{} }},
		"SA-04": {fires: both(withTokenSecret, func(f *facts.Facts) { f.ServiceAccounts[1].Secrets = nil }), quiet: withTokenSecret},
		"SA-05": {
			fires: both(withTokenSecret, func(f *facts.Facts) { f.TokenSecrets[0].InvalidSince = now.Add(-day) }),
			also: []func(*facts.Facts){
				func(f *facts.Facts) {
					f.ControllerManagers[0].Flags["controllers"] = []string{"*", "-legacy-serviceaccount-token-cleaner-controller"}
				},
				func(f *facts.Facts) { f.ControllerManagers[0].Flags["controllers"] = []string{"tokencleaner"} },
				func(f *facts.Facts) {
					f.ControllerManagers[0].Flags["legacy-service-account-token-clean-up-period"] = []string{"87600h"}
				},
			},
			quiet: withTokenSecret,
		},
		"SA-06": {
			fires: both(withTokenSecret, func(f *facts.Facts) {
				f.ClusterRoles = append(f.ClusterRoles, clusterRole("readers", rule("get", "", "secrets")))
				f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("readers", "readers", user("a"), user("b"), user("c"), user("d")))
			}),
			also: []func(*facts.Facts){both(withStrongAccount, func(f *facts.Facts) {
				f.TokenSecrets = []facts.TokenSecret{{Namespace: "ci", Name: "root-token", ServiceAccount: "root"}}
			}, granted(user("eve"), rule("get", "", "secrets", "root-token"))), both(withStrongAccount, func(f *facts.Facts) {
				f.TokenSecrets = []facts.TokenSecret{{Namespace: "ci", Name: "root-token", ServiceAccount: "root"}}
			}, granted(group("system:serviceaccounts"), rule("get", "", "secrets")))},
			quiet: both(withTokenSecret, granted(user("a"), rule("get", "", "secrets"))),
		},
		"SA-07": {fires: both(withTokenSecret, granted(user("eve"), rule("get", "", "secrets"))), quiet: both(withTokenSecret, granted(user("eve"), rule("get", "", "secrets", "one")))},
		"SA-08": {
			fires: both(withStrongAccount, granted(group("idp:developers"), rule("create,get", "", "secrets"))),
			quiet: granted(group("idp:developers"), rule("create,get", "", "secrets")),
		},
		"SA-10": {fires: secretUsed(facts.Observation{Source: "192.0.2.1", Agent: person}), also: []func(*facts.Facts){
			used(facts.Observation{Username: "system:serviceaccount:ci:builder", Source: "192.0.2.1", Agent: person}),
		}, quiet: both(secretUsed(facts.Observation{Source: "10.0.0.1", Agent: "builder/v1"}),
			secretUsed(facts.Observation{Source: "10.244.1.7", Agent: "builder/v1"}), func(f *facts.Facts) { f.Nodes[1].PodRanges = []string{"10.244.1.0/24", "fd00::/64"} })},
		"SA-11": {fires: setFlag("service-account-lookup", "false"), quiet: setFlag("service-account-lookup", "true")},
		"SA-12": {fires: stored("ConfigMap", "service account token"), also: []func(*facts.Facts){
			kubeconfig(func(k *facts.Kubeconfig) {
				k.Users[0].Token = &facts.HeldToken{JWT: true, Issuer: "kubernetes/serviceaccount"}
			}),
		}},

		"TR-01": {fires: func(f *facts.Facts) { delete(f.APIServers[0].Flags, "service-account-max-token-expiration") }, also: []func(*facts.Facts){setFlag("service-account-max-token-expiration", "720h0m0s")}},
		"TR-02": {fires: func(f *facts.Facts) { delete(f.APIServers[0].Flags, "service-account-extend-token-expiration") }, also: []func(*facts.Facts){setFlag("service-account-extend-token-expiration", "true")}},
		"TR-03": {
			fires: used(facts.Observation{Username: "x", Mechanism: "tokenRequest", CredentialID: "JTI=2", Lifetime: 8760 * hour}),
			also:  []func(*facts.Facts){func(f *facts.Facts) { f.Usage.IssuedIDs[0].Lifetime = 48 * hour }},
		},
		"TR-05": {fires: func(f *facts.Facts) { f.Usage.IssuedIDs[0].IssuedBy = "bob" }},
		"TR-06": {
			fires: granted(user("eve"), rule("create", "", "serviceaccounts/token")), also: []func(*facts.Facts){granted(user("eve"), rule("create", "", "*/token"))},
			quiet: granted(user("eve"), rule("create", "", "serviceaccounts/token", "builder")),
		},
		"TR-07": {
			fires: used(facts.Observation{Node: "gone", Pod: "p", CredentialID: "JTI=2", Source: "10.0.0.9"}),
			also: []func(*facts.Facts){
				used(facts.Observation{Node: "node-1", Pod: "p", CredentialID: "JTI=2", Source: "10.0.0.2"}),
				used(facts.Observation{Node: "node-1", Pod: "p", CredentialID: "JTI=2", Source: "192.0.2.1", Agent: person}),
			},
			quiet: used(facts.Observation{Node: "node-1", Pod: "p", CredentialID: "JTI=2", Source: "10.244.0.7", Agent: "builder/v1"}),
		},
		"TR-08": {
			// No token lives for as long as the records reach back before it, or its account is younger than they are.
			fires: used(facts.Observation{Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=forged", First: now}),
			also: []func(*facts.Facts){both(func(f *facts.Facts) {
				f.ServiceAccounts[1].Created = now.Add(-190 * day)
				delete(f.APIServers[0].Flags, "service-account-max-token-expiration")
			}, used(facts.Observation{Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=forged", First: now.Add(-189 * day)}))},
		},

		"OI-01": {
			fires: issuer(func(i *facts.Issuer) { i.Username.Prefix = "" }),
			also: []func(*facts.Facts){
				issuer(func(i *facts.Issuer) { i.Username.Prefix = "system:" }), issuer(func(i *facts.Issuer) { i.Username.Prefix = "sys" }),
				issuer(func(i *facts.Issuer) { i.Username = facts.Mapping{Expression: "claims.sub"} }),
				issuer(func(i *facts.Issuer) {
					i.Username = facts.Mapping{Expression: `claims.x ? "idp:" + claims.sub : claims.sub`}
				}),
				both(func(f *facts.Facts) { delete(f.APIServers[0].Flags, "authentication-config") }, setFlag("oidc-issuer-url", "https://idp"), setFlag("oidc-username-claim", "email")),
			},
			quiet: issuer(func(i *facts.Issuer) {
				i.Username, i.UserRules = facts.Mapping{Expression: "claims.sub"}, []string{"!user.username.startsWith('system:')"}
			}),
		},
		"OI-02": {
			fires: issuer(func(i *facts.Issuer) { i.Groups.Prefix = "" }),
			also: []func(*facts.Facts){
				issuer(func(i *facts.Issuer) { i.Groups = facts.Mapping{Expression: "claims.groups"} }),
				both(func(f *facts.Facts) { delete(f.APIServers[0].Flags, "authentication-config") }, setFlag("oidc-issuer-url", "https://idp"), setFlag("oidc-groups-claim", "groups")),
			},
			quiet: issuer(func(i *facts.Issuer) { i.Groups = facts.Mapping{Expression: `claims.roles.map(r, "idp:" + r)`} }),
		},
		"OI-03": {
			fires: func(f *facts.Facts) {
				a := f.APIServers[0].Authentication
				a.Issuers = append(a.Issuers, a.Issuers[0])
				a.Issuers[1].URL = "https://other.example.com"
			},
			quiet: func(f *facts.Facts) {
				a := f.APIServers[0].Authentication
				a.Issuers = append(a.Issuers, a.Issuers[0])
				a.Issuers[1].URL, a.Issuers[1].Username.Prefix = "https://other.example.com", "other:"
			},
		},
		"OI-05": {
			fires: issuer(func(i *facts.Issuer) { i.URL = "https://accounts.google.com" }),
			also: []func(*facts.Facts){issuer(func(i *facts.Issuer) { i.URL = "https://token.actions.githubusercontent.com" }), issuer(func(i *facts.Issuer) {
				i.URL, i.ClaimRules = "https://accounts.google.com", []string{"claims.?email_verified.orValue(true) == true"} // so has everybody
			})},
			quiet: issuer(func(i *facts.Issuer) {
				i.URL, i.RequiredClaims = "https://accounts.google.com", map[string]string{"hd": "example.com"}
			}),
		},
		"OI-07": {
			fires: used(facts.Observation{Username: "idp:a", Mechanism: "jwt", Lifetime: 48 * hour}), also: []func(*facts.Facts){used(facts.Observation{Username: "idp:a", Mechanism: "jwt", Lifetime: 2 * hour})},
			quiet: used(facts.Observation{Username: "idp:a", Mechanism: "jwt", Lifetime: hour}),
		},
		"OI-10": {
			fires: replica(func(s *facts.APIServer) { s.Authentication = &facts.AuthenticationConfiguration{SHA256: "2"} }), quiet: replica(func(*facts.APIServer) {}),
		},

		"WH-01": {fires: webhook(func(c *facts.KubeconfigCluster) { c.Server = "http://hook.auth.svc" }), quiet: withWebhook},
		"WH-02": {fires: webhook(func(c *facts.KubeconfigCluster) { c.Insecure = true }), also: []func(*facts.Facts){webhook(func(c *facts.KubeconfigCluster) { c.OwnCA = false })}, quiet: withWebhook},
		"WH-04": {fires: both(withWebhook, setFlag("authentication-token-webhook-cache-ttl", "1h0m0s")), also: []func(*facts.Facts){both(withWebhook, setFlag("authentication-token-webhook-cache-ttl", "10m0s"))}, quiet: withWebhook},
		"WH-05": {fires: both(withWebhook, setFlag("authentication-token-webhook-version", "v1beta1")), quiet: withWebhook},
		"WH-06": {fires: both(withWebhook, func(f *facts.Facts) { f.APIServers[0].Files[3].Mode = 0o644 }), quiet: withWebhook},
		"WH-08": {fires: used(facts.Observation{Username: "bob", Groups: []string{"system:masters"}, Mechanism: "webhook"}), quiet: used(facts.Observation{Username: "bob", Groups: []string{"system:authenticated"}, Mechanism: "webhook"})},

		"AP-01": {fires: func(f *facts.Facts) { f.Extension.RequestHeaderCAs = f.Extension.ClientCAs }, also: []func(*facts.Facts){
			func(f *facts.Facts) { // the root above both: a client shows the CA between along
				f.Extension.RequestHeaderCAs[0].KeyID, f.Extension.ClientCAs[0].SignerKeyID = "root", "root"
			},
			func(f *facts.Facts) { f.APIServers[0].RequestHeaderCAs = f.APIServers[0].ClientCAs },
			func(f *facts.Facts) {
				f.APIServers[0].RequestHeaderCAs = nil
				f.APIServers[0].Flags["requestheader-client-ca-file"] = f.APIServers[0].Flags["client-ca-file"]
			},
		}, quiet: func(f *facts.Facts) { // the root vouches for proxies, and is believed of none
			f.Extension.RequestHeaderCAs[0].SignerKeyID, f.Extension.ClientCAs[0].KeyID = "root", "root"
		}},
		"AP-02": {fires: func(f *facts.Facts) { f.Extension.AllowedNames = nil }, also: []func(*facts.Facts){setFlag("requestheader-allowed-names"), signed(request("front-proxy-client", hour))}},
		"AP-03": {fires: func(f *facts.Facts) { f.APIServers[0].FrontProxy = certificate("front-proxy-client", 3650*day) }, also: []func(*facts.Facts){
			func(f *facts.Facts) { f.Keys[0].Use, f.Keys[0].Mode = "front proxy", 0o644 },
		}},
		"AP-05": {
			fires: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Impersonates, k.Clusters[0].Insecure = "bob", true }),
			also: []func(*facts.Facts){kubeconfig(func(k *facts.Kubeconfig) {
				k.Users[0].Certificate, k.Clusters[0].Server = certificate("front-proxy-client", hour), "http://10.0.0.1"
			})},
			quiet: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Impersonates = "bob" }),
		},
		"AP-06": {fires: func(f *facts.Facts) { f.Probes[2].Status = 200 }},
		"AP-08": {fires: granted(user("eve"), rule("impersonate", "", "users,groups")), also: []func(*facts.Facts){
			granted(user("eve"), rule("impersonate", "", "users", "alice"), rule("impersonate", "", "groups")), // alice, in system:masters
			granted(user("eve"), rule("impersonate", "", "users")),
			both(granted(user("eve"), rule("impersonate", "", "serviceaccounts", "a")), granted(user("eve"), rule("impersonate", "", "groups"))), // by two bindings
		}, quiet: both(granted(user("eve"), rule("impersonate", "", "users,groups", "alice")), granted(user("adam"), rule("impersonate", "", "groups")))},
		"AP-09": {fires: func(f *facts.Facts) { f.APIServices[0].Insecure = true }},
		"AP-10": {fires: stored("Secret", "front proxy key")},

		"TL-01": {fires: setFlag("tls-min-version", "VersionTLS10"), also: []func(*facts.Facts){func(f *facts.Facts) { f.Handshakes[0].Accepted = true }}},
		"TL-03": {fires: func(f *facts.Facts) { f.Kubelets[0].Anonymous = true }, also: []func(*facts.Facts){
			func(f *facts.Facts) { f.Kubelets[0].ReadOnlyPort = 10255 }, func(f *facts.Facts) { f.Kubelets[0].AuthorizationMode = "AlwaysAllow" },
			func(f *facts.Facts) { f.Kubelets[0].ClientCAFile = "" },
		}},
		"TL-04": {fires: both(withTokenSecret, func(f *facts.Facts) { f.Cluster.Server = "https://198.51.100.1" }), quiet: withTokenSecret},
		"KC-01": {fires: kubeconfig(func(k *facts.Kubeconfig) { k.Clusters[0].Insecure = true }), also: []func(*facts.Facts){kubeconfig(func(k *facts.Kubeconfig) { k.Clusters[0].Server = "http://10.0.0.1" })}},
		"KC-02": {fires: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Token = &facts.HeldToken{} }), also: []func(*facts.Facts){kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Basic = true })}, quiet: kubeconfig(func(k *facts.Kubeconfig) {
			k.Users[0].Token = &facts.HeldToken{JWT: true, Expires: now.Add(hour)}
		})},
	}
}

// clusterInfoRole lets anybody read cluster-info, as kubeadm does, by the given verbs.
func clusterInfoRole(f *facts.Facts, verbs string) {
	const name = "kubeadm:bootstrap-signer-clusterinfo"
	f.Roles = append(f.Roles, rbacv1.Role{Rules: []rbacv1.PolicyRule{rule(verbs, "", "configmaps", "cluster-info")}})
	f.Roles[0].Name, f.Roles[0].Namespace = name, "kube-public"
	f.RoleBindings = append(f.RoleBindings, rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{user("system:anonymous")}})
	f.RoleBindings[0].Name, f.RoleBindings[0].Namespace = name, "kube-public"
}
