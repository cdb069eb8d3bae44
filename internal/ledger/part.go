package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Where Parts stand.
const (
	// LockPrefix holds who is locked out.
	LockPrefix = "lock/"
	// SessionPrefix holds who signed in, IssuedPrefix the credentials of Ostiary's own that are in force, and IssuerPrefix the
	// keys that issue them.
	SessionPrefix = "session/"
	IssuedPrefix  = "issued/"
	IssuerPrefix  = "issuer/"
)

// PartPrefixes lists them all.
func PartPrefixes() []string { return []string{LockPrefix, SessionPrefix, IssuedPrefix, IssuerPrefix} }

// Part is what somebody else keeps in the ledger, under a prefix of its own, and is told of by the one watch that there is.
type Part struct {
	// Prefix ends with a slash, and is nobody else's.
	Prefix string
	// Take takes in a record as it is now, by its key without the prefix; a nil value says that it is gone. It is called in
	// the order of the changes, and with what there is whenever the store was lost meanwhile. It must not call the ledger. An
	// error keeps the view from being fresh.
	Take func(name string, value []byte) error
	// Names are those of the records that were taken in and are not gone, so that what went while the store was lost can be told: Take
	// hears of it after all that is there. Nil where it is no matter.
	Names func() []string
}

// partNames tells parts what went.
type partNames struct {
	parts []Part
	seen  []map[string]bool
}

func newPartNames(parts []Part) *partNames {
	p := &partNames{}
	for i := range parts {
		if parts[i].Names != nil {
			p.parts, p.seen = append(p.parts, parts[i]), append(p.seen, make(map[string]bool))
		}
	}
	return p
}

// note notes that a record is there.
func (p *partNames) note(key string) {
	for i := range p.parts {
		if name, found := strings.CutPrefix(key, p.parts[i].Prefix); found {
			p.seen[i][name] = true
		}
	}
}

// gone tells every part what is not there any more.
func (p *partNames) gone() error {
	for i := range p.parts {
		for _, name := range p.parts[i].Names() {
			if p.seen[i][name] {
				continue
			}
			if err := p.parts[i].Take(name, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// partAt returns the part of a prefix.
func (l *Ledger) partAt(prefix string) Part {
	for i := range l.config.Parts {
		if l.config.Parts[i].Prefix == prefix {
			return l.config.Parts[i]
		}
	}
	return Part{}
}

// part hands a record to whose it is; ok is false where it is the ledger's own, or nobody's.
func (l *Ledger) part(record Record) (ok bool, err error) {
	for i := range l.config.Parts {
		if name, found := strings.CutPrefix(record.Key, l.config.Parts[i].Prefix); found {
			return true, l.config.Parts[i].Take(name, record.Value)
		}
	}
	return false, nil
}

// take puts a record where it belongs.
func (l *Ledger) take(m *mirror, replicas map[string]*replicaView, record Record) error {
	if ok, err := l.part(record); ok || err != nil {
		return err
	}
	return take(m, replicas, record)
}

// fences reports whether somebody waits until a change is in force.
func fences(change Change) bool {
	for _, record := range change.Records {
		if record.Key == headKey {
			return true
		}
	}
	return false
}

// WritePart writes and deletes records of a part, by their names without its prefix, and does not wait until they are in
// force.
func (l *Ledger) WritePart(ctx context.Context, prefix string, puts map[string][]byte, deletes []string) error {
	var t Transaction
	flush := func() error {
		_, err := l.config.Store.Commit(ctx, t)
		t = Transaction{}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		return nil
	}
	for name, value := range puts {
		t.Puts = append(t.Puts, Record{Key: prefix + name, Value: value})
		if len(t.Puts) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	for _, name := range deletes {
		t.Deletes = append(t.Deletes, prefix+name)
		if len(t.Puts)+len(t.Deletes) >= batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(t.Puts)+len(t.Deletes) == 0 {
		return nil
	}
	return flush()
}

// EnforcePart writes one record of a part, and returns when every replica has taken it in, as Revoke does.
func (l *Ledger) EnforcePart(ctx context.Context, prefix, name string, value []byte) (*InForce, error) {
	began := time.Now()
	revision, err := l.commit(ctx, func(uint64) (Transaction, error) {
		return Transaction{Puts: []Record{{Key: prefix + name, Value: value}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return l.inForce(ctx, began, revision, nil)
}

// Replicas is how many replicas have the ledger, at least 1.
func (l *Ledger) Replicas() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(1, len(l.replicas))
}

// Hide makes a name that tells nothing of parts to those who lack a key.
func (l *Ledger) Hide(parts ...string) string { return l.config.Names.Hide(parts...) }
