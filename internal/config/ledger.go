package config

import (
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ostiary/ostiary/internal/identity"
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
	// Mechanisms whose credentials must be on record before they count (G-08). Others' are recorded when they are first seen.
	Strict []string `json:"strict,omitempty"`
	// How long a credential is kept on record after it ended. Left out, 2160h (90 days).
	Retention Duration `json:"retention,omitzero"`
	// Whether certificates that clusters sign are put on record as soon as they are (G-05), whoever asked for them. The gate's account
	// must be allowed to list and watch certificatesigningrequests on each cluster that has one.
	CertificateSigningRequests bool `json:"certificateSigningRequests,omitempty"`
	// How long requests are still let in when the ledger cannot be read, up to 5m. New revocations may not hold in that time.
	// Left out, requests are refused with 503 after one second, and open streams are cut after five.
	BestEffort Duration `json:"bestEffort,omitzero"`
}

// EmbeddedStore is a store in this process.
type EmbeddedStore struct {
	// Folder of its own, with mode 0700. It is made where it is missing. Losing it loses every revocation.
	Directory string `json:"directory"`
}

// CheckedLedger is where revocations are kept.
type CheckedLedger struct {
	// Strict are mechanisms that exist.
	Strict                     map[identity.Mechanism]bool
	Retention                  time.Duration
	CertificateSigningRequests bool
	// Directory is the absolute name of the embedded store's folder.
	Directory string
	// BestEffort is 0 where the gate refuses what it cannot judge.
	BestEffort time.Duration
}

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
	switch {
	case written.Embedded == nil:
		c.required(p.Child("embedded"), "where the ledger is kept")
	case written.Embedded.Directory == "":
		c.required(p.Child("embedded", "directory"), "the folder that the ledger is kept in")
	default:
		checked.Directory = c.absolute(written.Embedded.Directory)
		if info, err := os.Stat(checked.Directory); err == nil && !info.IsDir() {
			c.invalid(p.Child("embedded", "directory"), written.Embedded.Directory, "%s is a file; name a folder", checked.Directory)
		}
	}
	return checked
}
