package bootstraptoken

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash/maphash"
	"slices"
)

const (
	// ways is how many rows a bucket has. All of them are looked at for every token.
	ways = 8
	// perBucket is how many records there are for a bucket at first, on average: few enough that hardly any is too full.
	perBucket = 2
	// seedsTried is how many keys are tried until none is; then there are twice as many buckets.
	seedsTried = 8
)

// Table knows tokens by their id. It is immutable and safe for concurrent use; the zero value knows none.
//
// Looking for an id that is not there takes the same steps, over the same memory, as finding one whose secret is another:
// every id belongs to one bucket, every row of which is compared as a whole, and the rows of no record are like the others.
// How long the answer takes does not say which ids there are (BOOT-2, BOOT-5).
type Table struct {
	seed    maphash.Seed
	buckets []bucket // as many as a power of two
	count   int
}

// bucket holds the rows of the ids that belong to it. The records themselves lie elsewhere, and are touched only for whoever
// knows the secret.
type bucket [ways]row

// row is what is compared. That of no record has an id that no token has.
type row struct {
	id     [idLength]byte
	digest [sha256.Size]byte
	record *Record
}

// NewTable returns a table of records. Of records with one id the last is kept; those with an impossible one are found by
// nobody.
func NewTable(records []*Record) *Table {
	byID := make(map[string]*Record, len(records))
	for _, record := range records {
		if record != nil && len(record.id) == idLength {
			byID[record.id] = record
		}
	}
	t := &Table{count: len(byID)}
	size := 1
	for size*perBucket < len(byID) {
		size *= 2
	}
	for ; ; size *= 2 {
		for range seedsTried {
			if t.fill(byID, size) {
				return t
			}
		}
	}
}

// fill puts every record into its bucket, by a new key; it reports false where one of the buckets is too small.
func (t *Table) fill(byID map[string]*Record, size int) bool {
	t.seed, t.buckets = maphash.MakeSeed(), make([]bucket, size)
	for id, record := range byID {
		rows := t.bucketOf(id)
		free := slices.IndexFunc(rows[:], func(r row) bool { return r.record == nil })
		if free < 0 {
			return false
		}
		rows[free] = row{id: [idLength]byte([]byte(id)), digest: record.digest, record: record}
	}
	return true
}

func (t *Table) bucketOf(id string) *bucket {
	return &t.buckets[maphash.String(t.seed, id)&uint64(len(t.buckets)-1)] //nolint:gosec // there is one at least
}

// Len is how many tokens there are.
func (t *Table) Len() int { return t.count }

// match returns the record of that id whose secret has that digest; nil if there is none.
func (t *Table) match(id [idLength]byte, digest [sha256.Size]byte) *Record {
	if t == nil || len(t.buckets) == 0 {
		return nil
	}
	rows := t.bucketOf(string(id[:]))
	found := ways
	for i := range rows {
		same := subtle.ConstantTimeCompare(rows[i].id[:], id[:]) & subtle.ConstantTimeCompare(rows[i].digest[:], digest[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found == ways {
		return nil
	}
	return rows[found].record
}
