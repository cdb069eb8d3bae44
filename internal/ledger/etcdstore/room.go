package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ostiary/ostiary/internal/ledger"
)

const (
	// reservedAt is the part of the quota, in percent, above which only what is essential is written: at the quota itself
	// etcd takes nothing, and nobody could be shut out any more.
	reservedAt = 85
	// putOverhead is what etcd itself counts for a key beside its bytes.
	putOverhead = 256
	// defaultQuota is etcd's own, where a member does not say another (before 3.6 none does).
	defaultQuota = 2 << 30
	// tidyEvery is how often the embedded etcd forgets changes that are older than kept.
	tidyEvery = 5 * time.Minute
	// shrinkAbove and shrinkBelow say when the embedded etcd's file is rewritten at the start: when it is larger than this, and
	// less of it in use than that, in percent. It takes a second and a half for each 250 MB.
	shrinkAbove = 100 << 20
	shrinkBelow = 50
)

// room is what is known of a store's space, in bytes.
type room struct {
	quota atomic.Int64 // 0 while it is not known
	used  atomic.Int64 // when it was looked at last
	since atomic.Int64 // what this process wrote since then
	// size tells what is used now; nil where it must be asked for.
	size func() int64
}

// Room returns how many bytes of the store are used, and how many there are; 0 and 0 before the store was reached. At 85 % only
// essential transactions are taken.
func (s *Store) Room() (used, quota int64) {
	if quota = s.room.quota.Load(); quota == 0 {
		return 0, 0
	}
	if s.room.size != nil {
		// It grows with each batch that reaches the disk: what came since then is on its way.
		if size := s.room.size(); s.room.used.Swap(size) != size {
			s.room.since.Store(0)
		}
	}
	return s.room.used.Load() + s.room.since.Load(), quota
}

// look takes in what a member says of its space.
func (r *room) look(used, quota int64) {
	r.since.Store(0)
	r.used.Store(used)
	r.quota.Store(quota)
}

// cost is what a transaction adds to the store, as etcd counts it.
func cost(t ledger.Transaction) (bytes int64) {
	for _, record := range t.Puts {
		bytes += putOverhead + int64(len(record.Key)+len(record.Value))
	}
	return bytes
}

// admit refuses a transaction for which there is no room.
func (s *Store) admit(t ledger.Transaction, bytes int64) error {
	if t.Essential || bytes == 0 {
		return nil
	}
	if used, quota := s.Room(); quota > 0 && used+bytes > quota/100*reservedAt {
		return fmt.Errorf("etcdstore: commit: %w (%d of %d bytes are used)", ledger.ErrReserved, used, quota)
	}
	return nil
}

// shrink rewrites the embedded etcd's file where that gains much, or where etcd has stopped to take anything, and lets it take
// things again if there is room now.
func shrink(ctx context.Context, client *clientv3.Client, defragment func() error, quota int64, logger *slog.Logger) error {
	status, err := client.Status(ctx, "")
	if err != nil {
		return fmt.Errorf("etcdstore: status: %w", err)
	}
	full := strings.Contains(strings.Join(status.Errors, " "), "NOSPACE")
	if full {
		if _, err := client.Compact(ctx, status.Header.GetRevision(), clientv3.WithCompactPhysical()); err != nil && !errors.Is(fault("compact", err), ledger.ErrCompacted) {
			return fmt.Errorf("etcdstore: compact: %w", err)
		}
	}
	if !full && (status.DbSize <= shrinkAbove || status.DbSizeInUse*100 >= status.DbSize*shrinkBelow) {
		return nil
	}
	if err := defragment(); err != nil {
		return fmt.Errorf("etcdstore: defragment: %w", err)
	}
	after, err := client.Status(ctx, "")
	if err != nil {
		return fmt.Errorf("etcdstore: status: %w", err)
	}
	logger.Info("the ledger's file was rewritten", slog.Int64("bytes_before", status.DbSize), slog.Int64("bytes_after", after.DbSize))
	if !full {
		return nil
	}
	if after.DbSize >= quota {
		logger.Error("the ledger's store is full: nothing can be written to it, revocations included; remove entries, or shorten ledger.retention")
		return nil
	}
	if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("etcdstore: clear the alarm: %w", err)
	}
	logger.Info("the ledger's store was full, and has room again")
	return nil
}

// tidy forgets changes that are older than twice the time between ticks, until closing.
func (s *Store) tidy(ctx context.Context, ticks <-chan time.Time, logger *slog.Logger) {
	var older, old int64 // revisions two ticks and one tick ago
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		if older > 0 {
			if err := s.Compact(ctx, older); err != nil && !errors.Is(err, ledger.ErrCompacted) && ctx.Err() == nil {
				logger.Warn("old changes of the ledger could not be forgotten", slog.String("cause", err.Error()))
			}
		}
		answer, err := s.link.Load().get(ctx, s.prefix, clientv3.WithCountOnly())
		if err != nil {
			continue // the next tick asks again
		}
		older, old = old, answer.Header.GetRevision()
	}
}
