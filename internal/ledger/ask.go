package ledger

import (
	"bytes"
	"context"
	"errors"
	"time"
)

const (
	// askAgain is how long an answer of the store may take before it is asked once more, beside: where it has several members, one
	// that hangs or lost the others answers nobody, and the next one does at once.
	askAgain = 100 * time.Millisecond
	// maxAsks bounds how many are under way for one answer.
	maxAsks = 4
	// tryFor bounds one try of what cannot be asked twice at a time, and tries all of them: an election takes two seconds at most.
	tryFor = time.Second
	tries  = 5 * time.Second
)

// ask reads a key linearizably, and takes the first of several answers: each sees what was committed before the call.
func (l *Ledger) ask(ctx context.Context, key string) (Record, error) {
	type answer struct {
		record Record
		err    error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // those that are late
	answers := make(chan answer, maxAsks)
	asked, open := 0, 0
	next := func() {
		asked, open = asked+1, open+1
		go func() {
			record, err := l.config.Store.Read(ctx, key)
			answers <- answer{record, err}
		}()
	}
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	for next(); ; {
		select {
		case <-ctx.Done():
			return Record{}, context.Cause(ctx)
		case got := <-answers:
			if open--; got.err == nil || open == 0 {
				return got.record, got.err
			}
		case <-timer.C:
			if asked < maxAsks {
				next()
				timer.Reset(askAgain)
			}
		}
	}
}

// again does something until it succeeds, its error is an answer, or the time is over.
func again(ctx context.Context, answer func(error) bool, do func(context.Context) error) error {
	began := time.Now()
	for {
		try, cancel := context.WithTimeout(ctx, tryFor)
		err := do(try)
		cancel()
		if err == nil || answer(err) || ctx.Err() != nil || time.Since(began) > tries {
			return err
		}
		wait(ctx, askAgain)
	}
}

// bring commits a transaction that can be written once at most, as one of its own writes makes a condition of it fail. Where nobody
// knows whether it was it is tried again, and its proof tells then.
func (l *Ledger) bring(ctx context.Context, t Transaction) (revision int64, err error) {
	unsure := false
	err = again(ctx, func(err error) bool { return errors.Is(err, ErrConflict) || errors.Is(err, ErrFull) }, func(ctx context.Context) (err error) {
		revision, err = l.config.Store.Commit(ctx, t)
		if unsure && errors.Is(err, ErrConflict) {
			proof := t.proof()
			written, readErr := l.ask(ctx, proof.Key)
			if readErr != nil {
				return readErr
			}
			if bytes.Equal(written.Value, proof.Value) {
				revision, err = written.Revision, nil
			}
		}
		unsure = unsure || err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrFull)
		return err
	})
	return revision, err
}
