// Package ledgertest holds every ledger.Store to what it promises, and opens stores and ledgers for the tests of others.
package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/ledger"
)

// Subject is a store that is tested.
type Subject struct {
	Store ledger.Store
	// Other reaches the same records; it may be the same.
	Other ledger.Store
	// Compact forgets changes up to a revision.
	Compact func(ctx context.Context, revision int64) error
}

// Run tests a store, which is empty.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"a condition that does not hold writes nothing", conflict},
		{"a record that must not be there yet is made once", creation},
		{"nobody's change is lost", increments},
		{"what was never there, is there and was deleted", life},
		{"values are any bytes", values},
		{"a listing has more than one page and one revision", pages},
		{"a listing goes on after a key", after},
		{"a listing keeps to its prefix, by key", prefixes},
		{"a listing ends when told", listEnds},
		{"a span is looked at as of one revision, and counted", scan},
		{"what was written in a span since", scanSince},
		{"a watch has every transaction whole and in order", watch},
		{"a watch ends when told", watchEnds},
		{"a watch that is too far behind is told so", compacted},
		{"a transaction holds what a batch of the ledger does", wide},
		{"what one wrote another reads", others},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// Put writes one record.
func Put(t *testing.T, store ledger.Store, key, value string) int64 {
	t.Helper()
	revision, err := store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func conflict(t *testing.T, s Subject) {
	t.Helper()
	first := Put(t, s.Store, "c/a", "1")
	second := Put(t, s.Store, "c/a", "2")
	if second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	for name, unchanged := range map[string]ledger.Record{
		"an older revision":      {Key: "c/a", Revision: first},
		"a later revision":       {Key: "c/a", Revision: second + 1},
		"none, and there is":     {Key: "c/a"},
		"one, and there is none": {Key: "c/none", Revision: first},
	} {
		_, err := s.Store.Commit(t.Context(), ledger.Transaction{
			Unchanged: []ledger.Record{unchanged, {Key: "c/b"}}, Puts: []ledger.Record{{Key: "c/b", Value: []byte("x")}}, Deletes: []string{"c/a"},
		})
		if !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got, err := s.Store.Read(t.Context(), "c/b"); err != nil || got.Value != nil || got.Revision != 0 {
		t.Errorf("%v, %v: it was written all the same", got, err)
	}
	if got, err := s.Store.Read(t.Context(), "c/a"); err != nil || string(got.Value) != "2" || got.Revision != second {
		t.Errorf("%v, %v: it was changed all the same", got, err)
	}
	if _, err := s.Store.Commit(t.Context(), ledger.Transaction{
		Unchanged: []ledger.Record{{Key: "c/a", Revision: second}}, Puts: []ledger.Record{{Key: "c/a", Value: []byte("3")}},
	}); err != nil {
		t.Errorf("a condition that holds: %v", err)
	}
}

func creation(t *testing.T, s Subject) {
	t.Helper()
	create := ledger.Transaction{Unchanged: []ledger.Record{{Key: "n/a"}}, Puts: []ledger.Record{{Key: "n/a", Value: []byte("1")}}}
	if _, err := s.Store.Commit(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Other.Commit(t.Context(), create); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := s.Store.Commit(t.Context(), ledger.Transaction{Deletes: []string{"n/a"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Commit(t.Context(), create); err != nil {
		t.Errorf("after it was deleted: %v", err)
	}
}

func increments(t *testing.T, s Subject) {
	t.Helper()
	const writers, each = 4, 10
	var group sync.WaitGroup
	for i := range writers {
		store := s.Store
		if i%2 == 1 {
			store = s.Other
		}
		group.Go(func() {
			for range each {
				for {
					before, err := store.Read(t.Context(), "i/count")
					if err != nil {
						t.Error(err)
						return
					}
					_, err = store.Commit(t.Context(), ledger.Transaction{
						Unchanged: []ledger.Record{before}, Puts: []ledger.Record{{Key: "i/count", Value: append(before.Value, 'x')}},
					})
					if err == nil {
						break
					}
					if !errors.Is(err, ledger.ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if got, err := s.Store.Read(t.Context(), "i/count"); err != nil || len(got.Value) != writers*each {
		t.Errorf("%d of %d, %v", len(got.Value), writers*each, err)
	}
}

func life(t *testing.T, s Subject) {
	t.Helper()
	if got, err := s.Store.Read(t.Context(), "d/a"); err != nil || got.Key != "d/a" || got.Value != nil || got.Revision != 0 {
		t.Errorf("never there: %v, %v", got, err)
	}
	written := Put(t, s.Store, "d/a", "v")
	if got, err := s.Store.Read(t.Context(), "d/a"); err != nil || string(got.Value) != "v" || got.Revision != written {
		t.Errorf("there: %v, %v", got, err)
	}
	if _, err := s.Store.Commit(t.Context(), ledger.Transaction{Deletes: []string{"d/a", "d/never"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Store.Read(t.Context(), "d/a"); err != nil || got.Value != nil || got.Revision != 0 {
		t.Errorf("deleted: %v, %v", got, err)
	}
	if n := len(list(t, s.Store, "d/", "")); n != 0 {
		t.Errorf("%d records are listed", n)
	}
}

func values(t *testing.T, s Subject) {
	t.Helper()
	for name, value := range map[string][]byte{
		"zero": {0}, "all": allBytes(), "large": bytes.Repeat([]byte("x"), 200<<10), "no text": {0xff, 0xfe, 0x80},
	} {
		if _, err := s.Store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "v/" + name, Value: value}}}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Other.Read(t.Context(), "v/"+name); err != nil || !bytes.Equal(got.Value, value) {
			t.Errorf("%s: %d bytes, %v", name, len(got.Value), err)
		}
	}
}

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

// list returns the keys of a listing.
func list(t *testing.T, store ledger.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	if _, err := store.List(t.Context(), prefix, after, func(r ledger.Record) error {
		if r.Revision == 0 || r.Value == nil {
			t.Errorf("record %v", r)
		}
		keys = append(keys, r.Key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return keys
}

func pages(t *testing.T, s Subject) {
	t.Helper()
	const records = 2500
	for i := range records / 100 {
		var hundred ledger.Transaction
		for j := range 100 {
			hundred.Puts = append(hundred.Puts, ledger.Record{Key: fmt.Sprintf("l/%05d", i*100+j), Value: []byte("v")})
		}
		if _, err := s.Store.Commit(t.Context(), hundred); err != nil {
			t.Fatal(err)
		}
	}
	count, last, late := 0, "", int64(0)
	revision, err := s.Store.List(t.Context(), "l/", "", func(r ledger.Record) error {
		if count == 0 {
			late = Put(t, s.Other, "l/99999", "too late")
		}
		count++
		if r.Key <= last {
			t.Errorf("%s comes after %s", r.Key, last)
		}
		last = r.Key
		return nil
	})
	if err != nil || count != records || revision == 0 || revision >= late {
		t.Errorf("%d records, revision %d, %v; a later one has %d", count, revision, err, late)
	}
}

func after(t *testing.T, s Subject) {
	t.Helper()
	for _, key := range []string{"p/a", "p/a/b", "p/b", "p/c"} {
		Put(t, s.Store, key, "v")
	}
	for after, want := range map[string][]string{
		"": {"p/a", "p/a/b", "p/b", "p/c"}, "p/a": {"p/a/b", "p/b", "p/c"}, "p/aa": {"p/b", "p/c"}, "p/b": {"p/c"}, "p/c": nil, "o/z": {"p/a", "p/a/b", "p/b", "p/c"}, "q": nil,
	} {
		if diff := cmp.Diff(want, list(t, s.Store, "p/", after)); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", after, diff)
		}
	}
}

func prefixes(t *testing.T, s Subject) {
	t.Helper()
	for _, key := range []string{"x/b", "x/B", "x/a", "x0", "w/z", "x/\u00e9"} {
		Put(t, s.Store, key, "v")
	}
	if diff := cmp.Diff([]string{"x/B", "x/a", "x/b", "x/\u00e9"}, list(t, s.Store, "x/", "")); diff != "" {
		t.Errorf("below x/ (-want +got):\n%s", diff)
	}
	all := list(t, s.Store, "", "")
	if !slices.IsSorted(all) || !slices.Contains(all, "x0") || !slices.Contains(all, "w/z") {
		t.Errorf("all: %q", all)
	}
}

func listEnds(t *testing.T, s Subject) {
	t.Helper()
	Put(t, s.Store, "e/a", "v")
	Put(t, s.Store, "e/b", "v")
	enough, seen := errors.New("enough"), 0
	if _, err := s.Store.List(t.Context(), "e/", "", func(ledger.Record) error { seen++; return enough }); !errors.Is(err, enough) || seen != 1 {
		t.Errorf("%d records, error %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Store.List(ctx, "e/", "", func(ledger.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// scanned returns what a scan hands on, and how many records it counts.
func scanned(t *testing.T, store ledger.Store, span ledger.Span) (found map[string]string, of ledger.Scanned) {
	t.Helper()
	found = make(map[string]string)
	of, err := store.Scan(t.Context(), span, func(r ledger.Record) error {
		if r.Revision == 0 || r.Created == 0 || r.Created > r.Revision || span.At > 0 && r.Revision > span.At {
			t.Errorf("record %v", r)
		}
		value := string(r.Value)
		if r.Created > span.Since {
			value += " new"
		}
		found[r.Key] = value
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, of
}

func scan(t *testing.T, s Subject) {
	t.Helper()
	for _, key := range []string{"g/a", "g/b", "g/c", "g0"} {
		Put(t, s.Store, key, "1")
	}
	now := Put(t, s.Store, "h/a", "1")
	Put(t, s.Other, "g/a", "2")
	if _, err := s.Other.Commit(t.Context(), ledger.Transaction{Deletes: []string{"g/b"}}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		span  ledger.Span
		want  map[string]string
		count int64
	}{
		"the present":        {ledger.Span{From: "g/", To: "g0"}, map[string]string{"g/a": "2 new", "g/c": "1 new"}, 2},
		"earlier":            {ledger.Span{From: "g/", To: "g0", At: now}, map[string]string{"g/a": "1 new", "g/b": "1 new", "g/c": "1 new"}, 3},
		"from the middle":    {ledger.Span{From: "g/b", To: "g0\x00", At: now}, map[string]string{"g/b": "1 new", "g/c": "1 new", "g0": "1 new"}, 3},
		"none":               {ledger.Span{From: "g/d", To: "g/z"}, map[string]string{}, 0},
		"how many there are": {ledger.Span{From: "g/", To: "g0", Since: now, At: now}, map[string]string{}, 3},
	} {
		got, of := scanned(t, s.Store, tt.span)
		if diff := cmp.Diff(tt.want, got); diff != "" || of.Count != tt.count || tt.span.At != 0 && of.Revision != tt.span.At || of.Revision < now {
			t.Errorf("%s: %+v (-want +got):\n%s", name, of, diff)
		}
	}
	all := list(t, s.Store, "", "")
	if got, of := scanned(t, s.Store, ledger.Span{}); len(got) != len(all) || of.Count != int64(len(all)) {
		t.Errorf("%d records, %d counted, %d there", len(got), of.Count, len(all))
	}
	enough := errors.New("enough")
	if _, err := s.Store.Scan(t.Context(), ledger.Span{From: "g/", To: "g0"}, func(ledger.Record) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}

func scanSince(t *testing.T, s Subject) {
	t.Helper()
	const records, few, many = 400, 7, 300
	key := func(i int) string { return fmt.Sprintf("m/%04d", i) }
	write := func(value string, from, to int) (revision int64) {
		for from < to {
			var hundred ledger.Transaction
			for ; from < to && len(hundred.Puts) < 100; from++ {
				hundred.Puts = append(hundred.Puts, ledger.Record{Key: key(from), Value: []byte(value)})
			}
			var err error
			if revision, err = s.Other.Commit(t.Context(), hundred); err != nil {
				t.Fatal(err)
			}
		}
		return revision
	}
	start := write("1", 0, records)
	if _, err := s.Other.Commit(t.Context(), ledger.Transaction{Deletes: []string{key(0), key(1)}}); err != nil {
		t.Fatal(err)
	}
	write("again", 1, 2)
	write("2", 2, few)
	write("new", records, records+1)
	now := Put(t, s.Other, "m0", "beside it")
	write("later", 3, 4)
	write("later", records+1, records+2)
	want := map[string]string{key(1): "again new", key(records): "new new"}
	for i := 2; i < few; i++ {
		want[key(i)] = "2"
	}
	span := ledger.Span{From: "m/", To: "m0", Since: start, At: now}
	if got, of := scanned(t, s.Store, span); !cmp.Equal(want, got) || of.Revision != now || of.Count != records { // one less and one more
		t.Errorf("%+v (-want +got):\n%s", of, cmp.Diff(want, got))
	}
	now = write("3", few, many)
	delete(want, key(3))
	for i := few; i < many; i++ {
		want[key(i)] = "3"
	}
	want[key(3)], want[key(records+1)] = "later", "later new"
	if got, of := scanned(t, s.Store, ledger.Span{From: "m/", To: "m0", Since: start}); !cmp.Equal(want, got) || of.Revision < now || of.Count != records+1 {
		t.Errorf("many: %+v (-want +got):\n%s", of, cmp.Diff(want, got))
	}
	if err := s.Compact(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Scan(t.Context(), span, func(ledger.Record) error { return nil }); !errors.Is(err, ledger.ErrCompacted) {
		t.Errorf("as of a revision that is not kept: %v", err)
	}
}

func watch(t *testing.T, s Subject) {
	t.Helper()
	start := Put(t, s.Store, "w/0", "before")
	if _, err := s.Store.Commit(t.Context(), ledger.Transaction{
		Puts: []ledger.Record{{Key: "w/1", Value: []byte("a")}, {Key: "w/2", Value: []byte("b")}, {Key: "not/watched", Value: []byte("x")}}, Deletes: []string{"w/0"},
	}); err != nil {
		t.Fatal(err)
	}
	Put(t, s.Store, "other", "not watched")
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	var later sync.WaitGroup
	later.Go(func() { // one change that is there when the watch begins, and one that comes later
		<-begun
		if _, err := s.Other.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "w/1", Value: []byte("c")}}}); err != nil {
			t.Error(err)
		}
	})
	var got [][]string
	stop := errors.New("seen all")
	last := start
	err := s.Store.Watch(t.Context(), "w/", start, func(c ledger.Change) error {
		if c.Revision <= last {
			t.Errorf("revision %d after %d", c.Revision, last)
		}
		last = c.Revision
		var seen []string
		for _, r := range c.Records {
			if r.Revision != c.Revision {
				t.Errorf("record of revision %d in change %d", r.Revision, c.Revision)
			}
			text := r.Key + " deleted"
			if r.Value != nil {
				text = r.Key + "=" + string(r.Value)
			}
			seen = append(seen, text)
		}
		slices.Sort(seen)
		begin()
		if got = append(got, seen); len(got) == 2 {
			return stop
		}
		return nil
	})
	begin() // also where the watch saw nothing
	later.Wait()
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"w/0 deleted", "w/1=a", "w/2=b"}, {"w/1=c"}}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func watchEnds(t *testing.T, s Subject) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Store.Watch(ctx, "w/", 0, func(ledger.Change) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	now := Put(t, s.Store, "z/a", "v")
	Put(t, s.Store, "z/a", "v")
	if err := s.Store.Watch(ctx, "z/", now, func(ledger.Change) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func compacted(t *testing.T, s Subject) {
	t.Helper()
	first := Put(t, s.Store, "k/a", "1")
	Put(t, s.Store, "k/a", "2")
	last := Put(t, s.Store, "k/a", "3")
	if err := s.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.Watch(t.Context(), "", first-1, func(c ledger.Change) error {
		t.Errorf("a change of revision %d", c.Revision)
		return nil
	}); !errors.Is(err, ledger.ErrCompacted) {
		t.Errorf("error %v", err)
	}
	if got, err := s.Store.Read(t.Context(), "k/a"); err != nil || string(got.Value) != "3" {
		t.Errorf("%v, %v after it", got, err)
	}
}

func wide(t *testing.T, s Subject) {
	t.Helper()
	var t120 ledger.Transaction
	for i := range 61 { // a batch of sixty and the head
		key := fmt.Sprintf("b/%s/%02d", strings.Repeat("k", 100), i)
		t120.Unchanged = append(t120.Unchanged, ledger.Record{Key: key})
		t120.Puts = append(t120.Puts, ledger.Record{Key: key, Value: bytes.Repeat([]byte("v"), 1000)})
	}
	if _, err := s.Store.Commit(t.Context(), t120); err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, s.Store, "b/", "")); n != 61 {
		t.Errorf("%d records", n)
	}
}

func others(t *testing.T, s Subject) {
	t.Helper()
	for i := range 20 {
		value := fmt.Sprint(i)
		written := Put(t, s.Store, "o/a", value)
		if got, err := s.Other.Read(t.Context(), "o/a"); err != nil || string(got.Value) != value || got.Revision != written {
			t.Fatalf("%v, %v after %s of %d was written", got, err, value, written)
		}
	}
}
