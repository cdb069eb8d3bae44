package hardening_test

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
)

// overviewCases are further ones of the checks OV, TL and KC.
func overviewCases() map[string]checkCase {
	policy := func(change func(*facts.AuditPolicy)) func(*facts.Facts) {
		return func(f *facts.Facts) { change(f.APIServers[0].AuditPolicy) }
	}
	noProvider := func(f *facts.Facts) { f.APIServers[0].Authentication.Issuers = nil }
	carol := func(name, source string) func(*facts.Facts) {
		return used(facts.Observation{Username: name, Mechanism: "clientCertificate", CredentialID: "X509SHA256=shared", Source: source, Agent: person, First: now.Add(-hour), Last: now})
	}
	return map[string]checkCase{
		"OV-01": {
			fires: both(withTokenFile, withWebhook),
			also:  []func(*facts.Facts){withTokenFile, joinable},
			quiet: both(withTokenFile, noProvider),
		},
		"OV-02": {
			fires: joinable,
			also: []func(*facts.Facts){
				both(withWebhook, recordedForADay), withTokenFile,
				func(f *facts.Facts) { f.Usage.Observed[2].Last = now.Add(-91 * day) },
			},
			// bob is in the token file, and no other mechanism that is on gives his name.
			quiet: both(withTokenFile, used(facts.Observation{Username: "bob", Last: now})),
		},
		"OV-05": {
			fires: both(noProvider, carol("dave", "192.0.2.1"), carol("erin", "192.0.2.2")),
			also:  []func(*facts.Facts){both(noProvider, carol("dave", "192.0.2.1"))}, // besides carol, who is there already
			quiet: both(noProvider, func(f *facts.Facts) { f.Usage.Observed[2].Agent = "builder/v1" }, carol("dave", "192.0.2.1")),
		},
		"OV-07": {
			fires: granted(user("ghost")),
			also: []func(*facts.Facts){
				granted(user("mallory")), granted(group("idp:nobody")),
				both(granted(group("dream-team")), recordedForADay),
			},
			quiet: both(granted(user("idp:carol")), granted(group("system:nodes"))),
		},
		"OV-10": {
			fires: both(carol("dave", "192.0.2.1"), carol("dave", "192.0.2.2"), carol("dave", "192.0.2.3"), carol("dave", "192.0.2.4")),
			also:  []func(*facts.Facts){both(carol("kubernetes-admin", "192.0.2.1"), carol("kubernetes-admin", "192.0.2.2"))},
			// Four addresses, and not in one day.
			quiet: both(carol("dave", "192.0.2.1"), carol("dave", "192.0.2.2"), carol("dave", "192.0.2.3"), func(f *facts.Facts) {
				uses(f, facts.Observation{Username: "dave", CredentialID: "X509SHA256=shared", Source: "192.0.2.4", First: now.Add(-9 * day), Last: now.Add(-8 * day)})
			}),
		},
		"OV-11": {
			fires: policy(func(p *facts.AuditPolicy) { p.Rules = p.Rules[:1] }),
			also: []func(*facts.Facts){
				without("audit-policy-file"), without("audit-log-path"),
				policy(func(p *facts.AuditPolicy) {
					p.Rules = append([]facts.AuditRule{{Level: "None", Users: []string{"alice"}}}, p.Rules...)
				}),
				policy(func(p *facts.AuditPolicy) {
					p.Rules = []facts.AuditRule{{Level: "Metadata", Users: []string{"alice"}}}
				}),
			},
			quiet: policy(func(p *facts.AuditPolicy) {
				p.Rules = []facts.AuditRule{{Level: "None", NonResourceURLs: []string{"/healthz*"}}, {Level: "Metadata"}}
			}),
		},

		"TL-02": {
			fires: setFlag("tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
			also: []func(*facts.Facts){
				setFlag("tls-min-version", "VersionTLS12"), without("tls-min-version"), setFlag("tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
				func(f *facts.Facts) { f.Handshakes[1].Cipher = "TLS_RSA_WITH_AES_128_CBC_SHA" },
			},
			quiet: both(setFlag("tls-min-version", "VersionTLS12"), setFlag("tls-cipher-suites", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")),
		},
		"KC-03": {
			fires: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Exec.Writable = true }),
			also:  []func(*facts.Facts){kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Exec.Command = "./login.sh" })},
			quiet: kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Exec.Command = "kubectl-ostiary" }),
		},
		"KC-04": {
			fires: kubeconfig(func(k *facts.Kubeconfig) { k.Dangling = []string{"old"} }),
			also: []func(*facts.Facts){
				kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Token = &facts.HeldToken{Expires: now.Add(-time.Minute)} }),
				kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Certificate = certificate("alice", 0) }),
				kubeconfig(func(k *facts.Kubeconfig) {
					k.Users[0].Certificate = certificate("alice", day)
					k.Users[0].Certificate.Issuer = "CN=of another cluster"
				}),
			},
			quiet: kubeconfig(func(k *facts.Kubeconfig) {
				k.Users[0].Certificate = certificate("alice", day)
				k.Users[0].Certificate.Issuer = "CN=clients,O=us"
			}),
		},
	}
}
