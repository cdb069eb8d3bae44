package server

import (
	"context"
	"log/slog"
	"time"
)

const (
	// roomEvery is how often the room in the ledger's store is looked at.
	roomEvery = 10 * time.Second
	// roomAlarm and roomReserved are the parts of it, in percent, at which operators are told: that it fills up, and that
	// the rest is kept for revocations.
	roomAlarm, roomReserved = 70, 85
)

// watchRoom tells operators of the room in the ledger's store, until ctx ends.
func (s *Server) watchRoom(ctx context.Context) error {
	if s.keeper == nil {
		return nil
	}
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	said := 0
	for {
		used, quota := s.keeper.store.Room()
		s.metrics.LedgerRoom(used, quota)
		said = s.sayRoom(said, used, quota)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sayRoom logs that a mark was passed, and returns which was last: 0, roomAlarm or roomReserved.
func (s *Server) sayRoom(said int, used, quota int64) int {
	mark := 0
	switch {
	case quota == 0:
		return said
	case used >= quota/100*roomReserved:
		mark = roomReserved
	case used >= quota/100*roomAlarm:
		mark = roomAlarm
	}
	at := []any{slog.Int64("used_bytes", used), slog.Int64("quota_bytes", quota)}
	switch {
	case mark == said:
	case mark == roomReserved:
		s.logger.Error("the ledger's store is nearly full: credentials are not recorded any more, and what is left is kept for revocations", at...)
	case mark == roomAlarm && said < mark:
		s.logger.Warn("the ledger's store fills up: shorten ledger.retention, or give it more room", at...)
	case mark < said:
		s.logger.Info("the ledger's store has room again", at...)
	}
	return mark
}
