package ledger

import (
	"maps"
	"slices"
	"sort"
	"strings"
)

// group is what kind of records stand in a span of the store. The zero value takes nothing for granted.
type group int

const (
	otherGroup      group = iota // the head, and what this version may not know: every record is looked at
	unreadGroup                  // read only when it is asked for
	entryGroup                   // entries, in buckets by the start of their names
	revocationGroup              // those that stand, in spans by the start of their names
	replicaGroup
	partGroup // others' (Part)
)

const (
	// buckets are the spans of the entries, by the first two hex digits of their names, which are random: of a million, four
	// thousand each.
	buckets = 256
	// nameDigits begin the names of revocations after "r-", in order.
	nameDigits = "234567abcdefghijklmnopqrstuvwxyz"
	// atOnce is how many records are read at once: spans that hold fewer are joined.
	atOnce  = 4096
	hexText = "0123456789abcdef"
)

// spans divide all keys of the store into what is read together and counted together. They do not change.
type spans struct {
	from    []string // the least key of each, in order; a span ends where the next begins
	groups  []group
	entries int // the first span of entries
}

// newSpans returns the spans of a ledger with parts.
func newSpans(parts []Part) *spans {
	starts := map[string]group{"": otherGroup}
	begin := make(map[string]group)
	add := func(prefix string, g group) {
		starts[endOf(prefix)] = otherGroup
		begin[prefix] = g
	}
	for _, prefix := range unreadKeys() {
		add(prefix, unreadGroup)
	}
	for i := range parts {
		add(parts[i].Prefix, partGroup)
	}
	add(replicaKey, replicaGroup)
	add(entryKey, entryGroup)
	add(revocationKey, revocationGroup)
	for b := 1; b < buckets; b++ {
		begin[entryKey+bucketName(b)] = entryGroup
	}
	for _, digit := range nameDigits {
		begin[revocationKey+"r-"+string(digit)] = revocationGroup
	}
	maps.Copy(starts, begin)
	s := &spans{from: slices.Sorted(maps.Keys(starts))}
	for _, from := range s.from {
		s.groups = append(s.groups, starts[from])
	}
	s.entries = s.of(entryKey)
	return s
}

// endOf is the first key after those that begin with a prefix, which ends with a slash.
func endOf(prefix string) string { return strings.TrimSuffix(prefix, "/") + string('/'+1) }

// of returns the span that a key is in.
func (s *spans) of(key string) int {
	return sort.Search(len(s.from), func(i int) bool { return s.from[i] > key }) - 1
}

// end is the first key after a span; empty after the last one.
func (s *spans) end(i int) string {
	if i+1 < len(s.from) {
		return s.from[i+1]
	}
	return ""
}

// stretch is a run of spans of one group, read in one go.
type stretch struct {
	first, last int
	group       group
	holds       int64 // how many records it is taken to have
}

// stretches joins spans that are next to each other while they hold few records together. Those that are not read are left out.
func (s *spans) stretches(counts []int64) []stretch {
	var all []stretch
	for i, g := range s.groups {
		if g == unreadGroup {
			continue
		}
		if n := len(all); n > 0 && all[n-1].last == i-1 && all[n-1].group == g && g != partGroup && all[n-1].holds+counts[i] <= atOnce {
			all[n-1].last, all[n-1].holds = i, all[n-1].holds+counts[i]
			continue
		}
		all = append(all, stretch{first: i, last: i, group: g, holds: counts[i]})
	}
	return all
}

// span returns a stretch as the store has it.
func (s *spans) span(one stretch, since, at int64) Span {
	return Span{From: s.from[one.first], To: s.end(one.last), Since: since, At: at}
}

// bucketName is the start of the names in a bucket.
func bucketName(b int) string { return string([]byte{hexText[b>>4&0xf], hexText[b&0xf]}) }

// bucketOf returns the bucket that an entry's key is in.
func bucketOf(key string) uint8 {
	name := strings.TrimPrefix(key, entryKey)
	if len(name) > 1 {
		if high, low := strings.IndexByte(hexText, name[0]), strings.IndexByte(hexText, name[1]); high >= 0 && low >= 0 {
			return uint8(high<<4 | low) //nolint:gosec // two digits
		}
	}
	return uint8(sort.Search(buckets-1, func(i int) bool { return bucketName(i+1) > name })) //nolint:gosec // at most 255
}
