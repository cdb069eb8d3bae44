package config

import (
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxBestEffort bounds how long requests may be let in without knowing of new revocations.
const maxBestEffort = 5 * time.Minute

// Ledger is where revocations are kept (G-02, G-05, G-07, G-22). Who may revoke is what the first cluster says: it needs an account of
// the gate's own, see clusters[].access and docs/rbac.md.
type Ledger struct {
	// In this process and its own folder, for a gate of one replica.
	Embedded *EmbeddedStore `json:"embedded,omitempty" jsonschema:"oneof_required=embedded"`
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
	// Directory is the absolute name of the embedded store's folder.
	Directory string
	// BestEffort is 0 where the gate refuses what it cannot judge.
	BestEffort time.Duration
}

func (c *checker) ledger(p *field.Path, written *Ledger, clusters []CheckedCluster) *CheckedLedger {
	if written == nil {
		return nil
	}
	checked := &CheckedLedger{BestEffort: time.Duration(written.BestEffort)}
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
