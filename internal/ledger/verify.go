package ledger

import (
	"errors"
	"fmt"
	"strings"
)

// Census is what a ledger holds.
type Census struct {
	// Acts is how many there were: revocations, their ends and accepted rollbacks; it is the head's index.
	Acts uint64
	// Standing and Lifted count revocations.
	Standing, Lifted int
	// Entries counts credentials on record, Uses those that were used, Replicas gates on record.
	Entries, Uses, Replicas int
	// Mark is the head's: two ledgers with one mark had the same acts.
	Mark Mark
}

// Inspector looks at every record of a ledger. The zero value is ready.
type Inspector struct {
	// Parts are the prefixes of what others keep in the ledger.
	Parts []string

	census   Census
	head     head
	standing sum
	acts     map[uint64]sum
}

// Take looks at a record, opened. It returns what is wrong with it.
func (i *Inspector) Take(record Record) error {
	for _, prefix := range i.Parts {
		if strings.HasPrefix(record.Key, prefix) {
			return nil
		}
	}
	kind, name, _ := strings.Cut(record.Key, "/")
	var err error
	switch kind + "/" {
	case headKey + "/":
		err = i.head.take(record)
	case revocationKey:
		i.census.Standing++
		i.standing = i.standing.plus(recordSum(record.Key, record.Value))
		_, err = decodeRevocation(name, record.Value)
	case pastKey:
		i.census.Lifted++
		_, err = decodeRevocation(name, record.Value)
	case entryKey:
		i.census.Entries++
		_, err = decodeEntry(record.Key, record.Value)
	case useKey:
		i.census.Uses++
	case replicaKey:
		i.census.Replicas++
		err = takeReplica(make(map[string]*replicaView), name, record)
	case actKey:
		err = i.takeAct(record)
	case askKey, answerKey:
	default:
		err = fmt.Errorf("ledger: record %q is of a kind that this version does not know; use the version that wrote it", record.Key)
	}
	return err
}

func (i *Inspector) takeAct(record Record) error {
	var index uint64
	if _, err := fmt.Sscanf(record.Key, actKey+"%016x", &index); err != nil || actName(index) != record.Key {
		return fmt.Errorf("ledger: record %q is no act", record.Key)
	}
	var one act
	if err := decode(record.Key, record.Value, &one); err != nil {
		return err
	}
	if i.acts == nil {
		i.acts = make(map[uint64]sum)
	}
	i.acts[index] = one.Chain
	return nil
}

// Census returns what there is, and an error if it does not belong together.
func (i *Inspector) Census() (Census, error) {
	i.census.Acts, i.census.Mark = i.head.Index, i.head.mark()
	var wrong []error
	if err := i.head.whole(i.standing); err != nil {
		wrong = append(wrong, err)
	}
	if uint64(len(i.acts)) != i.head.Index {
		wrong = append(wrong, fmt.Errorf("ledger: %d acts are on record, and there were %d", len(i.acts), i.head.Index))
	}
	if last := i.acts[i.head.Index]; i.head.Index > 0 && last != i.head.Chain {
		wrong = append(wrong, errors.New("ledger: the last act is not the one that the head was written for"))
	}
	return i.census, errors.Join(wrong...)
}

// Extends returns an error unless the ledger is a later state of what is known. What is nil is not known, and extended by none.
func (i *Inspector) Extends(known *Mark) error {
	if known == nil {
		return ErrUnknown
	}
	mark := i.head.mark()
	if mark.Epoch > known.Epoch {
		return nil
	}
	if mark.Epoch < known.Epoch || mark.Index < known.Index {
		return fmt.Errorf("ledger: %w (it has %d acts, and had %d)", ErrRolledBack, mark.Index, known.Index)
	}
	chain, _ := i.acts[known.Index].MarshalText() // never fails
	if known.Index > 0 && string(chain) != known.Chain {
		return fmt.Errorf("ledger: %w (its act %d is another than before)", ErrRolledBack, known.Index)
	}
	return nil
}

// ErrUnknown says that there is no checkpoint to compare a ledger with.
var ErrUnknown = errors.New("whether anything was lost is not known: there is no checkpoint here")
