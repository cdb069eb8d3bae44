package controlplane

import (
	"io"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
)

// AuditLevel is how much of each request the API server's audit log keeps.
type AuditLevel string

// The levels, as audit.k8s.io names them.
const (
	AuditMetadata        AuditLevel = "Metadata"
	AuditRequestResponse AuditLevel = "RequestResponse"
)

// Options are what one control plane has that another has not. The zero value of everything but Binaries is a plain
// one: client certificates, ServiceAccount tokens and a request-header CA, RBAC, an audit log of metadata, nothing
// anonymous.
type Options struct {
	// Binaries are the programs; etcd and those of Kubernetes must be there.
	Binaries binaries.Paths
	// Dir takes all files. Empty means a temporary folder that Stop removes.
	Dir string
	// Keep leaves the temporary folder where it is after Stop.
	Keep bool
	// TokenFile is the content of a static token file (FILE-1); empty means that there is none.
	TokenFile string
	// AuthenticationConfiguration is the content of the file of that kind (CFG-1); empty means that there is none.
	AuthenticationConfiguration []byte
	// Anonymous lets anonymous requests in by --anonymous-auth. Where the AuthenticationConfiguration has an
	// "anonymous" of its own at the start of a line, that counts and this does not.
	Anonymous bool
	// NoRequestHeader leaves out the request-header CA: authenticating proxies are not believed then.
	NoRequestHeader bool
	// Audit is the level of the audit log; empty means AuditMetadata.
	Audit AuditLevel
	// ExtraArgs are further flags of kube-apiserver; a later flag overrides an earlier one.
	ExtraArgs []string
	// NoControllerManager leaves kube-controller-manager out: there are no default ServiceAccounts then, so no pods.
	NoControllerManager bool
	// Progress takes a line for each step; nil means none.
	Progress io.Writer
}

// controllers are those that authentication needs: ServiceAccounts with their tokens, the CA that pods are told,
// certificate signing, bootstrap tokens; and what deletes things.
func controllers() []string {
	return []string{
		"serviceaccount-controller",
		"serviceaccount-token-controller",
		"legacy-serviceaccount-token-cleaner-controller",
		"root-ca-certificate-publisher-controller",
		"certificatesigningrequest-signing-controller",
		"certificatesigningrequest-approving-controller",
		"certificatesigningrequest-cleaner-controller",
		"bootstrap-signer-controller",
		"token-cleaner-controller",
		"clusterrole-aggregation-controller",
		"namespace-controller",
		"garbage-collector-controller",
	}
}
