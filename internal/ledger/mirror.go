package ledger

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/memo"
)

// clockTolerance is how far the clocks of those who issue credentials may be ahead of the gate's: what says that it was
// issued within it after a revocation counts as issued before.
const clockTolerance = time.Minute

// mirror is every revocation that stands, in memory. Readers of credentials that they have seen before, since the last
// change, take no lock and look nothing up. It has one writer.
type mirror struct {
	// generation rises with every change, so that what was found clean before is looked up again.
	generation atomic.Uint64
	clean      *memo.Memo[*authn.Credential, *atomic.Uint64]

	mu       sync.RWMutex
	standing map[digest]*standing
	byName   map[string]digest
}

// standing is a revocation as far as it matters to requests. Those of one target form a list.
type standing struct {
	name                    string
	soFar                   bool
	created                 int64 // Unix seconds, as all times here
	issuedFrom, issuedUntil int64
	until                   int64
	next                    *standing
}

func newMirror() *mirror {
	return &mirror{
		clean:    memo.New[*authn.Credential, *atomic.Uint64](),
		standing: make(map[digest]*standing), byName: make(map[string]digest),
	}
}

// put takes a revocation in. One of its name that was there before is replaced.
func (m *mirror) put(r *Revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(r.Name)
	key := digestOf(r.Target.Kind, r.Target.Name, r.Target.Issuer)
	m.standing[key] = &standing{
		name: r.Name, soFar: r.Scope == SoFar, created: r.Created.Unix(),
		issuedFrom: unix(r.IssuedFrom, math.MinInt64), issuedUntil: unix(r.IssuedUntil, math.MaxInt64), until: unix(r.Until, math.MaxInt64),
		next: m.standing[key],
	}
	m.byName[r.Name] = key
	m.generation.Add(1)
}

// unix is a time in seconds, or what stands for one that is open.
func unix(t time.Time, open int64) int64 {
	if t.IsZero() {
		return open
	}
	return t.Unix()
}

// drop forgets a revocation.
func (m *mirror) drop(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(name)
	m.generation.Add(1)
}

// remove takes a revocation off its target's list.
func (m *mirror) remove(name string) {
	key, known := m.byName[name]
	if !known {
		return
	}
	delete(m.byName, name)
	var kept *standing
	for one := m.standing[key]; one != nil; one = one.next {
		if one.name != name {
			other := *one // readers may be on the old one
			other.next = kept
			kept = &other
		}
	}
	if kept == nil {
		delete(m.standing, key)
		return
	}
	m.standing[key] = kept
}

// replace takes over all that another mirror holds, at once. The other is of no use any more.
func (m *mirror) replace(other *mirror) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.standing, m.byName = other.standing, other.byName
	m.generation.Add(1)
}

// find returns the name of a revocation that a credential falls under at the time now; empty if there is none. Of a credential that
// was found clean before it does not allocate, nor of another whose names are of usual length.
func (m *mirror) find(cred *authn.Credential, now time.Time) string {
	generation := m.generation.Load() // before looking, so that a change meanwhile is looked at the next time
	seen, known := m.clean.Get(cred)
	if known && seen.Load() == generation {
		return ""
	}
	if name := m.look(cred, now.Unix()); name != "" {
		return name
	}
	if !known {
		seen = new(atomic.Uint64)
		m.clean.Put(cred, seen)
	}
	seen.Store(generation)
	return ""
}

// look asks for every target that a credential can fall under.
func (m *mirror) look(cred *authn.Credential, now int64) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.standing) == 0 {
		return ""
	}
	issued := unix(cred.NotBefore, math.MinInt64)
	for _, target := range [...]Target{
		{Kind: OneCredential, Name: cred.ID.Value, Issuer: cred.ID.Issuer},
		{Kind: User, Name: cred.Identity.Username},
		{Kind: Issuer, Name: cred.ID.Issuer},
		{Kind: AllOfMechanism, Name: string(cred.Mechanism)},
	} {
		if name := m.under(target, issued, now); name != "" {
			return name
		}
	}
	if cred.Certificate == nil {
		return ""
	}
	for _, target := range [...]Target{
		{Kind: OneCredential, Name: cred.Certificate.ID},
		{Kind: OneCertificate, Name: cred.Certificate.Serial, Issuer: cred.Certificate.Issuer},
	} {
		if name := m.under(target, issued, now); name != "" {
			return name
		}
	}
	return m.distrusted(cred.Certificate.Chains, issued, now)
}

// distrusted reports whether every way in which a certificate was verified holds a CA that is shut out: one good way is
// enough, as CAs are crossed to replace one another.
func (m *mirror) distrusted(chains [][]string, issued, now int64) (name string) {
	for _, chain := range chains {
		dead := ""
		for _, authority := range chain {
			if dead = m.under(Target{Kind: Issuer, Name: authority}, issued, now); dead != "" {
				break
			}
		}
		if dead == "" {
			return ""
		}
		name = dead
	}
	return name
}

// under returns the name of a revocation of target that a credential issued then falls under.
func (m *mirror) under(target Target, issued, now int64) string {
	if target.Name == "" {
		return ""
	}
	for one := m.standing[digestOf(target.Kind, target.Name, target.Issuer)]; one != nil; one = one.next {
		if one.holds(issued, now) {
			return one.name
		}
	}
	return ""
}

// holds reports whether it shuts out a credential that says it was issued then; the least number stands for one that
// does not say, which no bound lets go.
func (s *standing) holds(issued, now int64) bool {
	switch {
	case now >= s.until:
		return false
	case issued == math.MinInt64:
		return true
	case issued < s.issuedFrom || issued > s.issuedUntil:
		return false
	default:
		return !s.soFar || issued <= s.created+int64(clockTolerance/time.Second)
	}
}

// count is how many revocations stand.
func (m *mirror) count() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.byName)
}
