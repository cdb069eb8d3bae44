package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// FuzzSpans: every key is in one span, and in the bucket that its span says.
func FuzzSpans(f *testing.F) {
	for _, key := range []string{"", "head", "entry/", "entry/00", "entry/0", "entry/7f01", "entry/ff", "entry/G0", "entry/a", "entry/~", "entry0", "rev/r-a", "rev/r-7", "rev/x", "zzz", "\xff"} {
		f.Add(key)
	}
	s := newSpans([]Part{{Prefix: LockPrefix}})
	f.Fuzz(func(t *testing.T, key string) {
		i := s.of(key)
		if i < 0 || s.from[i] > key || s.end(i) != "" && key >= s.end(i) {
			t.Fatalf("%q is in span %d, from %q to %q", key, i, s.from[i], s.end(i))
		}
		if isEntry := strings.HasPrefix(key, entryKey); isEntry != (s.groups[i] == entryGroup) {
			t.Errorf("%q is in a span of group %d", key, s.groups[i])
		} else if isEntry && int(bucketOf(key)) != i-s.entries {
			t.Errorf("%q is in bucket %d, and in span %d of them", key, bucketOf(key), i-s.entries)
		}
		if unread(key) != "" != (s.groups[i] == unreadGroup) {
			t.Errorf("%q is in a span of group %d", key, s.groups[i])
		}
	})
}

// TestStretches: every span that is read is in one stretch, and stretches are of one group and short.
func TestStretches(t *testing.T) {
	t.Parallel()
	s := newSpans([]Part{{Prefix: LockPrefix}, {Prefix: SessionPrefix}})
	for _, each := range []int64{0, 1, 16, 100, atOnce, 100_000} {
		counts := make([]int64, len(s.from))
		for i := range counts {
			counts[i] = each
		}
		next := 0
		for _, one := range s.stretches(counts) {
			for ; next < one.first; next++ {
				if s.groups[next] != unreadGroup {
					t.Errorf("%d each: span %d is left out", each, next)
				}
			}
			for ; next <= one.last; next++ {
				if s.groups[next] != one.group {
					t.Errorf("%d each: span %d is of another group", each, next)
				}
			}
			if one.holds != each*int64(one.last-one.first+1) || one.holds > atOnce && one.first != one.last {
				t.Errorf("%d each: %+v", each, one)
			}
		}
		if next != len(s.from) {
			t.Errorf("%d each: read up to span %d of %d", each, next, len(s.from))
		}
	}
}

// TestNobodyIsLetInBetween: who is shut out by one revocation before a gate catches up, and by another one after it, is at no time let in.
func TestNobodyIsLetInBetween(t *testing.T) {
	t.Parallel()
	const many = 20_000
	l := &Ledger{config: Config{Logger: slog.New(slog.DiscardHandler)}, mirror: newMirror(), spans: newSpans(nil)}
	cred := numbered(1)
	d := &difference{whole: new([buckets]bool), parts: new(partNames)}
	on := func(name string, i int) (r *Revocation) {
		return &Revocation{Name: name, Target: Target{Kind: User, Name: fmt.Sprintf("user-%d", i)}, Reason: "a test", Created: time.Now()}
	}
	for i := range many { // first of them alice's
		r := on(fmt.Sprintf("r-%010d", i), i+1)
		l.mirror.put(r)
		d.lifted = append(d.lifted, Record{Key: revocationKey + r.Name})
	}
	again := `{"target":{"kind":"user","name":"user-1"},"reason":"a test","actor":{"username":"guard"},"created":"2026-01-01T00:00:00Z","index":1}`
	d.revocations = []Record{{Key: revocationKey + "r-aaaaaaaaaa", Value: []byte(again)}}
	ctx, end := context.WithCancel(t.Context())
	looking := make(chan struct{})
	var looks sync.WaitGroup
	looks.Go(func() {
		for once := sync.OnceFunc(func() { close(looking) }); ctx.Err() == nil; once() {
			if l.mirror.find(cred, time.Now()).revocation == "" {
				t.Error("who is shut out before and after is let in between")
				once()
				return
			}
		}
	})
	<-looking
	if err := l.takeOver(d); err != nil {
		t.Fatal(err)
	}
	end()
	looks.Wait()
	if found := l.mirror.find(cred, time.Now()); found.revocation != "r-aaaaaaaaaa" || len(l.mirror.names()) != 1 {
		t.Errorf("%+v, %d revocations stand", found, len(l.mirror.names()))
	}
}
