package config

// APIVersion and Kind are what every configuration file must start with.
const (
	APIVersion = "ostiary.dev/v1alpha1"
	Kind       = "Configuration"
)

// Configuration is the whole of Ostiary's configuration. Nothing is on but what is written here (G-01). Relative file
// names are relative to the folder of the configuration file. Every file named here is watched: a change applies
// within a second, without a restart or a dropped request, and a bad one leaves the last good state in force.
type Configuration struct {
	// Must be "ostiary.dev/v1alpha1".
	APIVersion string `json:"apiVersion" jsonschema:"enum=ostiary.dev/v1alpha1"`
	// Must be "Configuration".
	Kind string `json:"kind" jsonschema:"enum=Configuration"`
	// Where clients connect.
	Listen Listen `json:"listen"`
	// Where operators and probes connect: /healthz, /readyz, /metrics. Left out, there is no such listener.
	Admin *Admin `json:"admin,omitempty"`
	// The API servers behind this gate. The first serves "/"; each serves "/clusters/<name>/" as well.
	Clusters []Cluster `json:"clusters" jsonschema:"minItems=1"`
	// How callers may prove who they are. At least one mechanism must be named.
	Authentication Authentication `json:"authentication"`
	// Rules that change the groups of accepted identities, applied in order, each to what the one before left (G-11, G-21).
	GroupRules []GroupRule `json:"groupRules,omitempty"`
	// ServiceAccount tokens that are requested through the gate. Left out, requests go on as they are.
	TokenRequests *TokenRequests `json:"tokenRequests,omitempty"`
	// Where API servers ask about tokens. Left out, none can.
	TokenReview *TokenReview `json:"tokenReview,omitempty"`
	// Where revocations are kept, and what is known of credentials. Left out, no credential can be revoked.
	Ledger *Ledger `json:"ledger,omitempty"`
	// Ostiary's own issuer of certificates and tokens. Left out, nothing is issued; it needs a ledger.
	Issuer *Issuer `json:"issuer,omitempty"`
	// How people and pipelines sign in. Left out, nobody can; it needs an issuer.
	SignIn *SignIn `json:"signIn,omitempty"`
	// How guessing is held back. Left out, it is with the defaults.
	Lockout Lockout `json:"lockout,omitzero"`
	// Where decisions are recorded.
	AccessLog AccessLog `json:"accessLog,omitzero"`
	// OpenTelemetry traces. Left out, there are none.
	Tracing *Tracing `json:"tracing,omitempty"`
}

// Listen is the gate's own listener.
type Listen struct {
	// Host and port, for example ":6443" or "127.0.0.1:0" (a free port, which the log names).
	Address string `json:"address"`
	// The gate's server certificate and key, PEM.
	TLS KeyPair `json:"tls"`
	// Bounds on what one client may take. Zero values mean the defaults.
	Limits Limits `json:"limits,omitzero"`
	// Balancers that tell clients' addresses by the PROXY protocol, version 2.
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty"`
	// Balancers that tell clients' addresses in a header.
	ForwardedAddresses *ForwardedAddresses `json:"forwardedAddresses,omitempty"`
	// Balancers that tell clients' certificates in a header.
	ClientCertificateHeader *ClientCertificateHeader `json:"clientCertificateHeader,omitempty"`
	// How long requests under way may take to end after SIGTERM, before they are cut: 1s to 24h. Default
	// 30s.
	DrainTimeout Duration `json:"drainTimeout,omitzero" jsonschema:"default=30s"`
}

// Limits bounds what one client may take of the gate.
type Limits struct {
	// Open connections from one IPv4 address or IPv6 /64, 1 to 1000000. Default 1000.
	ConnectionsPerSource int `json:"connectionsPerSource,omitempty" jsonschema:"minimum=1,maximum=1000000,default=1000"`
	// Concurrent HTTP/2 streams on one connection, 1 to 10000. Default 250, so that one client-go client with many watches fits.
	StreamsPerConnection int `json:"streamsPerConnection,omitempty" jsonschema:"minimum=1,maximum=10000,default=250"`
	// Total size of a request's headers, in bytes, 4096 to 16777216. Default 1048576, what kube-apiserver takes (STR-7).
	HeaderBytes int `json:"headerBytes,omitempty" jsonschema:"minimum=4096,maximum=16777216,default=1048576"`
}

// KeyPair is a certificate and its private key, both PEM files.
type KeyPair struct {
	// Certificate, followed by its intermediates.
	CertFile string `json:"certFile"`
	// Private key.
	KeyFile string `json:"keyFile"`
}

// Admin is the listener for probes and metrics. It tells no names and no secrets.
type Admin struct {
	// Host and port.
	Address string `json:"address"`
	// Serve HTTPS with this certificate. Left out, plain HTTP is served.
	TLS *KeyPair `json:"tls,omitempty"`
}

// Cluster is one API server behind the gate.
type Cluster struct {
	// Name in paths, logs and metrics: a DNS label, unique.
	Name string `json:"name"`
	// URL of the API server: https, host and optional port, no path.
	Server string `json:"server" jsonschema:"pattern=^https://"`
	// The CAs that may have signed the API server's certificate, PEM. Required: the host's roots are never used.
	CertificateAuthorityFile string `json:"certificateAuthorityFile"`
	// Name to expect in the API server's certificate, where it differs from the URL's host.
	TLSServerName string `json:"tlsServerName,omitempty"`
	// How the caller's identity is handed on.
	Identity UpstreamIdentity `json:"identity"`
	// API audiences of this cluster (AUD-1), its --api-audiences. Left out, those of authentication.audiences.
	Audiences []string `json:"audiences,omitempty"`
	// The gate's own account on the cluster, for what it asks there itself. Left out, identity.impersonation's account
	// is used; with identity.requestHeader there is none then.
	Access *Access `json:"access,omitempty"`
	// How tokens of the cluster's ServiceAccounts are recognised. Left out, none are.
	ServiceAccounts *ServiceAccounts `json:"serviceAccounts,omitempty"`
}

// Access is the gate's own account on a cluster. docs/rbac.md lists what it must be allowed for what is configured.
type Access struct {
	// Kubeconfig whose current context holds the credential. Its server and CA are not used: those of the cluster are.
	Kubeconfig string `json:"kubeconfig"`
}

// UpstreamIdentity is how a caller's identity is handed to the API server. Exactly one must be set.
type UpstreamIdentity struct {
	// As an authenticating proxy: X-Remote-* headers under a front-proxy client certificate. Preferred where the API
	// server's --requestheader-* flags can be set: impersonation and audit stay native.
	RequestHeader *RequestHeader `json:"requestHeader,omitempty" jsonschema:"oneof_required=requestHeader"`
	// As Impersonate-* headers under the gate's own credential. Works on every cluster, managed ones too.
	Impersonation *Impersonation `json:"impersonation,omitempty" jsonschema:"oneof_required=impersonation"`
}

// RequestHeader is how the gate speaks to an API server as an authenticating proxy.
type RequestHeader struct {
	// The front-proxy certificate and key, PEM: for client authentication, of the API server's --requestheader-client-ca-file.
	KeyPair `json:",inline"`
	// Header names, beside the X-Remote ones, under which the API server takes a user, uid or group from a proxy (its
	// --requestheader-username-headers, -uid-headers and -group-headers). The gate removes them from every request; one
	// that is missing here lets clients name themselves.
	StripHeaders []string `json:"stripHeaders,omitempty"`
	// The same for prefixes of extras (its --requestheader-extra-headers-prefix).
	StripHeaderPrefixes []string `json:"stripHeaderPrefixes,omitempty"`
}

// Impersonation is the gate's own access to a cluster where identities are handed on by impersonation.
type Impersonation struct {
	// Kubeconfig whose current context holds the gate's credential. Its server and CA are not used: those of the
	// cluster are.
	Kubeconfig string `json:"kubeconfig"`
	// Judge a caller's --as by the verb impersonate alone. Set it for clusters older than 1.36, or whose feature gate
	// ConstrainedImpersonation is off: roles that grant impersonate:<mode> mean nothing there, and must mean nothing here.
	LegacyOnly bool `json:"legacyOnly,omitempty"`
}

// Authentication names the mechanisms that are on. What is left out is off.
type Authentication struct {
	// API audiences (AUD-1), kube-apiserver's --api-audiences. May be empty.
	Audiences []string `json:"audiences,omitempty"`
	// Identities that an authenticating proxy names in headers.
	ProxyHeader *ProxyHeader `json:"proxyHeader,omitempty"`
	// X.509 client certificates.
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
	// Static token file.
	StaticToken *StaticToken `json:"staticToken,omitempty"`
	// ServiceAccount tokens that are kept in Secrets.
	ServiceAccountSecret *ServiceAccountSecret `json:"serviceAccountSecret,omitempty"`
	// ServiceAccount tokens that were requested.
	TokenRequest *TokenRequest `json:"tokenRequest,omitempty"`
	// Bootstrap tokens.
	BootstrapToken *BootstrapToken `json:"bootstrapToken,omitempty"`
	// JSON Web Tokens of OpenID Connect providers.
	JWT *JWT `json:"jwt,omitempty"`
	// Tokens that a TokenReview service knows.
	Webhook *Webhook `json:"webhook,omitempty"`
	// Access without a credential. An AuthenticationConfiguration may have an anonymous section instead, not as well.
	Anonymous *Anonymous `json:"anonymous,omitempty"`
}

// MechanismPolicy restricts what a mechanism may bring in. It is judged after the credential was verified, in one
// place for all mechanisms; a refusal ends the request.
type MechanismPolicy struct {
	// "hardened", or "kubernetes" for the mechanism as kube-apiserver has it, without what Ostiary adds to make it safe: for
	// migration, and to compare the two. It excludes the fields that would harden it. Default hardened.
	Profile string `json:"profile,omitempty" jsonschema:"enum=hardened,enum=kubernetes,default=hardened"`
	// Networks (CIDR) from which the mechanism's credentials are accepted; empty means from anywhere (G-20).
	AllowedNetworks []string `json:"allowedNetworks,omitempty"`
	// User and group names starting with "system:" that the mechanism may carry. All others are refused. A trailing
	// "*" stands for any ending.
	AllowedSystemNames []string `json:"allowedSystemNames,omitempty"`
}

// ClientCertificate accepts X.509 client certificates.
type ClientCertificate struct {
	// PEM bundles of the CAs that may have signed them.
	CAFiles []string `json:"caFiles" jsonschema:"minItems=1"`
	// Longest notAfter - notBefore that is accepted (G-06), at least 1m; left out, there is no bound.
	MaxLifetime     Duration `json:"maxLifetime,omitzero"`
	MechanismPolicy `json:",inline"`
}

// StaticToken accepts the tokens of a CSV file: token, user, uid, groups, as Kubernetes defines it (FILE-1).
type StaticToken struct {
	// The CSV file.
	File string `json:"file"`
	// Accept entries whose token stands in clear text. Left out, only hashed entries are: see "ostiary config
	// hash-tokens" (G-12).
	AllowClearText  bool `json:"allowClearText,omitempty"`
	MechanismPolicy `json:",inline"`
}

// JWT accepts JSON Web Tokens by Kubernetes' own AuthenticationConfiguration (CFG-1). Exactly one of file and
// configuration must be set.
type JWT struct {
	// A file that holds an AuthenticationConfiguration of apiserver.config.k8s.io. Its anonymous section counts, too.
	File string `json:"file,omitempty" jsonschema:"oneof_required=file"`
	// The same, written in place.
	Configuration *RawObject `json:"configuration,omitempty" jsonschema:"oneof_required=configuration"`
	// Longest exp - iat that is accepted (G-27), at least 1m; left out, there is no bound. A token without iat is
	// refused where there is one.
	MaxLifetime     Duration `json:"maxLifetime,omitzero"`
	MechanismPolicy `json:",inline"`
}

// Anonymous lets callers in without a credential, as system:anonymous (ANON-1).
type Anonymous struct {
	// Decoded URL paths that anonymous callers may ask for, each exactly (ANON-4). Empty means all.
	Paths []string `json:"paths,omitempty"`
	// Networks (CIDR) from which anonymous access is given; empty means from anywhere.
	AllowedNetworks []string `json:"allowedNetworks,omitempty"`
}

// GroupRule changes the groups of the identities it matches. All conditions that are set must hold; an empty
// condition holds for everybody who was authenticated. Anonymous callers are reached only by rules whose mechanisms name
// anonymous.
type GroupRule struct {
	// Name for logs and errors, unique.
	Name string `json:"name"`
	// Whom the rule is about.
	Match GroupMatch `json:"match,omitzero"`
	// Groups to remove; a trailing "*" stands for any ending. Removal comes first, then renaming, then adding.
	Remove []string `json:"remove,omitempty"`
	// Groups to rename: from exact name to new name.
	Rename map[string]string `json:"rename,omitempty"`
	// Groups to add at the end, if not there yet.
	Add []string `json:"add,omitempty"`
}

// GroupMatch says whom a group rule is about. Within one list any entry may match; a trailing "*" stands for any
// ending.
type GroupMatch struct {
	// User names; a trailing "*" stands for any ending.
	Users []string `json:"users,omitempty"`
	// Group names as the rules before left them; a trailing "*" stands for any ending.
	Groups []string `json:"groups,omitempty"`
	// Mechanisms by which the caller came in, by their names under authentication.
	Mechanisms []string `json:"mechanisms,omitempty" jsonschema:"enum=proxyHeader,enum=issuedCertificate,enum=clientCertificate,enum=issuedToken,enum=staticToken,enum=serviceAccountSecret,enum=tokenRequest,enum=bootstrapToken,enum=jwt,enum=webhook,enum=anonymous"`
	// Names of clusters that the request is for, as in clusters[].name, or of callers, as in tokenReview.callers[].name.
	Clusters []string `json:"clusters,omitempty"`
}

// AccessLog is where decisions are recorded: one JSON object a line.
type AccessLog struct {
	// File to append to; it is reopened when it was moved away. Left out, lines go to standard output.
	File string `json:"file,omitempty"`
}

// Tracing sends OpenTelemetry traces over OTLP/HTTP.
type Tracing struct {
	// URL of the collector, for example https://collector:4318.
	Endpoint string `json:"endpoint"`
	// The CAs that may have signed the collector's certificate, PEM. Left out, the host's roots.
	CertificateAuthorityFile string `json:"certificateAuthorityFile,omitempty"`
	// Share of requests to trace, out of a million. 0 means only those whose client asks for it by traceparent.
	SamplingPerMillion int `json:"samplingPerMillion,omitempty" jsonschema:"minimum=0,maximum=1000000"`
}
