package ledger

import (
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/memo"
)

// clockTolerance is how far the clocks of those who issue credentials may be ahead of the gate's: what says that it was
// issued within it after a revocation counts as issued before.
const clockTolerance = time.Minute

// mirror is every revocation that stands and every credential on record, in memory. Readers of credentials that they have
// seen before, since the last change, take no lock and look nothing up.
type mirror struct {
	// generation rises with every change that may concern a credential which was found clean before.
	generation atomic.Uint64
	// head is the revision of the last act that is known. It falls only with a listing.
	head  atomic.Int64
	clean *memo.Memo[*authn.Credential, *seen]

	seeds [2]maphash.Seed

	mu       sync.RWMutex
	standing map[targetKey]*standing
	byName   map[string]placed
	kinds    map[Kind]int   // how many stand of each kind: nothing is looked for where there are none
	sums     map[string]sum // digests of their records, by name
	total    sum            // all of them together
	entries  map[digest]known
}

// targetKey is a target in memory: two hashes of it under seeds that nobody outside this process knows, so that nobody can
// make two targets meet. Where chance does, too much is shut out, never too little.
type targetKey [2]uint64

// placed says where a revocation stands.
type placed struct {
	key  targetKey
	kind Kind
}

// keyOf hashes a target, each part after its length, so that no two give the same input. It does not allocate where names
// are of usual length.
func (m *mirror) keyOf(kind Kind, name, issuer string) targetKey {
	var stack [digestBytes]byte
	input := appendParts(stack[:0], string(kind), name, issuer)
	return targetKey{maphash.Bytes(m.seeds[0], input), maphash.Bytes(m.seeds[1], input)}
}

// seen is what is remembered of a credential that was found clean and on record.
type seen struct {
	generation atomic.Uint64 // in which it was; 0 is never
	used       atomic.Int64  // when its use was noted last, in Unix seconds
	excused    atomic.Int64  // until when it may go without an entry, in Unix seconds
}

// standing is a revocation as far as it matters to requests. Those of one target form a list.
type standing struct {
	name                    string
	soFar                   bool
	index                   uint64
	created                 int64 // Unix seconds, as all times here
	issuedFrom, issuedUntil int64
	until                   int64
	next                    *standing
}

func newMirror() *mirror {
	m := &mirror{
		clean:    memo.New[*authn.Credential, *seen](),
		standing: make(map[targetKey]*standing), byName: make(map[string]placed), kinds: make(map[Kind]int), sums: make(map[string]sum), entries: make(map[digest]known),
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
	m.generation.Store(1)
	return m
}

// record takes an entry in.
func (m *mirror) record(id digest, k known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, there := m.entries[id]; there && before != k {
		m.generation.Add(1) // it was recorded anew after it was forgotten
	}
	m.entries[id] = k
}

// forget drops an entry.
func (m *mirror) forget(id digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.entries[id]; there {
		delete(m.entries, id)
		m.generation.Add(1)
	}
}

// names are the names of the revocations that stand.
func (m *mirror) names() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	names := make([]string, 0, len(m.byName))
	for name := range m.byName {
		names = append(names, name)
	}
	return names
}

// missing are the entries of buckets that are not there.
func (m *mirror) missing(in *[buckets]bool, there map[digest]bool) (gone []digest) {
	if *in == [buckets]bool{} {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for id, k := range m.entries {
		if in[k.bucket()] && !there[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

// has reports whether a credential is on record.
func (m *mirror) has(id digest) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, there := m.entries[id]
	return there
}

// put takes a revocation in. One of its name that was there before is replaced.
func (m *mirror) put(r *Revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(r.Name)
	key := m.keyOf(r.Target.Kind, r.Target.Name, r.Target.Issuer)
	m.standing[key] = &standing{
		name: r.Name, soFar: r.Scope == SoFar, index: r.Index, created: r.Created.Unix(),
		issuedFrom: unix(r.IssuedFrom, math.MinInt64), issuedUntil: unix(r.IssuedUntil, math.MaxInt64), until: unix(r.Until, math.MaxInt64),
		next: m.standing[key],
	}
	m.byName[r.Name] = placed{key, r.Target.Kind}
	m.kinds[r.Target.Kind]++
	m.generation.Add(1)
}

// tally adds a revocation that was put in to the sum of all.
func (m *mirror) tally(name string, digest sum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sums[name] = digest
	m.total = m.total.plus(digest)
}

// after returns what all revocations come to once records are taken over.
func (m *mirror) after(records []Record) sum {
	m.mu.RLock()
	defer m.mu.RUnlock()
	total := m.total
	for _, record := range records {
		name, ok := strings.CutPrefix(record.Key, revocationKey)
		if !ok {
			continue
		}
		total = total.minus(m.sums[name]) // nothing where there is none
		if record.Value != nil {
			total = total.plus(recordSum(record.Key, record.Value))
		}
	}
	return total
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
	where, known := m.byName[name]
	if !known {
		return
	}
	delete(m.byName, name)
	m.kinds[where.kind]--
	key := where.key
	m.total = m.total.minus(m.sums[name])
	delete(m.sums, name)
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
	m.seeds, m.standing, m.byName, m.kinds, m.entries = other.seeds, other.standing, other.byName, other.kinds, other.entries
	m.head.Store(other.head.Load())
	m.sums, m.total = other.sums, other.total
	m.generation.Add(1)
}

// remembered returns what is remembered of a credential, and whether that is still true. It does not allocate.
func (m *mirror) remembered(cred *authn.Credential) (s *seen, clean bool) {
	s, there := m.clean.Get(cred)
	return s, there && s.generation.Load() == m.generation.Load()
}

// remember notes that a credential was found clean in a generation, which was read before looking.
func (m *mirror) remember(cred *authn.Credential, s *seen, generation uint64) *seen {
	if s == nil {
		s = new(seen)
		m.clean.Put(cred, s)
	}
	s.generation.Store(generation)
	return s
}

// finding is what the mirror says of a credential.
type finding struct {
	revocation string // the name of one that it falls under; empty if there is none
	id         digest
	recorded   bool
}

// find looks a credential up at the time now. It does not allocate where names are of usual length.
func (m *mirror) find(cred *authn.Credential, now time.Time) finding {
	f := finding{id: digestOf(cred.ID.Value, cred.ID.Issuer)}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var entry known
	entry, f.recorded = m.entries[f.id]
	if len(m.standing) == 0 {
		return f
	}
	facts := facts{issued: unix(cred.NotBefore, math.MinInt64), now: now.Unix(), entry: entry, recorded: f.recorded}
	f.revocation = m.look(cred, facts)
	return f
}

// facts are what decides, beside the target, whether a revocation holds.
type facts struct {
	issued   int64 // by what the credential says; the least number where it does not
	now      int64
	entry    known
	recorded bool
}

// look asks for every target that a credential can fall under.
func (m *mirror) look(cred *authn.Credential, f facts) string {
	for _, target := range [...]Target{
		{Kind: OneCredential, Name: cred.ID.Value, Issuer: cred.ID.Issuer},
		{Kind: User, Name: cred.Identity.Username},
		{Kind: Issuer, Name: cred.ID.Issuer},
		{Kind: AllOfMechanism, Name: string(cred.Mechanism)},
	} {
		if name := m.under(target, f); name != "" {
			return name
		}
	}
	if basis := cred.Basis; basis != nil {
		for _, target := range [...]Target{
			{Kind: OneCredential, Name: basis.ID, Issuer: basis.Issuer},
			{Kind: Issuer, Name: basis.Issuer},
			{Kind: AllOfMechanism, Name: string(basis.Mechanism)},
		} {
			if name := m.under(target, f); name != "" {
				return name
			}
		}
	}
	if cred.Certificate == nil {
		return ""
	}
	if cred.Certificate.ID != cred.ID.Value { // somebody else's, who vouched
		if name := m.under(Target{Kind: OneCredential, Name: cred.Certificate.ID}, f); name != "" {
			return name
		}
	}
	if name := m.under(Target{Kind: OneCertificate, Name: cred.Certificate.Serial, Issuer: cred.Certificate.Issuer}, f); name != "" {
		return name
	}
	return m.distrusted(cred.Certificate.Chains, f)
}

// distrusted reports whether every way in which a certificate was verified holds a CA that is shut out: one good way is
// enough, as CAs are crossed to replace one another.
func (m *mirror) distrusted(chains [][]string, f facts) (name string) {
	for _, chain := range chains {
		dead := ""
		for _, authority := range chain {
			if dead = m.under(Target{Kind: Issuer, Name: authority}, f); dead != "" {
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

// under returns the name of a revocation of target that holds.
func (m *mirror) under(target Target, f facts) string {
	if target.Name == "" || m.kinds[target.Kind] == 0 {
		return ""
	}
	for one := m.standing[m.keyOf(target.Kind, target.Name, target.Issuer)]; one != nil; one = one.next {
		if one.holds(f) {
			return one.name
		}
	}
	return ""
}

// holds reports whether it shuts out a credential of its target.
func (s *standing) holds(f facts) bool {
	stated := f.issued != math.MinInt64
	switch {
	case f.now >= s.until:
		return false
	case stated && (f.issued < s.issuedFrom || f.issued > s.issuedUntil):
		return false // no bound lets go one that does not say when it was issued
	case !s.soFar:
		return true
	case f.recorded && f.entry.index() < s.index:
		return true // it was there before
	case f.recorded && f.entry.issued():
		return false // it was not
	default:
		return !stated || f.issued <= s.created+int64(clockTolerance/time.Second)
	}
}
