package ledger

import "github.com/ostiary/ostiary/internal/identity"

// Tombstone is the value of an entry of a credential that is about to be deleted.
func Tombstone(id identity.CredentialID) []byte { return tombstone(digestOf(id.Value, id.Issuer)) }

// Held is all that the mirror holds, for tests that compare two ledgers: entries by digest with what is kept of them, revocations by
// name with the digest of their records.
func (l *Ledger) Held() map[string]string {
	m := l.mirror
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make(map[string]string, len(m.entries)+len(m.sums))
	for id, k := range m.entries {
		all["entry "+string(id[:])] = string(rune(k.index())) + string(rune(k.bucket()))
	}
	for name, s := range m.sums {
		all["revocation "+name] = string(s[:])
	}
	for _, one := range m.standing {
		for ; one != nil; one = one.next {
			all["stands "+one.name] = ""
		}
	}
	return all
}
