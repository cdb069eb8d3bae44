package config

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// maxBestEffort bounds how long requests may be let in without knowing of new revocations.
const maxBestEffort = 5 * time.Minute

const (
	// defaultRetention is long enough to look back at what happened, and short enough for a store of usual size.
	defaultRetention = 90 * 24 * time.Hour
	minRetention     = time.Hour
)

// Ledger is where revocations are kept (G-02, G-05, G-07, G-22). Who may revoke is what the first cluster says: it needs an account of
// the gate's own, see clusters[].access and docs/rbac.md.
type Ledger struct {
	// In this process and its own folder, for a gate of one replica.
	Embedded *EmbeddedStore `json:"embedded,omitempty" jsonschema:"oneof_required=embedded"`
	// In an etcd cluster that others run, for a gate of several replicas. Exactly one of embedded and etcd must be set.
	Etcd *EtcdStore `json:"etcd,omitempty" jsonschema:"oneof_required=etcd"`
	// Mechanisms whose credentials must be on record before they count (G-08). Others' are recorded when they are first seen.
	Strict []string `json:"strict,omitempty"`
	// How long a credential is kept on record after it ended. Left out, 2160h (90 days).
	Retention Duration `json:"retention,omitzero"`
	// Whether certificates that clusters sign are put on record as soon as they are (G-05), whoever asked for them. The gate's account
	// must be allowed to list and watch certificatesigningrequests on each cluster that has one.
	CertificateSigningRequests bool `json:"certificateSigningRequests,omitempty"`
	// Credentials that still come in while the ledger cannot be read, unless it was known before that they are shut out: for
	// the emergency in which nobody else does. Each use is an error in the log, and has the reason break_glass in the access
	// log. Keep them locked away, and try them.
	BreakGlass []BreakGlass `json:"breakGlass,omitempty"`
	// File with the key that the ledger is sealed by: make it with "ostiary store new-key FILE", and keep a copy apart from
	// the store and its backups. Without it the ledger is lost. Nobody but its owner may read it; a Kubernetes Secret that is
	// mounted with defaultMode 0400 will do.
	KeyFile string `json:"keyFile"`
	// File of this gate's own in which it keeps what it knows of the ledger, so that it notices when the store was rolled back
	// to an earlier state, in which revocations are missing. It must not be restored together with the store. Left out, it is
	// the embedded store's directory with ".checkpoint" after its name; with etcd there is none.
	CheckpointFile string `json:"checkpointFile,omitempty"`
	// How long requests are still let in when the ledger cannot be read, up to 5m. New revocations may not hold in that time.
	// Left out, requests are refused with 503 after one second, and open streams are cut after five.
	BestEffort Duration `json:"bestEffort,omitzero"`
}

// BreakGlass names a credential for an emergency.
type BreakGlass struct {
	// Its id, as the access log has it, for example X509SHA256=9f86….
	ID string `json:"id"`
	// Its issuer, where the id is unique only there.
	Issuer string `json:"issuer,omitempty"`
}

// EmbeddedStore is a store in this process.
type EmbeddedStore struct {
	// Folder of its own, with mode 0700. It is made where it is missing. Losing it loses every revocation.
	Directory string `json:"directory"`
}

// EtcdStore is a store in an etcd cluster, reached by mutual TLS. Its versions are checked: 3.5.28, 3.6.9 and 3.7.0 are the
// least.
type EtcdStore struct {
	// URLs of the members, each of them: https, host and port. Members that are missing here are not asked.
	Endpoints []string `json:"endpoints" jsonschema:"minItems=1"`
	// The certificates. A change of the files applies without a restart.
	TLS EtcdTLS `json:"tls"`
	// What stands before every key: it starts and ends with "/". Gates with the same prefix are replicas of one another.
	// Default /ostiary/.
	Prefix string `json:"prefix,omitempty" jsonschema:"default=/ostiary/"`
}

// EtcdTLS is how the members of an etcd cluster and the gate know one another.
type EtcdTLS struct {
	// The CAs that may have signed the members' certificates, PEM.
	CertificateAuthorityFile string `json:"certificateAuthorityFile"`
	// The client certificate that etcd knows the gate by, and its key, PEM. Where etcd has users, its common name is the user.
	KeyPair `json:",inline"`
}

// CheckedLedger is where revocations are kept. Exactly one of Directory and Etcd is set.
type CheckedLedger struct {
	// Strict are mechanisms that exist.
	Strict                     map[identity.Mechanism]bool
	Retention                  time.Duration
	CertificateSigningRequests bool
	// Directory is the absolute name of the embedded store's folder.
	Directory string
	// Etcd is the cluster of an external store.
	Etcd *CheckedEtcd
	// BreakGlass is empty, or names credentials for an emergency.
	BreakGlass map[identity.CredentialID]bool
	// KeyFile is the absolute name of the key, for messages, and Key is what is in it.
	KeyFile string
	Key     secret.String
	// CheckpointFile is an absolute name; empty where a rollback is not noticed.
	CheckpointFile string
	// BestEffort is 0 where the gate refuses what it cannot judge.
	BestEffort time.Duration
}

// CheckedEtcd is an etcd cluster.
type CheckedEtcd struct {
	// Endpoints are https URLs of host and port, none twice.
	Endpoints []string
	// Authorities are the only CAs that may have signed the members' certificates.
	Authorities Bundle
	// Pair is valid now, and for client authentication.
	Pair Pair
	// Prefix starts and ends with a slash.
	Prefix string
}

// defaultEtcdPrefix is where the ledger is kept in an etcd that others may use too.
const defaultEtcdPrefix = "/ostiary/"

// maxEtcdPrefix bounds what every key carries.
const maxEtcdPrefix = 256

func (c *checker) ledger(p *field.Path, written *Ledger, clusters []CheckedCluster) *CheckedLedger {
	if written == nil {
		return nil
	}
	checked := &CheckedLedger{
		BestEffort: time.Duration(written.BestEffort), Retention: time.Duration(written.Retention),
		Strict: make(map[identity.Mechanism]bool, len(written.Strict)), CertificateSigningRequests: written.CertificateSigningRequests,
	}
	for i, name := range written.Strict {
		mechanism := identity.Mechanism(name)
		if mechanism == identity.AnonymousAccess || !slices.Contains(identity.Mechanisms(), mechanism) {
			c.invalid(p.Child("strict").Index(i), name, "there is no mechanism of that name with credentials")
		}
		checked.Strict[mechanism] = true
	}
	for i, one := range written.BreakGlass {
		if one.ID == "" || !strings.Contains(one.ID, "=") {
			c.invalid(p.Child("breakGlass").Index(i).Child("id"), one.ID, "want a credential id such as X509SHA256=9f86…, as the access log has it")
		}
		if checked.BreakGlass == nil {
			checked.BreakGlass = make(map[identity.CredentialID]bool)
		}
		checked.BreakGlass[identity.CredentialID{Issuer: one.Issuer, Value: one.ID}] = true
		c.warn(p.Child("breakGlass").Index(i), "%s comes in while the ledger cannot be read, also if it was shut out meanwhile", one.ID)
	}
	if checked.Retention == 0 {
		checked.Retention = defaultRetention
	} else if checked.Retention < minRetention {
		c.invalid(p.Child("retention"), written.Retention.String(), "must be at least %s: what may be asked about must be there", minRetention)
	}
	if checked.BestEffort < 0 || checked.BestEffort > maxBestEffort {
		c.invalid(p.Child("bestEffort"), written.BestEffort.String(), "must be between 0s and %s", maxBestEffort)
	} else if checked.BestEffort > 0 {
		c.warn(p.Child("bestEffort"), "while the ledger cannot be read, revocations do not hold for up to %s", checked.BestEffort)
	}
	if len(clusters) > 0 && clusters[0].Access == nil {
		c.warn(p, "nobody can revoke through this gate: the first cluster says who may, and the gate has no account there; write clusters[0].access")
	}
	if key, name := c.private(p.Child("keyFile"), written.KeyFile); key != nil {
		checked.KeyFile, checked.Key = name, secret.New(string(key))
	}
	switch {
	case written.Embedded != nil && written.Etcd != nil:
		c.forbidden(p, "embedded and etcd exclude each other; remove one")
	case written.Etcd != nil:
		checked.Etcd = c.etcd(p.Child("etcd"), written.Etcd)
	case written.Embedded == nil:
		c.required(p, "write embedded or etcd: where the ledger is kept")
	case written.Embedded.Directory == "":
		c.required(p.Child("embedded", "directory"), "the folder that the ledger is kept in")
	default:
		checked.Directory = c.absolute(written.Embedded.Directory)
		if info, err := os.Stat(checked.Directory); err == nil && !info.IsDir() {
			c.invalid(p.Child("embedded", "directory"), written.Embedded.Directory, "%s is a file; name a folder", checked.Directory)
		}
	}
	c.checkpoint(p.Child("checkpointFile"), written.CheckpointFile, checked)
	return checked
}

// checkpoint checks where this gate keeps what it knows of the ledger.
func (c *checker) checkpoint(p *field.Path, written string, checked *CheckedLedger) {
	if written == "" {
		if checked.Directory == "" {
			c.warn(p, "without it a gate that starts does not notice that etcd was rolled back to an earlier state, in which revocations are missing")
			return
		}
		checked.CheckpointFile = checked.Directory + ".checkpoint"
		return
	}
	checked.CheckpointFile = c.absolute(written)
	inside, err := filepath.Rel(checked.Directory, checked.CheckpointFile)
	if checked.Directory != "" && err == nil && filepath.IsLocal(inside) {
		c.invalid(p, written, "must not be inside the store's directory: it would be rolled back together with the store")
	}
	if info, err := os.Stat(filepath.Dir(checked.CheckpointFile)); err != nil || !info.IsDir() {
		c.invalid(p, written, "the folder %s does not exist; create it, writable for the gate", filepath.Dir(checked.CheckpointFile))
	}
}

// etcd checks the cluster of an external store.
func (c *checker) etcd(p *field.Path, written *EtcdStore) *CheckedEtcd {
	checked := &CheckedEtcd{Prefix: written.Prefix}
	at := p.Child("endpoints")
	if len(written.Endpoints) == 0 {
		c.required(at, "name the members, for example https://10.0.0.1:2379")
	}
	for i, endpoint := range written.Endpoints {
		member := c.member(at.Index(i), endpoint)
		if member != "" && slices.Contains(checked.Endpoints, member) {
			c.duplicate(at.Index(i), endpoint, "name each member once")
		}
		checked.Endpoints = append(checked.Endpoints, member)
	}
	if checked.Prefix == "" {
		checked.Prefix = defaultEtcdPrefix
	}
	if prefix := checked.Prefix; len(prefix) > maxEtcdPrefix || len(prefix) < 2 || prefix[0] != '/' || prefix[len(prefix)-1] != '/' ||
		strings.ContainsFunc(prefix, func(r rune) bool { return r <= ' ' || r > '~' }) {
		c.invalid(p.Child("prefix"), prefix, "must start and end with \"/\", with visible ASCII characters between, %d in all at most", maxEtcdPrefix)
	}
	tls := p.Child("tls")
	authorities := c.bundle([]string{written.TLS.CertificateAuthorityFile}, func(int) *field.Path { return tls.Child("certificateAuthorityFile") })
	pair := c.clientPair(tls, written.TLS.KeyPair, "etcd")
	if authorities != nil && pair != nil {
		checked.Authorities, checked.Pair = *authorities, *pair
	}
	return checked
}

// member checks the URL of a member of an etcd cluster, and returns it in one spelling.
func (c *checker) member(p *field.Path, written string) string {
	member, err := url.Parse(written)
	switch {
	case err != nil || member.User != nil || member.RawQuery != "" || member.Fragment != "" || member.Path != "" && member.Path != "/":
		c.invalid(p, field.OmitValueType{}, "must be only https://host:port") // what it holds may be a password
	case member.Scheme != "https":
		c.invalid(p, written, "must start with https://: the ledger decides who gets in, and goes over no connection that others could read or change")
	case !isHost(member.Hostname()):
		c.invalid(p, written, "must have an IP address or a DNS name as its host")
	case member.Port() == "":
		c.invalid(p, written, "must have a port; etcd's own is 2379")
	default:
		return "https://" + strings.ToLower(member.Host)
	}
	return ""
}
