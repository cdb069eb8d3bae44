package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// Origin says how the ledger came to know a credential. The zero value is none, and refused.
type Origin string

// The origins.
const (
	// Seen: it was presented, and accepted.
	Seen Origin = "seen"
	// Issued: its issue passed through Ostiary.
	Issued Origin = "issued"
	// Found: a cluster has it among what it issued, at whatever time.
	Found Origin = "found"
	// Imported: somebody who may said that it exists.
	Imported Origin = "imported"
)

// Entry is the record of one credential. It holds nothing that lets anybody in.
type Entry struct {
	// Name is the entry's own, by which it can be asked for. It tells nothing.
	Name string `json:"-"`
	// ID and Issuer are the credential's id (identity.CredentialID).
	ID     string `json:"id"`
	Issuer string `json:"issuer,omitempty"`
	// Mechanism is the one that takes it.
	Mechanism identity.Mechanism `json:"mechanism"`
	// Username, UID and Groups are as the mechanism gives them, before group rules.
	Username string   `json:"username"`
	UID      string   `json:"uid,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// GroupsLeftOut is how many more groups there are.
	GroupsLeftOut int `json:"groupsLeftOut,omitempty"`
	// NotBefore and NotAfter are what the credential says of itself; zero where it does not.
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// Certificate is the one that the credential is, or by which somebody vouched for it.
	Certificate *authn.Certificate `json:"certificate,omitempty"`
	// Basis is what a credential of Ostiary's own rests on, Session the id of the session that it belongs to, and Parent the id of
	// the one that it renews.
	Basis   *authn.Basis `json:"basis,omitempty"`
	Session string       `json:"session,omitempty"`
	Parent  string       `json:"parent,omitempty"`
	// Cluster is where it was used first, or issued.
	Cluster string `json:"cluster,omitempty"`
	Origin  Origin `json:"origin"`
	// IssuedTo is who had it issued, as far as that is known, or who imported it.
	IssuedTo Actor `json:"issuedTo,omitzero"`
	// Recorded is when, by the clock of the replica that recorded it.
	Recorded time.Time `json:"recorded"`
	// Index is how many acts upon the ledger came before it: a revocation of what was so far has a greater one.
	Index uint64 `json:"-"`
}

// EntryOf is the entry of a credential that was presented.
func EntryOf(r *authn.Request, cred *authn.Credential) *Entry {
	e := &Entry{
		ID: cred.ID.Value, Issuer: cred.ID.Issuer, Mechanism: cred.Mechanism,
		Username: cred.Identity.Username, UID: cred.Identity.UID, Groups: cred.Identity.Groups,
		NotBefore: cred.NotBefore, NotAfter: cred.NotAfter, Certificate: cred.Certificate,
		Cluster: r.Cluster, Origin: Seen,
	}
	if left := len(e.Groups) - maxGroups; left > 0 {
		e.Groups, e.GroupsLeftOut = e.Groups[:maxGroups], left
	}
	return e
}

// Credential is the credential as far as a revocation asks about it.
func (e *Entry) Credential() *authn.Credential {
	return &authn.Credential{
		ID: identity.CredentialID{Issuer: e.Issuer, Value: e.ID}, Mechanism: e.Mechanism,
		Identity:  identity.Identity{Username: e.Username, UID: e.UID, Groups: e.Groups},
		NotBefore: e.NotBefore, NotAfter: e.NotAfter, Certificate: e.Certificate, Basis: e.Basis,
	}
}

// maxGroups bounds the groups that an entry lists; more say no more about who it is.
const maxGroups = 64

// ErrEntry is wrapped by all errors about an entry that cannot be taken.
var ErrEntry = errors.New("not a valid entry")

// Check says what about e cannot be taken.
func (e *Entry) Check() error {
	switch {
	case e.ID == "" || e.Username == "":
		return fmt.Errorf("%w: a credential has an id and a user name", ErrEntry)
	case len(e.Groups) > maxGroups:
		return fmt.Errorf("%w: it lists more than %d groups", ErrEntry, maxGroups)
	case slices.ContainsFunc(append([]string{e.UID, e.Cluster}, e.Groups...), func(s string) bool { return len(s) > maxName }):
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrEntry, maxName)
	case len(e.ID) > maxName || len(e.Issuer) > maxName || len(e.Username) > maxName:
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrEntry, maxName)
	case !printable(e.ID) || !printable(e.Issuer) || !printable(e.Username):
		return fmt.Errorf("%w: a name holds control characters or is not UTF-8", ErrEntry)
	case !slices.Contains(identity.Mechanisms(), e.Mechanism) || e.Mechanism == identity.AnonymousAccess:
		return fmt.Errorf("%w: there is no mechanism %q with credentials", ErrEntry, e.Mechanism)
	case !slices.Contains([]Origin{Seen, Issued, Found, Imported}, e.Origin):
		return fmt.Errorf("%w: unknown origin %q", ErrEntry, e.Origin)
	}
	return nil
}

// An entry's value begins with what the mirror keeps of it, so that a million of them are read in seconds: the index, with
// the least bit set where the issue was seen, and the digest of the id. JSON follows.
const entryHead = 8 + len(digest{})

// forgotten stands in place of the index of an entry that is about to be deleted: a deletion does not say of what.
const forgotten = ^uint64(0)

// known is what the mirror keeps of an entry: what its value begins with, and in the bits above that the bucket of its key, since a
// digest does not tell where its entry stands.
type known uint64

// bucketShift is where the bucket stands. An index takes 55 bits at the most: a thousand acts a second for a million years.
const bucketShift = 56

// lastIndex is after every act.
const lastIndex = 1<<(bucketShift-1) - 1

// in returns k with its bucket.
func (k known) in(bucket uint8) known { return k&(1<<bucketShift-1) | known(bucket)<<bucketShift }

// bucket is that of the entry's key.
func (k known) bucket() uint8 { return uint8(k >> bucketShift) }

func knownOf(index uint64, issued bool) known {
	if issued {
		return known(index<<1 | 1)
	}
	return known(index << 1)
}

// index is the entry's.
func (k known) index() uint64 { return uint64(k.in(0) >> 1) }

// issued reports whether the ledger saw the issue, so that the credential cannot be older than its entry.
func (k known) issued() bool { return k&1 == 1 }

// encodeEntry writes e's value.
func encodeEntry(e *Entry) ([]byte, error) {
	id := digestOf(e.ID, e.Issuer)
	value := binary.BigEndian.AppendUint64(nil, uint64(knownOf(e.Index, e.Origin == Issued)))
	value = append(value, id[:]...)
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return append(value, text...), nil
}

// decodeHead reads what the mirror keeps.
func decodeHead(key string, value []byte) (id digest, k known, err error) {
	if len(value) < entryHead {
		return id, 0, fmt.Errorf("ledger: record %s is too short", key)
	}
	k = known(binary.BigEndian.Uint64(value))
	if uint64(k) != forgotten && k.bucket() != 0 {
		return id, 0, fmt.Errorf("ledger: record %s has an index that no ledger can have", key)
	}
	return digest(value[8:entryHead]), k, nil
}

// decodeEntry reads all of an entry. One that was forgotten is nil.
func decodeEntry(name string, value []byte) (*Entry, error) {
	id, k, err := decodeHead(entryKey+name, value)
	if err != nil || uint64(k) == forgotten {
		return nil, err
	}
	e := &Entry{Name: name, Index: k.index()}
	if err := decode(entryKey+name, value[entryHead:], e); err != nil {
		return nil, err
	}
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("ledger: record %s%s: %w", entryKey, name, err)
	}
	if id != digestOf(e.ID, e.Issuer) || k.issued() != (e.Origin == Issued) {
		return nil, fmt.Errorf("ledger: record %s%s says two things of itself", entryKey, name)
	}
	return e, nil
}

// tombstone is the value of an entry that is about to be deleted.
func tombstone(id digest) []byte {
	return append(binary.BigEndian.AppendUint64(nil, forgotten), id[:]...)
}

// nameOf is the name of the entry of a credential.
func (l *Ledger) nameOf(id, issuer string) string { return l.config.Names.Hide(id, issuer) }
