package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// probeEvery is how often the view is proven: five times before requests are refused.
	probeEvery = 200 * time.Millisecond
	// freshFor is how long a proof holds for requests. It is the time in which a revoke waits for a replica that is silent.
	freshFor = time.Second
	// streamsFor is how long it holds for streams that are open. They are judged every 400 ms, and all are to have ended five seconds
	// after the store was lost.
	streamsFor = 4500 * time.Millisecond
	// leap is how much further the wall clock may go than the monotonic one, which stands still while the machine is
	// suspended.
	leap = 500 * time.Millisecond
	// behindFor is how long a watch may bring nothing of what the store has: longer than any that only has much to bring.
	behindFor = 1500 * time.Millisecond
	// remind is how often it is said that requests are let in without proof.
	remind = time.Minute
)

// freshness is what is known of the view. The zero value is the worst.
type freshness int

const (
	lost     freshness = iota // nobody can be judged by it
	unproven                  // it may be outdated, and somebody chose to go on
	fresh
)

// freshness says whether the view is fresh enough for a request, or for a stream that is open.
func (l *Ledger) freshness(now time.Time, open bool) freshness {
	proven := l.proven.Load()
	if proven == nil {
		return lost
	}
	limit := freshFor
	if open {
		limit = streamsFor
	}
	age := now.Sub(*proven)
	switch leapt := now.Round(0).Sub(proven.Round(0))-age > leap; {
	case age <= limit && !leapt:
		return fresh
	case age <= l.config.BestEffort && !leapt:
		return unproven
	default:
		return lost
	}
}

// unavailable is shared: it is what every request gets while the store is lost.
var unavailable = &Refusal{} //nolint:gochecknoglobals // a constant that Go cannot express

// Ready returns an error while requests are refused because the ledger cannot be read, or would be but for best effort.
func (l *Ledger) Ready() error {
	if proven := l.proven.Load(); proven == nil || time.Since(*proven) > freshFor {
		if trouble := l.trouble.Load(); trouble != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, *trouble)
		}
		return ErrUnavailable
	}
	return nil
}

// prove proves, again and again, that the mirror holds everything (docs/adr/0005-ledger.md).
func (l *Ledger) prove(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	said := time.Time{} // when the loss was said last
	for {
		began := time.Now()
		err := l.probe(ctx, began)
		proven := l.proven.Load()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && !said.IsZero():
			said = time.Time{}
			l.config.Logger.Info("the ledger can be read again")
		case err != nil && (proven == nil || time.Since(*proven) > freshFor) && time.Since(said) > remind:
			said = time.Now()
			l.config.Logger.Error("the ledger cannot be read", slog.String("consequence", l.consequence()), slog.String("cause", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// errBehind ends a watch that brings nothing while the store has news, as that of a member does which hangs.
var errBehind = errors.New("ledger: the watch does not bring what the store has")

// behind notes that a probe which began then ended without the mirror having what the store had. If that goes on, and nothing comes,
// changes are asked for anew.
func (l *Ledger) behind(began time.Time) {
	if l.late.IsZero() {
		l.late = began
	}
	if time.Since(l.late) < behindFor {
		return
	}
	l.late = time.Time{}
	l.mu.Lock()
	stands := !l.busy && time.Since(l.heard) > behindFor
	l.mu.Unlock()
	if stands {
		l.relist(errBehind)
	}
}

// relist ends the watch, so that the store is listed anew.
func (l *Ledger) relist(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unwatch != nil {
		l.unwatch(cause)
	}
}

// consequence says what is done without a ledger.
func (l *Ledger) consequence() string {
	if l.config.BestEffort > 0 {
		return "by best effort, requests are let in without knowing of new revocations, for " + l.config.BestEffort.String() + " at most"
	}
	return "requests are refused with 503, and open streams are cut"
}

// probe proves that the mirror held everything at the moment it began. The own record is read before the fence: a replica
// that was taken for dead, and came back between the two, must not be fresh by what it read before.
func (l *Ledger) probe(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, freshFor)
	defer cancel()
	if err := l.present(ctx); err != nil {
		return err
	}
	if trouble := l.trouble.Load(); l.unsound.Load() && trouble != nil {
		return *trouble
	}
	known, seen := l.mark.Load(), l.mirror.head.Load() // before asking: what is read is not older
	fence, err := l.ask(ctx, headKey)
	if err != nil {
		return err
	}
	var now head
	if err := now.take(fence); err != nil {
		return err
	}
	if err := now.behind(known); err != nil || fence.Revision < seen {
		l.relist(errPutBack) // what is watched may never come
		return errors.Join(err, errPutBack)
	}
	// By revision and by index: a store that was put back counts revisions anew.
	if err := l.await(ctx, func() bool {
		return l.applied >= fence.Revision && l.applied > 0 && l.mark.Load().covers(now)
	}); err != nil {
		l.behind(began)
		return err
	}
	l.late = time.Time{}
	l.proven.Store(&began)
	if l.unsound.Load() { // found meanwhile
		l.proven.Store(nil)
	}
	return nil
}
