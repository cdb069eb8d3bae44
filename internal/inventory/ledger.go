package inventory

import (
	"time"

	"github.com/ostiary/ostiary/internal/identity"
)

// Ledger is what a gate has recorded.
type Ledger struct {
	// Cluster is the gate's name for the cluster.
	Cluster string
	Entries []Entry
	// Problem says why it could not be read, where there is a gate.
	Problem string
}

// Entry is one credential in the gate's ledger.
type Entry struct {
	ID, Issuer, Mechanism, Username string
	Groups                          []string
	NotBefore, NotAfter             time.Time
	FirstUsed, LastUsed             time.Time
	LastSource                      string
	// Origin is how the ledger came to know it, IssuedTo who had it issued.
	Origin, IssuedTo string
	Revoked          bool
	// Revocation is the name of the one that shuts it out.
	Revocation string
}

// LedgerSource is the name of the source in reports.
const LedgerSource = "the gate's ledger"

// fromLedger takes over what the gate knows.
func (b *builder) fromLedger() {
	if b.ledger == nil {
		return
	}
	for i := range b.ledger.Entries {
		entry := &b.ledger.Entries[i]
		id := entry.ID
		if entry.Mechanism == string(identity.ServiceAccount) {
			id = withoutDigest(id)
		}
		gateID := ""
		if line, ok := b.static[entry.ID]; ok {
			// Both files have an entry of this user in this place. That it is one token cannot be seen without it.
			id, gateID = line, entry.ID
		}
		c := b.add(Credential{
			ID: id, Kind: KindCredential, Mechanism: entry.Mechanism, Issuer: entry.Issuer, Username: entry.Username, Groups: withoutAuthenticated(entry.Groups),
			Issued: entry.NotBefore, Expires: entry.NotAfter, IssuedBy: entry.IssuedTo, Confidence: Observed, recorded: entry.Origin == "issued" || entry.Origin == "imported",
		}, LedgerSource)
		if entry.Mechanism == string(identity.TokenRequest) || entry.Mechanism == string(identity.ServiceAccount) {
			known := requested(id, entry.Username)
			c.fill(&Credential{account: known.account})
		}
		if gateID != "" {
			c.GateID = gateID
			c.note("the gate has a token of this user as " + gateID + ", taken for the same")
		}
		if !entry.FirstUsed.IsZero() && (c.FirstSeen.IsZero() || entry.FirstUsed.Before(c.FirstSeen)) {
			c.FirstSeen = entry.FirstUsed
		}
		if entry.LastUsed.After(c.LastUsed) {
			c.LastUsed, c.ByDay = entry.LastUsed, false
			c.From = listed(c.From, entry.LastSource)
		}
		if entry.Revoked {
			c.revoked = true
			c.note("revoked at the gate by " + entry.Revocation + "; the cluster behind it takes it still")
		}
	}
}

// withoutDigest is the id of a token Secret without the part that tells two tokens of one Secret apart.
func withoutDigest(id string) string {
	slashes := 0
	for i := range len(id) {
		if id[i] == '/' {
			if slashes++; slashes == 2 { //nolint:mnd // namespace/name/digest
				return id[:i]
			}
		}
	}
	return id
}
