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
		{"a listing leaves out what it is told to", skips},
		{"a listing ends when told", listEnds},
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

func skips(t *testing.T, s Subject) {
	t.Helper()
	for _, key := range []string{"s/a/1", "s/a/2", "s/a/3", "s/b/1", "s/c/1", "s/c/2", "s/d"} {
		Put(t, s.Store, key, "v")
	}
	late := int64(0)
	for name, tt := range map[string]struct {
		to   map[string]string
		want []string
	}{
		"a group":               {map[string]string{"s/a/1": "s/a0"}, []string{"s/a/1", "s/b/1", "s/c/1", "s/c/2", "s/d"}},
		"to one of a group":     {map[string]string{"s/a/1": "s/a/3", "s/a/3": "s/c"}, []string{"s/a/1", "s/a/3", "s/c/1", "s/c/2", "s/d"}},
		"all that is left":      {map[string]string{"s/b/1": "t"}, []string{"s/a/1", "s/a/2", "s/a/3", "s/b/1"}},
		"what was left already": {map[string]string{"s/b/1": "s/a", "s/d": "s"}, []string{"s/a/1", "s/a/2", "s/a/3", "s/b/1", "s/c/1", "s/c/2", "s/d"}},
	} {
		var got []string
		revision, err := s.Store.List(t.Context(), "s/", "", func(r ledger.Record) error {
			if len(got) == 0 { // what comes meanwhile is not of the listing's revision
				late = Put(t, s.Other, "s/e", "v")
				Put(t, s.Other, "s/d", "v")
				defer func() {
					if _, err := s.Other.Commit(t.Context(), ledger.Transaction{Deletes: []string{"s/e"}}); err != nil {
						t.Fatal(err)
					}
				}()
			}
			got = append(got, r.Key)
			if to, ok := tt.to[r.Key]; ok {
				return &ledger.Skip{To: to}
			}
			return nil
		})
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" || revision == 0 || revision >= late {
			t.Errorf("%s: revision %d, before %d, %v (-want +got):\n%s", name, revision, late, err, diff)
		}
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
