package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	// scanners is how many stretches are read at a time: one is on its way while another is opened.
	scanners = 4
	// chunkOf is how many records are handed on together.
	chunkOf = 512
	// changedMost is how many records may have changed for their changes to be collected. More are read as at the start.
	changedMost = 200_000
)

// held is what the mirror holds for certain: all that the store had at a revision. Only follow has it.
type held struct {
	revision int64
	// counts are how many records each span had then, those included that were deleted past the ledger.
	counts []int64
	// leaving are the keys of entries that were forgotten, and whose records are about to be deleted.
	leaving map[string]bool
}

// note notes the records of a change, all of which are taken in. It returns how many entries were deleted past the ledger: the count
// of their spans is wrong from then on, so that these are read anew.
func (h *held) note(s *spans, change Change) (removed int) {
	h.revision = change.Revision
	for _, record := range change.Records {
		i := s.of(record.Key)
		if record.Value == nil && s.groups[i] == entryGroup && !h.leaving[record.Key] {
			removed++
			continue
		}
		switch {
		case record.Value == nil:
			h.counts[i]--
		case record.Created == record.Revision:
			h.counts[i]++
		}
		h.noteLeaving(record)
	}
	return removed
}

// noteLeaving notes whether a record is of an entry that is about to be deleted.
func (h *held) noteLeaving(record Record) {
	if !strings.HasPrefix(record.Key, entryKey) {
		return
	}
	if _, k, err := decodeHead(record.Key, record.Value); err == nil && uint64(k) == forgotten {
		h.leaving[record.Key] = true
		return
	}
	delete(h.leaving, record.Key)
}

// errRemoved ends a watch that brought what cannot be told from it: whose entry was deleted.
var errRemoved = errors.New("ledger: entries of credentials were deleted past the ledger")

// missed says that entries were deleted past the ledger, if there are any.
func (l *Ledger) missed(entries int) error {
	if entries == 0 {
		return nil
	}
	l.alarm("removed", "somebody deleted entries of credentials in the store, past the ledger: revocations hold without them", slog.Int("count", entries))
	if l.config.Removed != nil {
		l.config.Removed(entries)
	}
	return errRemoved
}

// sync brings the mirror to the present, and then takes in every change. It returns only with an error.
func (l *Ledger) sync(ctx context.Context) error {
	if l.held != nil {
		err := l.catchUp(ctx)
		if err == nil {
			return l.watch(ctx)
		}
		if !errors.Is(err, errInexact) {
			return err
		}
		l.held = nil
		l.config.Logger.Debug("what changed in the ledger cannot be told; all of it is read", slog.String("cause", err.Error()))
	}
	if err := l.readAll(ctx); err != nil {
		return err
	}
	return l.watch(ctx)
}

// readHeadAt reads the head first of all: its revision is that of everything else that is read. The last act that is known comes with
// it, and the one after that, as far as they are there.
func (l *Ledger) readHeadAt(ctx context.Context) (now stand, revision int64, known *Mark, last, next Record, err error) {
	now.record = Record{Key: headKey}
	at, err := l.config.Store.Scan(ctx, Span{From: headKey, To: headKey + "\x00"}, func(r Record) error { return unsound(now.take(r)) })
	if err != nil {
		return now, 0, nil, last, next, err
	}
	if known, err = l.known(); err != nil || known == nil {
		return now, at.Revision, known, last, next, err
	}
	name := actName(known.Index)
	_, err = l.config.Store.Scan(ctx, Span{From: name, To: actName(known.Index+1) + "\x00", At: at.Revision}, func(r Record) error {
		if r.Key == name {
			last = r
		} else {
			next = r
		}
		return nil
	})
	return now, at.Revision, known, last, next, err
}

// readAll reads all of the store.
func (l *Ledger) readAll(ctx context.Context) error {
	now, revision, known, last, _, err := l.readHeadAt(ctx)
	if err != nil {
		return err
	}
	s, counts, holds := l.spans, make([]int64, len(l.spans.from)), &held{revision: revision, leaving: make(map[string]bool)}
	for _, prefix := range [...]string{entryKey, revocationKey} {
		counted, err := l.config.Store.Scan(ctx, Span{From: prefix, To: endOf(prefix), Since: revision, At: revision}, func(Record) error { return nil })
		if err != nil {
			return err
		}
		first, end := s.of(prefix), s.of(endOf(prefix))
		for i := first; i < end; i++ {
			counts[i] = counted.Count / int64(end-first)
		}
	}
	stretches := s.stretches(counts)
	clear(counts)
	// Built aside: what is in force stays so until all of the new is there.
	next, replicas, parts := newMirror(), make(map[string]*replicaView), newPartNames(l.config.Parts)
	if err := l.scan(ctx, stretches, 0, revision, func(_ int, records []Record) error {
		for _, r := range records {
			counts[s.of(r.Key)]++
			parts.note(r.Key)
			holds.noteLeaving(r)
			if err := l.take(next, replicas, r); err != nil {
				return unsound(err)
			}
		}
		return nil
	}, nil); err != nil {
		return err
	}
	if err := now.head.whole(next.total); err != nil {
		return unsound(err)
	}
	if known != nil {
		if err := now.head.extends(*known, last); err != nil {
			return err
		}
		if now.head.Epoch > known.Epoch {
			l.config.Logger.Warn("the ledger was rolled back, and somebody accepted that: credentials that were issued before are shut out",
				slog.Uint64("known_acts", known.Index), slog.Uint64("acts", now.head.Index))
		}
	}
	if err := parts.gone(); err != nil {
		return unsound(err)
	}
	next.head.Store(now.record.Revision)
	l.advance(now.head)
	l.stands.Store(&now)
	l.mirror.replace(next)
	l.mu.Lock()
	l.replicas = replicas
	if revision < l.applied {
		l.applied, l.settled = 0, 0 // the store was put back, and counts anew
	}
	l.mu.Unlock()
	holds.counts = counts
	l.held = holds
	l.trouble.Store(nil)
	l.unsound.Store(false)
	l.settle(revision)
	return nil
}

// errInexact says that it cannot be told by what changed what there is now.
var errInexact = errors.New("ledger: the changes do not add up")

// catchUp brings a mirror that held everything at a revision to the present one by what was written since, where a watch cannot: the
// changes are compacted. It takes over all of it or nothing.
//
// Let R be the revision that is held, and N the present one, as of which everything here is read. A store tells what records were
// written after R, and which of them were created after it; it does not tell of deletions. But a record that is there at N and was
// not created after R was there at R. So if D is how many of the records of R were deleted since, those that were created again
// included, a span has at N as many records as at R, less D, and those that were created after R. Where held + created = count, D is 0: what
// was written since is all that changed. Where it is not, the span is read anew, and what is not in it any more is gone.
//
// Nothing that shuts out rests on this alone, nor on revisions being of one history: a store may have been put back under a gate that
// runs. The head is read as such and must extend the last act that is known; the first act after that must be later than R, so that all that
// such acts wrote is handed out; and what stands afterwards must come to the head's sum. Otherwise everything is read, as at the start. Whoever is judged meanwhile is judged by the view of
// R, for as long as that is proven: a proof wants the revision of the fence to be applied, which is N only when all is in force.
func (l *Ledger) catchUp(ctx context.Context) error {
	now, revision, known, last, next, err := l.readHeadAt(ctx)
	if err != nil {
		return err
	}
	if known != nil && now.head.Index > known.Index && next.Created <= l.held.revision {
		return fmt.Errorf("%w: an act that is not known is older than what is held", errInexact)
	}
	if known == nil || revision < l.held.revision || now.head.Epoch != known.Epoch || now.head.extends(*known, last) != nil {
		return fmt.Errorf("%w: it is not known to be a later state", errInexact)
	}
	d, err := l.changes(ctx, revision)
	if err != nil {
		l.held = nil // whatever it was, it must not come again and again
		return err
	}
	// A revocation that was removed past the ledger is missed here, and found where everything is read.
	if err := now.head.whole(l.mirror.after(append(slices.Clone(d.revocations), d.lifted...))); err != nil {
		l.held = nil
		return fmt.Errorf("%w: %w", errInexact, err)
	}
	l.advance(now.head)
	l.stands.Store(&now)
	if err := l.takeOver(d); err != nil {
		l.held = nil
		return unsound(err)
	}
	l.mirror.head.Store(now.record.Revision)
	l.held = d.held
	l.trouble.Store(nil)
	l.settle(revision)
	return nil
}

// difference is what makes of the state that is held a later one.
type difference struct {
	// records are all that were written but revocations, and those that may have been; revocations the same of them.
	records, revocations []Record
	// lifted are records of revocations that are gone, without values.
	lifted []Record
	// whole are the buckets of entries that were read anew, and entries which were there.
	whole   *[buckets]bool
	entries map[digest]bool
	// replicas are all that there are.
	replicas map[string]*replicaView
	parts    *partNames
	// held is what is held afterwards.
	held *held
}

// changes collects what changed between the revision that is held and a later one.
func (l *Ledger) changes(ctx context.Context, revision int64) (*difference, error) {
	s, from := l.spans, l.held
	d := &difference{whole: new([buckets]bool), entries: make(map[digest]bool), replicas: make(map[string]*replicaView), parts: new(partNames)}
	d.held = &held{revision: revision, counts: slices.Clone(from.counts), leaving: maps.Clone(from.leaving)}
	stretches := s.stretches(from.counts)
	var whole, partly []stretch
	for _, one := range stretches {
		if one.group == replicaGroup { // few, and each is written every two seconds
			whole = append(whole, one)
			continue
		}
		partly = append(partly, one)
	}
	wrote, created := make([][]Record, len(partly)), make([]int64, len(partly))
	n := 0
	if err := l.scan(ctx, partly, from.revision, revision, func(i int, records []Record) error {
		if n += len(records); n > changedMost {
			return fmt.Errorf("%w: more than %d records were written", errInexact, changedMost)
		}
		wrote[i] = append(wrote[i], records...)
		for _, record := range records {
			if record.Created > from.revision {
				created[i]++
				d.held.counts[s.of(record.Key)]++
			}
			d.held.noteLeaving(record)
		}
		return nil
	}, func(i int, count int64) {
		if count != partly[i].holds+created[i] {
			wrote[i] = nil
			whole = append(whole, partly[i])
		}
	}); err != nil {
		return nil, err
	}
	for i := range partly {
		d.add(partly[i].group, wrote[i])
	}
	return d, l.readWhole(ctx, whole, revision, d)
}

// add adds records of a group.
func (d *difference) add(g group, records []Record) {
	if g == revocationGroup {
		d.revocations = append(d.revocations, records...)
		return
	}
	d.records = append(d.records, records...)
}

// readWhole reads stretches in which something is gone, and what it is.
func (l *Ledger) readWhole(ctx context.Context, whole []stretch, revision int64, d *difference) error {
	var parts []Part
	stand := make(map[string]bool) // revocations
	for _, one := range whole {
		for i := one.first; i <= one.last; i++ {
			d.held.counts[i] = 0
			if one.group == entryGroup {
				d.whole[i-l.spans.entries] = true
			}
		}
		if one.group == entryGroup {
			maps.DeleteFunc(d.held.leaving, func(key string, _ bool) bool { return l.spans.of(key) >= one.first && l.spans.of(key) <= one.last })
		}
		if one.group == partGroup {
			parts = append(parts, l.partAt(l.spans.from[one.first]))
		}
	}
	d.parts = newPartNames(parts)
	if err := l.scan(ctx, whole, 0, revision, func(i int, records []Record) error {
		for _, record := range records {
			d.held.counts[l.spans.of(record.Key)]++
			d.parts.note(record.Key)
			d.held.noteLeaving(record)
			switch whole[i].group {
			case entryGroup:
				id, _, err := decodeHead(record.Key, record.Value)
				if err != nil {
					return unsound(err)
				}
				d.entries[id] = true // a tombstone is taken in as such
			case revocationGroup:
				stand[record.Key] = true
			case replicaGroup:
				if err := takeReplica(d.replicas, strings.TrimPrefix(record.Key, replicaKey), record); err != nil {
					return unsound(err)
				}
			default: // taken in like all others
			}
		}
		if whole[i].group != replicaGroup {
			d.add(whole[i].group, records)
		}
		return nil
	}, nil); err != nil {
		return err
	}
	for _, one := range whole {
		if one.group == revocationGroup {
			for _, name := range l.mirror.names() {
				if key := revocationKey + name; l.spans.from[one.first] <= key && key < l.spans.end(one.last) && !stand[key] {
					d.lifted = append(d.lifted, Record{Key: key, Revision: revision})
				}
			}
		}
	}
	return nil
}

// takeOver takes a difference in. First comes what shuts out, and what that is judged by; last what lets in again: whoever is shut out
// before and after is at no time let in.
func (l *Ledger) takeOver(d *difference) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = true
	for _, records := range [...][]Record{d.records, d.revocations, d.lifted} {
		for _, record := range records {
			if err := l.take(l.mirror, d.replicas, record); err != nil {
				return err
			}
		}
	}
	for _, id := range l.mirror.missing(d.whole, d.entries) {
		l.mirror.forget(id)
	}
	l.replicas = d.replicas
	return d.parts.gone()
}

// scan reads stretches as of a revision, several at a time, and hands on what each has to take, and how many records to done. Both are
// called by the caller, one at a time; the records of a stretch come in order.
func (l *Ledger) scan(ctx context.Context, stretches []stretch, since, revision int64, take func(i int, records []Record) error, done func(i int, count int64)) error {
	type chunk struct {
		of      int
		records []Record
		count   int64
		last    bool
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk, scanners)
	hand := func(c chunk) error {
		select {
		case chunks <- c:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var next atomic.Int64
	for range min(scanners, len(stretches)) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(stretches) {
					return nil
				}
				var records []Record
				scanned, err := l.config.Store.Scan(ctx, l.spans.span(stretches[i], since, revision), func(record Record) error {
					if records = append(records, record); len(records) < chunkOf {
						return nil
					}
					some := records
					records = nil
					return hand(chunk{of: i, records: some})
				})
				if err != nil {
					return err
				}
				if err := hand(chunk{of: i, records: records, count: scanned.Count, last: true}); err != nil {
					return err
				}
			}
		})
	}
	ended := make(chan error, 1)
	go func() {
		ended <- group.Wait()
		close(chunks)
	}()
	var failed error
	for c := range chunks {
		if failed != nil {
			continue
		}
		if failed = take(c.of, c.records); failed != nil {
			cancel()
			continue
		}
		if c.last && done != nil {
			done(c.of, c.count)
		}
	}
	if err := <-ended; failed == nil {
		return err
	}
	return failed
}
