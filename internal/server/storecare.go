package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/checkpoint"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
)

// snapshotMode lets its owner alone read a snapshot: it is sealed, and names gates and the times of records all the same.
const snapshotMode = 0o600

// StoreReport says what a ledger holds.
type StoreReport struct {
	// Ledger is its id.
	Ledger string
	ledger.Census
}

// inspect looks at every record of a ledger that a store holds.
func inspect(ctx context.Context, store *sealedstore.Store) (StoreReport, *ledger.Inspector, error) {
	i := &ledger.Inspector{Parts: ledger.PartPrefixes()}
	if _, err := store.List(ctx, "", "", i.Take); err != nil {
		return StoreReport{}, nil, err
	}
	census, err := i.Census()
	return StoreReport{store.LedgerID(), census}, i, err
}

// inspectSnapshot looks at every record of a snapshot.
func inspectSnapshot(ctx context.Context, file string, key sealedstore.Wrapper) (StoreReport, *ledger.Inspector, error) {
	in, err := os.Open(file) //nolint:gosec // the operator named it
	if err != nil {
		return StoreReport{}, nil, err
	}
	defer func() { _ = in.Close() }() // nothing was written
	snapshot, err := sealedstore.ReadSnapshot(ctx, in, key)
	if err != nil {
		return StoreReport{}, nil, fmt.Errorf("%s: %w", file, err)
	}
	i := &ledger.Inspector{Parts: ledger.PartPrefixes()}
	if err := snapshot.Each(func(_, opened ledger.Record) error { return i.Take(opened) }); err != nil {
		return StoreReport{}, nil, fmt.Errorf("%s: %w", file, err)
	}
	census, err := i.Census()
	return StoreReport{snapshot.LedgerID(), census}, i, err
}

// SnapshotLedger writes all of the configuration's ledger to a new file, and reads it again to see that it is whole.
func SnapshotLedger(ctx context.Context, checked *config.Checked, file string) (StoreReport, error) {
	store, key, err := openStore(ctx, checked.Ledger)
	if err != nil {
		return StoreReport{}, err
	}
	defer store.Close()
	if _, err := os.Lstat(file); err == nil {
		return StoreReport{}, fmt.Errorf("%s is there already; name a new file", file)
	}
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return StoreReport{}, err
	}
	err = errors.Join(sealedstore.WriteSnapshot(ctx, store, key, out), out.Chmod(snapshotMode), out.Sync(), out.Close())
	report := StoreReport{}
	if err == nil {
		report, _, err = inspectSnapshot(ctx, out.Name(), key)
	}
	if err == nil {
		err = os.Link(out.Name(), file) // fails where another came first
	}
	return report, errors.Join(err, os.Remove(out.Name()))
}

// VerifyLedger looks at every record of a snapshot, or of the configuration's store where file is empty.
func VerifyLedger(ctx context.Context, checked *config.Checked, file string) (StoreReport, error) {
	if file != "" {
		key, err := ledgerKey(checked.Ledger)
		if err != nil {
			return StoreReport{}, err
		}
		report, _, err := inspectSnapshot(ctx, file, key)
		return report, err
	}
	store, key, err := openStore(ctx, checked.Ledger)
	if err != nil {
		return StoreReport{}, err
	}
	defer store.Close()
	sealed, err := sealedstore.Existing(ctx, store, key)
	if err != nil {
		return StoreReport{}, err
	}
	report, i, err := inspect(ctx, sealed)
	if err != nil {
		return report, err
	}
	known, err := known(checked.Ledger, report.Ledger)
	if err != nil || known == nil {
		return report, err
	}
	return report, i.Extends(known)
}

// known is what this gate knows of the ledger; nil if it knows nothing.
func known(checked *config.CheckedLedger, id string) (*ledger.Mark, error) {
	if checked.CheckpointFile == "" {
		return nil, nil //nolint:nilnil // nothing is known
	}
	return checkpoint.New(checked.CheckpointFile, func() string { return id }).Load()
}

// Acceptance says what is to become of a loss.
type Acceptance struct {
	// Reason is why revocations may be lost, for the record; empty where they may not.
	Reason string
	// Spared are mechanisms whose credentials go on to count.
	Spared []string
	// NothingNewer says that the operator knows that nothing was written after the snapshot.
	NothingNewer bool
}

// mechanisms are the spared ones.
func (a *Acceptance) mechanisms() ([]identity.Mechanism, error) {
	spared := make([]identity.Mechanism, 0, len(a.Spared))
	for _, name := range a.Spared {
		mechanism := identity.Mechanism(name)
		if !slices.Contains(identity.Mechanisms(), mechanism) {
			return nil, fmt.Errorf("there is no mechanism %q", name)
		}
		spared = append(spared, mechanism)
	}
	return spared, nil
}

// ErrMayBeLost says that a restore could bring credentials back to life.
var ErrMayBeLost = errors.New("revocations that were made after the snapshot would be lost, and what they shut out would come back to life; " +
	"either accept that (--accept-rollback REASON), which shuts out every credential that was issued so far, or say that nothing was written after it (--nothing-newer)")

// RestoreLedger puts a snapshot into the configuration's store, which must be empty.
func RestoreLedger(ctx context.Context, checked *config.Checked, file string, accepted Acceptance) (StoreReport, []*ledger.Revocation, error) {
	spared, err := accepted.mechanisms()
	if err != nil {
		return StoreReport{}, nil, err
	}
	key, err := ledgerKey(checked.Ledger)
	if err != nil {
		return StoreReport{}, nil, err
	}
	report, i, err := inspectSnapshot(ctx, file, key)
	if err != nil {
		return report, nil, err
	}
	if accepted.Reason == "" {
		mark, err := known(checked.Ledger, report.Ledger)
		if err == nil {
			err = i.Extends(mark)
		}
		if err != nil && (!accepted.NothingNewer || !errors.Is(err, ledger.ErrUnknown)) {
			return report, nil, fmt.Errorf("%w: %w", ErrMayBeLost, err)
		}
	}
	store, _, err := openStore(ctx, checked.Ledger)
	if err != nil {
		return report, nil, err
	}
	defer store.Close()
	in, err := os.Open(file) //nolint:gosec // the operator named it
	if err != nil {
		return report, nil, err
	}
	defer func() { _ = in.Close() }() // nothing was written
	snapshot, err := sealedstore.ReadSnapshot(ctx, in, key)
	if err != nil {
		return report, nil, err
	}
	if err := snapshot.Restore(ctx, store); err != nil {
		return report, nil, err
	}
	sealed := sealedstore.New(store, key)
	var made []*ledger.Revocation
	if accepted.Reason != "" {
		if made, err = ledger.AcceptRollback(ctx, sealed, operator(), accepted.Reason, spared...); err != nil {
			return report, nil, err
		}
	}
	report, _, err = inspect(ctx, sealed)
	return report, made, err
}

// operator is who runs a command.
func operator() ledger.Actor {
	host, _ := os.Hostname() // people can do without
	return ledger.Actor{Username: "ostiary store", Source: strings.ToValidUTF8(host, "")}
}

// AcceptLedgerRollback makes the configuration's ledger count again that was put back to an earlier state by other means.
func AcceptLedgerRollback(ctx context.Context, checked *config.Checked, accepted Acceptance) ([]*ledger.Revocation, error) {
	spared, err := accepted.mechanisms()
	if err != nil {
		return nil, err
	}
	store, key, err := openStore(ctx, checked.Ledger)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	sealed, err := sealedstore.Existing(ctx, store, key)
	if err != nil {
		return nil, err
	}
	if _, _, err := inspect(ctx, sealed); err != nil {
		return nil, err
	}
	return ledger.AcceptRollback(ctx, sealed, operator(), accepted.Reason, spared...)
}

// MigrateLedger copies the ledger of one configuration into the store of another, which must be empty, and compares both.
func MigrateLedger(ctx context.Context, from, to *config.Checked) (StoreReport, error) {
	source, key, err := openStore(ctx, from.Ledger)
	if err != nil {
		return StoreReport{}, fmt.Errorf("from: %w", err)
	}
	defer source.Close()
	sealed, err := sealedstore.Existing(ctx, source, key)
	if err != nil {
		return StoreReport{}, fmt.Errorf("from: %w", err)
	}
	before, _, err := inspect(ctx, sealed)
	if err != nil {
		return before, fmt.Errorf("from: %w", err)
	}
	if before.Replicas > 0 {
		return before, errors.New("from: gates have this ledger open; stop all of them. One that crashed stays on record until another, started and stopped, has removed it")
	}
	target, other, err := openStore(ctx, to.Ledger)
	if err != nil {
		return before, fmt.Errorf("to: %w", err)
	}
	defer target.Close()
	if err := sealed.Check(ctx, other); err != nil {
		return before, fmt.Errorf("to: ledger.keyFile must be the same key: %w", err)
	}
	if err := sealedstore.Copy(ctx, source, target); err != nil {
		return before, err
	}
	after, _, err := inspect(ctx, sealedstore.New(target, other))
	if err != nil {
		return after, fmt.Errorf("to: %w", err)
	}
	still, _, err := inspect(ctx, sealed)
	if err != nil {
		return after, fmt.Errorf("from: %w", err)
	}
	if before != after || before != still {
		return after, fmt.Errorf("the copy differs from what was copied (%+v, %+v, %+v): somebody wrote meanwhile; empty the target and begin again", before, after, still)
	}
	return after, nil
}
