package ledger

import (
	"errors"
	"fmt"
	"log/slog"
)

// Mark is what a process knows for certain of the ledger: all that the ledger is later extends it.
type Mark struct {
	Index uint64
	Chain string // in hex
	Epoch int64
}

// Checkpoint keeps a Mark from one start of a process to the next, apart from the store: whoever rolls the store back does
// not roll it back as well.
type Checkpoint interface {
	// Load returns the mark that was saved last, and nil if there is none.
	Load() (*Mark, error)
	// Save keeps a mark. It returns when a crash does not lose it.
	Save(mark Mark) error
}

// ErrRolledBack says that the ledger is not a later state of what this process has seen of it.
var ErrRolledBack = errors.New("the ledger was rolled back: revocations that were in force may be missing")

// mark is the mark of a head.
func (h head) mark() Mark {
	chain, _ := h.Chain.MarshalText() // never fails
	return Mark{Index: h.Index, Chain: string(chain), Epoch: h.Epoch}
}

// known returns what is known of the ledger; nil if nothing is. The store was read before, so that it is known which ledger it is.
func (l *Ledger) known() (*Mark, error) {
	if mark := l.mark.Load(); mark != nil || l.config.Checkpoint == nil {
		return mark, nil
	}
	mark, err := l.config.Checkpoint.Load()
	if err != nil {
		return nil, unsound(fmt.Errorf("ledger: checkpoint: %w", err))
	}
	return mark, nil
}

// advance takes a head for the one in force. A crash does not lose that, so that a later start knows what was in force here.
func (l *Ledger) advance(h head) {
	mark := h.mark()
	if known := l.mark.Load(); known != nil && *known == mark {
		return
	}
	if l.config.Checkpoint != nil {
		if err := l.config.Checkpoint.Save(mark); err != nil {
			// Revocations matter more than that a rollback is noticed.
			l.alarm("checkpoint", "the ledger's checkpoint cannot be written: a rollback to what was before may go unnoticed", slog.String("cause", err.Error()))
		}
	}
	l.mark.Store(&mark)
}

// extends returns an error unless a head is a later state of what is known, by the record of the act that was the last one
// known; of a later epoch everything is, since that has shut out all credentials that were there before.
func (h head) extends(known Mark, last Record) error {
	switch {
	case h.Epoch > known.Epoch:
		return nil
	case h.Epoch < known.Epoch || h.Index < known.Index:
		return unsoundf("ledger: %w (it has %d acts, and had %d); put the newer state back, or accept the loss with ostiary store accept-rollback", ErrRolledBack, h.Index, known.Index)
	case known.Index == 0:
		return nil
	}
	var there act
	if last.Value != nil {
		if err := decode(last.Key, last.Value, &there); err != nil {
			return unsound(err)
		}
	}
	if chain, _ := there.Chain.MarshalText(); string(chain) != known.Chain {
		return unsoundf("ledger: %w (its act %d is another than before); put the newer state back, or accept the loss with ostiary store accept-rollback", ErrRolledBack, known.Index)
	}
	return nil
}

// covers reports whether all acts that led to a head are in force where m is.
func (m *Mark) covers(h head) bool {
	return m != nil && (m.Epoch > h.Epoch || m.Epoch == h.Epoch && m.Index >= h.Index)
}

// errPutBack makes the store be listed anew.
var errPutBack = errors.New("ledger: the store was put back to an earlier state")

func unsoundf(format string, args ...any) error { return unsound(fmt.Errorf(format, args...)) }

// behind returns an error if a head that was read after known was in force is older than that, or of another history.
func (h head) behind(known *Mark) error {
	if known != nil && h.Epoch == known.Epoch && h.Index == known.Index && h.mark() != *known {
		return fmt.Errorf("ledger: %w while this process ran (its act %d is another than before)", ErrRolledBack, h.Index)
	}
	if known != nil && (h.Epoch < known.Epoch || h.Epoch == known.Epoch && h.Index < known.Index) {
		return fmt.Errorf("ledger: %w while this process ran (it has %d acts, and had %d)", ErrRolledBack, h.Index, known.Index)
	}
	return nil
}
