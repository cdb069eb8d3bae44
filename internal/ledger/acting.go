package ledger

import (
	"context"
	"errors"
	"sync"
)

// actsWait bounds the acts that are taken up together: each has a record at least.
const actsWait = batch

// errOver refuses acts at the end.
var errOver = errors.New("ledger: this process is about to end")

// pending is an act that waits to be written.
type pending struct {
	ctx   context.Context //nolint:containedctx // who asked may stop to wait
	makes func(index uint64) (Transaction, error)

	done     chan struct{} // closed when the others are set
	revision int64
	err      error
}

func (p *pending) finish(revision int64, err error) {
	p.revision, p.err = revision, err
	close(p.done)
}

// commit writes what makes returns for the next index, together with the fence, and with other acts that wait. It may be made anew,
// as others write meanwhile. After an error it may have been written all the same.
func (l *Ledger) commit(ctx context.Context, makes func(index uint64) (Transaction, error)) (int64, error) {
	one := &pending{ctx: ctx, makes: makes, done: make(chan struct{})}
	select {
	case l.acts <- one:
	case <-l.over:
		return 0, errOver
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	select {
	case <-one.done:
		return one.revision, one.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// acting writes the acts that wait until ctx ends. While one transaction is under way the next gathers: acts that went their own
// ways would undo each other's, as each rewrites the head.
func (l *Ledger) acting(ctx context.Context) {
	defer close(l.over)
	for {
		var some []*pending
		select {
		case <-ctx.Done():
			return
		case one := <-l.acts:
			some = append(some, one)
		}
		for more := true; more && len(some) < actsWait; {
			select {
			case one := <-l.acts:
				some = append(some, one)
			default:
				more = false
			}
		}
		l.writeActs(ctx, some)
	}
}

// writeActs writes acts, as many of them together as can be.
func (l *Ledger) writeActs(ctx context.Context, some []*pending) {
	// What the mirror has is most often what the store has, and tried first. Where it is not nothing is written.
	for stands := l.stands.Load(); len(some) > 0; {
		if stands == nil {
			var err error
			if stands, err = l.askStand(ctx); err != nil {
				for _, one := range some {
					one.finish(0, err)
				}
				return
			}
		}
		t, taken, later := gather(stands.head.Index+1, some)
		if len(taken) == 0 {
			some = later
			continue
		}
		t, next, err := stands.head.seal(stands.record, t, nil)
		revision := int64(0)
		if err == nil {
			revision, err = l.bring(ctx, t)
		}
		if errors.Is(err, ErrConflict) {
			stands, some = nil, append(taken, later...)
			continue
		}
		for _, one := range taken {
			one.finish(revision, err)
		}
		if stands, some = nil, later; err == nil {
			stands = &stand{Record{Key: headKey, Revision: revision}, next}
		}
	}
}

// askStand asks the store for the head. It must not be older than what is known of it.
func (l *Ledger) askStand(ctx context.Context) (*stand, error) {
	ctx, cancel := context.WithTimeout(ctx, tries)
	defer cancel()
	known := l.mark.Load() // before reading: what is read is not older
	stands, err := l.readStand(ctx)
	if err != nil {
		return nil, err
	}
	return stands, stands.head.behind(known) // what is written to an older one would be lost again with what is missing
}

// gather makes acts for an index, and of them one transaction. Those that do not go with it, as it would be too large or they are
// about the same record, are returned for later. Those that cannot be made are finished.
func gather(index uint64, some []*pending) (all Transaction, taken, later []*pending) {
	made, errs := make([]Transaction, len(some)), make([]error, len(some))
	var group sync.WaitGroup
	for i, one := range some {
		group.Go(func() {
			if errs[i] = context.Cause(one.ctx); errs[i] == nil {
				made[i], errs[i] = one.makes(index)
			}
		})
	}
	group.Wait()
	touched := make(map[string]bool)
	for i, one := range some {
		t := &made[i]
		switch {
		case errs[i] != nil:
			one.finish(0, errs[i])
		case len(taken) > 0 && (len(all.Puts)+len(all.Deletes)+len(t.Puts)+len(t.Deletes) > batch || t.touches(touched)):
			later = append(later, one)
		default:
			taken = append(taken, one)
			for _, key := range t.keys() {
				touched[key] = true
			}
			all.Puts, all.Deletes, all.Unchanged = append(all.Puts, t.Puts...), append(all.Deletes, t.Deletes...), append(all.Unchanged, t.Unchanged...)
		}
	}
	return all, taken, later
}

// keys are all records that a transaction is about.
func (t *Transaction) keys() []string {
	keys := append([]string(nil), t.Deletes...)
	for _, record := range append(append([]Record(nil), t.Puts...), t.Unchanged...) {
		keys = append(keys, record.Key)
	}
	return keys
}

// touches reports whether it is about one of these records.
func (t *Transaction) touches(records map[string]bool) bool {
	for _, key := range t.keys() {
		if records[key] {
			return true
		}
	}
	return false
}
