package hardening_test

import (
	"strconv"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/facts"
)

// now is when all facts of these tests were collected.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const (
	hour = time.Hour
	day  = 24 * hour
	// issuerURL is the provider's; issuerHash is how API servers' metrics name it.
	issuerURL  = "https://idp.example.com"
	issuerHash = "sha256:6e2977ae82314db30124ba2850e1a8d59388eb8f98aff11dfa82935b17b4657f"
)

// allSources are those that sound has read.
func allSources() []facts.Source {
	return []facts.Source{
		facts.SourceFlags, facts.SourceControllerManager, facts.SourceExtension, facts.SourceKubeadm, facts.SourceProbes, facts.SourceHandshake,
		facts.SourceClusterInfo, facts.SourceTokenTracking, facts.SourceRBAC, facts.SourceNamespaces, facts.SourceNodes,
		facts.SourceServiceAccounts, facts.SourceTokenSecrets, facts.SourceBootstrapTokens, facts.SourceCertificates, facts.SourceAPIServices,
		facts.SourceAWSAuth, facts.SourceConfigMaps, facts.SourceSecrets, facts.SourceKubeconfigs, facts.SourceKeys, facts.SourceTexts,
		facts.SourceKubelets, facts.SourceRoster, facts.SourceUsage, facts.SourceCertificateFiles, facts.SourceMetrics, facts.SourceSoftware,
		facts.SourcePods, facts.SourceKeySets, facts.SourceWebhookHandshake,
	}
}

// sound is a cluster that is run with care and of which everything is known.
func sound() *facts.Facts {
	f := &facts.Facts{
		CollectedAt: now, Cluster: facts.Cluster{Server: "https://10.0.0.1:6443"},
		APIServers:         []facts.APIServer{server("node-1")},
		ControllerManagers: []facts.Program{{Name: "kcm", Evidence: facts.EvidencePod, Flags: apiserverflags.Values{"cluster-signing-duration": {"720h"}}}},
		Extension: &facts.Extension{
			HasRequestHeader: true, AllowedNames: []string{"front-proxy-client"},
			ClientCAs: []facts.Certificate{authority("clients")}, RequestHeaderCAs: []facts.Certificate{authority("proxies")},
		},
		Kubeadm: &facts.Kubeadm{},
		Probes: []facts.Probe{
			{Server: "https://10.0.0.1:6443", Path: "/livez", Status: 200},
			{Server: "https://10.0.0.1:6443", Path: facts.GuardedPath, Status: 401},
			{Server: "https://10.0.0.1:6443", Path: facts.GuardedPath, Status: 401, Headers: "X-Remote-User"},
		},
		Handshakes: []facts.Handshake{
			{Server: "https://10.0.0.1:6443", Offered: "TLS 1.1"},
			{Server: "https://10.0.0.1:6443", Offered: "TLS 1.3", Accepted: true, Cipher: "TLS_AES_128_GCM_SHA256", AsksCertificate: true, Authorities: []string{"clients", "proxies"}},
		},
		Metrics: []facts.Metrics{{Server: "https://10.0.0.1:6443", KeyFetches: []facts.KeyFetch{{IssuerHash: issuerHash, Worked: now}}}},
		KeySets: []facts.KeySet{{Issuer: issuerURL, Keys: []facts.PublishedKey{{KeyType: "RSA", KeyBits: 2048}}}},
		Software: []facts.Software{{
			Host: "idp.example.com", Purpose: "provider", Namespace: "idp", Service: "idp", Found: "the Ingress idp",
			Pods: []facts.SoftwarePod{{Name: "idp-0", Account: "idp", Node: "node-2"}}, Guarded: true, Tainted: true,
		}},
		Gate:               &facts.Gate{Addresses: []string{"10.9.0.1"}},
		NodeFolders:        []string{"/etc/kubernetes"},
		PodTokens:          []facts.PodTokens{{Namespace: "ci", Account: "builder", Mounted: 2, Example: "builder-0"}},
		ClusterInfo:        &facts.ClusterInfo{Public: true, Signatures: []facts.JoinSignature{{TokenID: "k3x9qz", Tried: 100}}},
		TokenTrackingSince: now.Add(-365 * day),
		ClusterRoles: []rbacv1.ClusterRole{
			clusterRole("cluster-admin", rule("*", "*", "*")),
			clusterRole("system:basic-user"), clusterRole("system:public-info-viewer"), clusterRole("view", rule("get,list,watch", "", "pods,configmaps")),
			clusterRole("system:node-bootstrapper", rule("create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests")),
		},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{
			bind("system:basic-user", "system:basic-user", group("system:authenticated")),
			bind("system:public-info-viewer", "system:public-info-viewer", group("system:authenticated"), group("system:unauthenticated")),
			bind("cluster-admin", "cluster-admin", group("system:masters")),
			bind("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", group("system:bootstrappers:kubeadm:default-node-token")),
			bind("operators", "cluster-admin", group("idp:operators")),
		},
		Nodes: []facts.Node{{Name: "node-1", Created: now.Add(-day), Addresses: []string{"10.0.0.1"}}, {Name: "node-2", Created: now.Add(-day), Addresses: []string{"10.0.0.2"}}},
		ServiceAccounts: []facts.ServiceAccount{
			{Namespace: "default", Name: "default", NoAutomount: true}, {Namespace: "ci", Name: "builder", Secrets: []string{"builder-token"}}, {Namespace: "ci", Name: "root"},
		},
		BootstrapTokens:     []facts.BootstrapToken{joinToken()},
		CertificateRequests: []facts.CertificateRequest{request("alice", hour)},
		APIServices:         []facts.APIService{{Name: "v1.metrics", Service: "kube-system/metrics"}},
		Kubeconfigs: []facts.Kubeconfig{{
			File:     facts.File{Path: "/srv/alice/kubeconfig", State: facts.Read, HasMode: true, Mode: 0o600, DirMode: 0o700},
			Clusters: []facts.KubeconfigCluster{{Name: "prod", Server: "https://10.0.0.1:6443", OwnCA: true}},
			Users:    []facts.KubeconfigUser{{Name: "alice", Exec: &facts.Exec{Command: "/usr/bin/kubectl-ostiary", Looked: true}}},
		}, {
			File:     facts.File{Path: "/etc/ostiary/gate.kubeconfig", State: facts.Read, HasMode: true, Mode: 0o600, DirMode: 0o755},
			Clusters: []facts.KubeconfigCluster{{Name: "prod", Server: "https://10.0.0.1:6443", OwnCA: true}},
			Users:    []facts.KubeconfigUser{{Name: "gate", Certificate: certificate("front-proxy-client", hour)}},
		}},
		Keys:  []facts.KeyFile{{File: facts.File{Path: "/pki/ca.key", State: facts.Read, HasMode: true, Mode: 0o600}, Use: "client CA"}},
		Texts: []facts.Text{{File: facts.File{Path: "/cloud-init", State: facts.Read}}},
		Kubelets: []facts.Kubelet{
			{Node: "node-1", Evidence: facts.EvidenceManifest, ClientCAFile: "/ca.crt", AuthorizationMode: "Webhook", RotateCertificates: true},
			{Node: "node-2", Evidence: facts.EvidenceManifest, ClientCAFile: "/ca.crt", AuthorizationMode: "Webhook", RotateCertificates: true},
		},
		Roster: []facts.Person{{Usernames: []string{"alice", "bob"}, Active: true}, {Usernames: []string{"mallory"}}},
		Usage: &facts.Usage{
			From: now.Add(-200 * day), Until: now, Complete: true,
			Observed: []facts.Observation{
				{Username: "system:node:node-1", Groups: []string{"system:nodes"}, Mechanism: "clientCertificate", CredentialID: "X509SHA256=" + fingerprint("system:node:node-1"), Source: "10.0.0.1", Agent: "kubelet/v1.37", Last: now},
				{Username: "system:serviceaccount:ci:builder", Mechanism: "tokenRequest", CredentialID: "JTI=1", Source: "10.0.0.2", Agent: "builder/v1", Node: "node-2", Pod: "builder", Lifetime: hour, Last: now},
				{Username: "idp:carol", Groups: []string{"idp:operators"}, Mechanism: "jwt", CredentialID: "JTI=carol", Source: "10.9.0.1", Agent: person, Lifetime: hour, Last: now},
			},
			IssuedIDs: []facts.IssuedToken{{CredentialID: "JTI=1", Account: "system:serviceaccount:ci:builder", IssuedBy: "system:node:node-2", Lifetime: hour}},
		},
	}
	f.CertificateRequests = append(f.CertificateRequests, request("system:node:node-1", 300*day))
	for _, source := range allSources() {
		f.Note(facts.SourceStatus{Source: source, State: facts.Read})
	}
	return f
}

// server is a sound API server.
func server(name string) facts.APIServer {
	return facts.APIServer{
		Program: facts.Program{Name: name, Evidence: facts.EvidenceManifest, StartedAt: now.Add(-day), Flags: apiserverflags.Values{
			"authorization-mode": {"Node", "RBAC"}, "client-ca-file": {"/pki/ca.crt"}, "requestheader-client-ca-file": {"/pki/front-proxy-ca.crt"},
			"requestheader-allowed-names": {"front-proxy-client"}, "authentication-config": {"/etc/authentication.yaml"},
			"audit-policy-file": {"/etc/audit.yaml"}, "audit-log-path": {"/var/log/audit.log"}, "tls-min-version": {"VersionTLS13"},
			"encryption-provider-config": {"/etc/encryption.yaml"}, "service-account-issuer": {"https://kubernetes.default.svc"},
			"service-account-key-file":             {"/pki/sa.pub"},
			"service-account-max-token-expiration": {"24h0m0s"}, "service-account-extend-token-expiration": {"false"},
			"proxy-client-cert-file": {"/pki/front-proxy-client.crt"},
		}},
		Files: []facts.File{
			file("authentication-config", "/etc/authentication.yaml"), file("audit-policy-file", "/etc/audit.yaml"),
			file("proxy-client-cert-file", "/pki/front-proxy-client.crt"),
		},
		Encryption: &facts.Encryption{Secrets: []string{"kms", "identity"}},
		TokenKeys:  []facts.PublicKey{{File: "/pki/sa.pub", KeyDigest: "sa", KeyType: "RSA", KeyBits: 2048}},
		Authentication: &facts.AuthenticationConfiguration{
			SHA256: "1", Anonymous: &facts.AnonymousSection{Enabled: true, Paths: []string{"/livez", "/readyz"}},
			Issuers: []facts.Issuer{{
				URL: issuerURL, Audiences: []string{"kubernetes"},
				Username: facts.Mapping{Claim: "sub", Prefix: "idp:"}, Groups: facts.Mapping{Claim: "groups", Prefix: "idp:"},
			}},
		},
		AuditPolicy: &facts.AuditPolicy{Rules: []facts.AuditRule{
			{Level: "Metadata", Resources: []string{"authentication.k8s.io/tokenreviews", "/serviceaccounts/token"}}, {Level: "RequestResponse"},
		}},
		ClientCAs: []facts.Certificate{authority("clients")}, RequestHeaderCAs: []facts.Certificate{authority("proxies")},
		FrontProxy: certificate("front-proxy-client", 365*day),
	}
}

func file(flag, path string) facts.File {
	return facts.File{Flag: flag, Path: path, State: facts.Read, HasMode: true, Mode: 0o600, DirMode: 0o755, Changed: now.Add(-2 * day), Digest: "d"}
}

func fingerprint(name string) string { return "f-" + name }

func authority(name string) facts.Certificate {
	return facts.Certificate{CommonName: name, KeyDigest: "key of " + name, CA: true, NotBefore: now.Add(-3650 * day), NotAfter: now.Add(3650 * day)}
}

func certificate(name string, lifetime time.Duration, organizations ...string) *facts.Certificate {
	return &facts.Certificate{
		Fingerprint: fingerprint(name), KeyDigest: "key of " + name, CommonName: name, Organizations: organizations,
		NotBefore: now.Add(-lifetime / 2), NotAfter: now.Add(lifetime / 2), KeyType: "ECDSA", KeyBits: 256, Signature: "ECDSA-SHA256", ClientAuth: true,
	}
}

// request is an approved request, and the certificate that came of it.
func request(name string, lifetime time.Duration, organizations ...string) facts.CertificateRequest {
	return facts.CertificateRequest{
		Name: "csr-" + name, SignerName: "kubernetes.io/kube-apiserver-client", Username: "admin", RequestedName: name, RequestedGroups: organizations,
		Approved: true, Approver: "admin", Certificate: certificate(name, lifetime, organizations...),
	}
}

func joinToken() facts.BootstrapToken {
	return facts.BootstrapToken{
		Namespace: "kube-system", Name: "bootstrap-token-k3x9qz", ValuesRead: true, ID: "k3x9qz", Created: now.Add(-hour), Expires: now.Add(hour),
		ExtraGroups: []string{"system:bootstrappers:kubeadm:default-node-token"},
		Token:       facts.Token{Digest: "t1", Bits: 110}, Secret: facts.Token{Digest: "s1", Bits: 80},
	}
}

// withTokenFile gives the API server a sound token file.
func withTokenFile(f *facts.Facts) {
	s := &f.APIServers[0]
	s.Flags["token-auth-file"] = []string{"/etc/tokens.csv"}
	s.Files = append(s.Files, file("token-auth-file", "/etc/tokens.csv"))
	s.StaticTokens = &facts.StaticTokenFile{Entries: []facts.StaticToken{{Line: 1, User: "bob", Token: facts.Token{Digest: "b", Bits: 200}}}}
}

// withWebhook gives the API server a sound webhook.
func withWebhook(f *facts.Facts) {
	s := &f.APIServers[0]
	const flag = "authentication-token-webhook-config-file"
	s.Flags[flag] = []string{"/etc/webhook.yaml"}
	s.Flags["authentication-token-webhook-version"] = []string{"v1"}
	s.Files = append(s.Files, file(flag, "/etc/webhook.yaml"))
	s.Webhook = &facts.Kubeconfig{
		CurrentCluster: "hook", Clusters: []facts.KubeconfigCluster{{Name: "hook", Server: "https://hook.auth.svc", OwnCA: true}}, CurrentUser: "server",
		Users: []facts.KubeconfigUser{{Name: "server", Certificate: certificate("kube-apiserver", 365*day)}},
	}
	f.WebhookHandshakes = []facts.Handshake{{Server: "https://hook.auth.svc", Offered: "TLS 1.3", Accepted: true}}
	f.Software = append(f.Software, facts.Software{
		Host: "hook.auth.svc", Purpose: "webhook", Namespace: "auth", Service: "hook", Found: "its name",
		Pods: []facts.SoftwarePod{{Name: "hook-0", Account: "hook", Node: "node-2"}}, Guarded: true, Tainted: true,
	})
}

// withTokenSecret keeps a token of an account in a Secret.
func withTokenSecret(f *facts.Facts) {
	f.TokenSecrets = append(f.TokenSecrets, facts.TokenSecret{
		Namespace: "ci", Name: "builder-token", ServiceAccount: "builder", Created: now.Add(-10 * day), LastUsed: now.Add(-day),
	})
}

// withStrongAccount makes ci/root an administrator.
func withStrongAccount(f *facts.Facts) {
	f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind("root", "cluster-admin", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "ci", Name: "root"}))
}

// grants gives subjects a role of their own, in all namespaces.
func grants(f *facts.Facts, subject rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	name := "planted" + strconv.Itoa(len(f.ClusterRoles))
	f.ClusterRoles = append(f.ClusterRoles, clusterRole(name, rules...))
	f.ClusterRoleBindings = append(f.ClusterRoleBindings, bind(name, name, subject))
}

func uses(f *facts.Facts, o facts.Observation) { f.Usage.Observed = append(f.Usage.Observed, o) }

func rule(verbs, group, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ","), ResourceNames: names}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func bind(name, role string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: subjects}
}

func group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.GroupKind, Name: name} }
func user(name string) rbacv1.Subject  { return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name} }
