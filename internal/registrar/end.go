package registrar

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/session"
)

// The reasons for which sessions end before their time.
const (
	WhyLogout   = "logout"   // their owner said so
	WhyProvider = "provider" // the provider did
)

// End ends sessions, and returns when that is in force at every replica, open streams included. Those that have ended are left
// alone. After an error some may have ended.
func (g *Registrar) End(ctx context.Context, why string, now time.Time, sessions ...*session.Session) error {
	end := session.End{Why: why, At: now.UTC().Truncate(time.Second)}
	value, err := end.Encode()
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range sessions {
		if !s.Open(now) {
			continue
		}
		if _, err := g.config.Ledger.EnforcePart(ctx, ledger.SessionPrefix, s.ID+session.EndSuffix, value); err != nil {
			errs = append(errs, err)
			continue
		}
		g.config.Logger.Info("a session ended", slog.String("session", s.ID), slog.String("user", s.Username), slog.String("why", why))
	}
	return errors.Join(errs...)
}

const (
	// tidyEvery is how often what ended is removed.
	tidyEvery = 10 * time.Minute
	// tidyAfter is how long it stays, for clocks that differ.
	tidyAfter = 10 * time.Minute
)

// Tidy removes sessions, credentials and issuing keys whose time is over, until ctx ends. What they were stays on record.
func (g *Registrar) Tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := g.TidyOnce(ctx, time.Now()); err != nil {
			g.config.Logger.Warn("sessions and credentials that ended could not be removed", slog.String("cause", err.Error()))
		}
	}
}

// TidyOnce removes what ended ten minutes before now.
func (g *Registrar) TidyOnce(ctx context.Context, now time.Time) error {
	past := g.config.Book.Past(now.Add(-tidyAfter))
	// Credentials first: one whose session is missing counts for nothing.
	return errors.Join(
		g.config.Ledger.WritePart(ctx, ledger.IssuedPrefix, nil, past.Credentials),
		g.config.Ledger.WritePart(ctx, ledger.SessionPrefix, nil, past.Sessions),
		g.config.Ledger.WritePart(ctx, ledger.IssuerPrefix, nil, past.Issuers),
	)
}
