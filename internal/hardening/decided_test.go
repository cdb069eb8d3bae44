package hardening_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/hardening"
	"github.com/ostiary/ostiary/internal/report"
)

// TestUndecided: what no source can decide is unknown with the reason and with what would make it known, and not fine.
func TestUndecided(t *testing.T) {
	t.Parallel()

	token := facts.Observation{Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=before", First: now.Add(-200*day + hour)}
	for _, row := range []struct {
		name, rule, want string
		plant            func(*facts.Facts)
	}{
		{"tokens in a file that was changed lately", "ST-06", "Ostiary's ledger", withTokenFile},
		{"a log of which nobody says that it is whole", "TR-08", "--audit-log-complete", func(f *facts.Facts) {
			f.Usage.Complete, f.Usage.Incomplete = false, "nobody says that the audit logs are those of all API servers (needed: --audit-log-complete)"
		}},
		{"a token that may be older than the log", "TR-08", "before the records of use begin", used(token)},
		{"a token that lives for as long as somebody likes", "TR-08", "before the records of use begin", both(without("service-account-max-token-expiration"), used(facts.Observation{
			Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=any", First: now,
		}))},
		{"a provider that runs somewhere else", "OI-08", "whoever runs it must say", software(0, func(s *facts.Software) { s.Service = "" })},
		{"a provider without a pod", "OI-08", "no pod was found", software(0, func(s *facts.Software) { s.Pods = nil })},
		{"keys of which nobody looked at the length", "OI-11", "--issuer-keys", func(f *facts.Facts) { f.KeySets = nil }},
		{"API servers that count nothing", "OI-11", "no API server counts", func(f *facts.Facts) { f.Metrics[0].KeyFetches = nil }},
		{"no gate that is known", "AP-07", "--gate-address", func(f *facts.Facts) { f.Gate = nil }},
		{"control planes at which nobody looked", "XC-17", "--node", func(f *facts.Facts) { f.NodeFolders = nil }},
		{"old issuers since nobody knows when", "TR-11", "since when", both(setFlag("service-account-issuer", "https://new", "https://old"), func(f *facts.Facts) { f.APIServers[0].StartedAt = now })},
		{"an external signer", "SA-14", "external signer", setFlag("service-account-signing-endpoint", "/run/signer.sock")},
		{"a plugin that is not here", "KC-03", "was not found", kubeconfig(func(k *facts.Kubeconfig) { k.Users[0].Exec.Looked = false })},
		{"a webhook that nobody reached", "WH-10", "no handshake", both(withWebhook, func(f *facts.Facts) { f.WebhookHandshakes[0].Accepted = false })},
		{"a name of the cluster's own from one of several sources", "WH-08", "does not tell", both(withWebhook, withTokenFile, used(facts.Observation{Username: "bob", Groups: []string{"system:masters"}}))},
		{"a token file of no age", "ST-06", "was last changed", tokenFile(func(file *facts.File) { file.Changed = time.Time{} })},
		{"a cluster-info that nobody looked at", "BT-07", "was not looked at", func(f *facts.Facts) { f.ClusterInfo = nil }},
		{"a server that took no handshake", "XC-18", "no TLS handshake succeeded", func(f *facts.Facts) { f.Handshakes[1].Accepted = false }},
		{"an issuer that is not among the flags", "TR-11", "not among its flags", without("service-account-issuer")},
		{"old issuers of a server of no age", "TR-11", "since when", both(setFlag("service-account-issuer", "https://new", "https://old"), func(f *facts.Facts) { f.APIServers[0].StartedAt = time.Time{} })},
		{"a provider's CA that was not read", "OI-09", "the CA of the issuer", issuer(func(i *facts.Issuer) { i.OwnCA = true })},
		{"providers that were not read", "TR-10", "--authentication-config", unread},
		{"keys that were not read", "SA-14", "the keys by which", func(f *facts.Facts) { f.APIServers[0].TokenKeys = nil }},
		{"encryption that was not read", "SA-13", "encrypts Secrets", func(f *facts.Facts) { f.APIServers[0].Encryption = nil }},
		{"an audit policy that was not read", "OV-11", "the audit policy of", func(f *facts.Facts) { f.APIServers[0].AuditPolicy = nil }},
		{"the same, of certificates", "XC-10", "the audit policy of", func(f *facts.Facts) { f.APIServers[0].AuditPolicy = nil }},
		{"a token of no lifetime", "OI-07", "was not recorded", used(facts.Observation{Username: "idp:dave", Mechanism: "jwt", CredentialID: "JTI=dave"})},
		{"API servers that nobody saw", "OI-13", "who runs the API servers", func(f *facts.Facts) { f.APIServers = nil }},
		{"a provider of which nothing is known", "OI-08", "what runs beside the provider", func(f *facts.Facts) { f.Software = nil }},
		{"a rule about users' names in another form", "OI-01", "startsWith", issuer(func(i *facts.Issuer) {
			i.Username.Prefix, i.UserRules = "", []string{"user.username.startsWith('system:') == false"}
		})},
		{"one about their groups", "OI-02", "exists", issuer(func(i *facts.Issuer) {
			i.Groups, i.UserRules = facts.Mapping{Claim: "groups"}, []string{"!user.groups.exists(g, g.startsWith('system:'))"}
		})},
		{"a token that no id tells from one in a Secret", "SA-10", "by its id", func(f *facts.Facts) {
			f.Usage.Observed = []facts.Observation{{Username: "system:serviceaccount:ci:builder", Source: "10.0.0.1", Agent: "builder/v1"}}
		}},
		{"kubelets at which nobody looked", "TL-03", "1 of 2 nodes", oneKubelet},
		{"the same, of certificates that are renewed", "XC-22", "1 of 2 nodes", oneKubelet},
		{"sources that nobody asked", "OV-06", "service account token Secrets: not looked at", func(f *facts.Facts) {
			f.Sources = []facts.SourceStatus{{Source: facts.SourceTexts, State: facts.Read}}
		}},
		{"a token file that was not read", "OV-06", "--token-auth-file", setFlag("token-auth-file", "/etc/tokens.csv")},
		{"a group that a certificate gives, and nobody showed", "OV-07", "reach back", both(recordedForADay, signed(request("dave", hour, "team")), granted(group("team")))},
		{"a binding of somebody who may still come", "OV-07", "reach back", both(recordedForADay, granted(user("idp:dave")))},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := sound()
			row.plant(f)
			got := judge(f, row.rule, hardening.Options{})
			if len(got) != 1 || got[0].State != report.Unknown || !strings.Contains(got[0].Message, row.want) {
				t.Errorf("%s: want unknown, with %q in the reason:\n%s", row.rule, row.want, shown(got))
			}
		})
	}
}

func oneKubelet(f *facts.Facts) { f.Kubelets = f.Kubelets[:1] }

// TestWebhookNames: of a source that the log does not name, what can only be the webhook is the webhook's.
func TestWebhookNames(t *testing.T) {
	t.Parallel()

	f := sound()
	withWebhook(f)
	uses(f, facts.Observation{Username: "bob", Groups: []string{"system:masters", "system:authenticated"}})
	if got := judge(f, "WH-08", hardening.Options{}); got[0].State != report.Fail {
		t.Errorf("a member of system:masters that only the webhook can have made:\n%s", shown(got))
	}
}

// unread takes away what is known of providers.
func unread(f *facts.Facts) {
	f.APIServers[0].Authentication = nil
	f.APIServers[0].Files = slices.DeleteFunc(f.APIServers[0].Files, func(file facts.File) bool { return file.Flag == "authentication-config" })
}

// TestStates: how bad something is depends on what else is known.
func TestStates(t *testing.T) {
	t.Parallel()

	holds := func(lifetime time.Duration) func(*facts.Facts) {
		return kubeconfig(func(k *facts.Kubeconfig) {
			k.Users[0].Token = &facts.HeldToken{JWT: true, Issuer: issuerURL, ID: "dave", Issued: now, Expires: now.Add(lifetime)}
		})
	}
	uses := used(facts.Observation{Username: "idp:dave", Mechanism: "jwt", CredentialID: "JTI=dave"})
	crowd := both(func(f *facts.Facts) { f.APIServers[0].Authentication.Issuers = nil }, used(facts.Observation{Username: "dave", Mechanism: "clientCertificate", Source: "192.0.2.1", Agent: person}))
	lonely := func(f *facts.Facts) {
		f.CertificateRequests, f.Kubeconfigs, f.Handshakes[1].AsksCertificate = nil, nil, false
	}
	for _, row := range []struct {
		name, rule string
		plant      func(*facts.Facts)
		state      report.State
		want       string
	}{
		{"on and unused for months", "OV-02", joinable, report.Fail, "bootstrapToken"},
		{"on and unused since the records begin", "OV-02", both(joinable, recordedForADay), report.Warn, "bootstrapToken"},
		{"TLS ends before certificates that there are", "XC-18", func(f *facts.Facts) { f.Handshakes[1].AsksCertificate = false }, report.Fail, "client certificates are known"},
		{"TLS ends, and nobody has one", "XC-18", lonely, report.Warn, "TLS ends before them"},
		{"a provider's token of two days in a file", "OI-07", holds(2 * day), report.Fail, "holds a token of"},
		{"one of two hours", "OI-07", holds(2 * hour), report.Warn, "holds a token of"},
		{"one of an hour", "OI-07", holds(hour), report.Pass, ""},
		{"one that was used, too", "OI-07", both(holds(2*day), uses), report.Fail, "used a token that lives for 2 days"},
		{"a provider that its vendor runs", "OI-08", func(f *facts.Facts) {
			f.Software = []facts.Software{{Host: "accounts.google.com", Purpose: "provider"}}
		}, report.NotApplicable, "is run by whoever sells it"},
		{"people, and nothing outside", "OV-05", crowd, report.Fail, "2 people were seen"},
		{"people, and a proxy of its own name", "OV-05", both(crowd, setFlag("requestheader-allowed-names", "front-proxy-client", "portal")), report.Pass, "outside the cluster"},
		{"people, and a proxy of any name", "OV-05", both(crowd, setFlag("requestheader-allowed-names")), report.Pass, "outside the cluster"},
		{"people, and no proxy's headers", "OV-05", both(crowd, setFlag("requestheader-allowed-names", "portal"), without("requestheader-client-ca-file")), report.Fail, "2 people were seen"},
		{"the API server's own proxy by another name", "OV-05", both(crowd, setFlag("requestheader-allowed-names", "own"), func(f *facts.Facts) { f.APIServers[0].FrontProxy.CommonName = "own" }), report.Fail, "2 people were seen"},
		{"a group of a name that only a user has", "OV-07", both(recordedForADay, signed(request("dave", hour)), granted(group("dave"))), report.Warn, "Group dave"},
		{"who depends on each CA", "XC-19", both(signed(request("dave", hour)), func(f *facts.Facts) {
			f.Extension.ClientCAs = append(f.Extension.ClientCAs, authority("old"))
			f.CertificateRequests[len(f.CertificateRequests)-1].Certificate.Issuer = "CN=old"
		}), report.Warn, "old (1 certificates that are known)"},
		{"no kubeadm", "XC-03", func(f *facts.Facts) { f.Kubeadm = nil }, report.NotApplicable, "kubeadm did not make the cluster"},
		{"no proxy's headers at all", "AP-04", both(without("requestheader-client-ca-file"), func(f *facts.Facts) { f.Extension.HasRequestHeader = false }), report.NotApplicable, "no proxy's headers"},
		{"a webhook in clear", "WH-10", webhook(func(c *facts.KubeconfigCluster) { c.Server = "http://hook.auth.svc" }), report.NotApplicable, "asked in clear"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := sound()
			row.plant(f)
			got := judge(f, row.rule, hardening.Options{})
			if got[0].State != row.state || !strings.Contains(got[0].Subject+" "+got[0].Message, row.want) {
				t.Errorf("%s: want %s with %q:\n%s", row.rule, row.state, row.want, shown(got))
			}
		})
	}
}
