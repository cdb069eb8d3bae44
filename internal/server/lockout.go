package server

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/lockoutapi"
)

// newLockout makes what holds back who guesses. It is there also where the configuration wants none, as a reload may want it.
func (s *Server) newLockout(checked *config.CheckedLockout) (err error) {
	settings := checked.Settings
	if checked.Disabled {
		settings = lockout.Defaults()
	}
	s.recent = accesslog.NewRecent()
	if s.lockout, err = lockout.New(lockout.Config{Settings: settings, Logger: s.logger, Changed: s.lockChanged}); err != nil {
		return err
	}
	s.metrics.Lockout(s.lockout.Stats)
	return nil
}

// useLockout takes over changed settings. What was counted by the old ones stays.
func (s *Server) useLockout(checked *config.CheckedLockout) {
	if checked.Disabled {
		return
	}
	if err := s.lockout.Use(checked.Settings); err != nil { // they were checked
		s.logger.Error("the changed settings of the lockout are refused", slog.String("cause", err.Error()))
	}
}

// unsuspected reports whether wrong guesses from a source are answered at once: somebody came in from there, or nobody is held back.
func (s *Server) unsuspected(source netip.Addr) bool {
	current := s.current.Load()
	return current == nil || current.checked.Lockout.Disabled || s.lockout.Knows(source)
}

// sinks are where decisions go.
func (s *Server) sinks() accesslog.Sinks { return accesslog.Sinks{s.accesses, s.metrics, s.recent} }

// lockChanged puts a lock, or its end by a person, on record.
func (s *Server) lockChanged(change lockout.Change) {
	event := accesslog.Event{
		Kind: accesslog.Locked, Time: time.Now(), Source: change.Lock.Prefix.String(), CredentialID: change.Lock.ID,
		Verdict: accesslog.Deny, Reason: string(change.Lock.Kind), Until: change.Lock.Until,
	}
	if change.Actor != "" {
		event.Kind, event.Verdict, event.User = accesslog.Unlocked, accesslog.Allow, change.Actor
	}
	s.accesses.Record(&event)
}

// notices are what people should know although the gate is ready.
func (s *Server) notices() []string {
	current := s.current.Load()
	if current == nil {
		return nil
	}
	if forged := s.bureau.notice(); forged != "" {
		return []string{forged}
	}
	if trusting := s.exposed.notice(); trusting != "" {
		return []string{trusting}
	}
	if current.checked.Lockout.Disabled {
		return []string{"nobody who guesses tokens is locked out: lockout.disabled"}
	}
	if crowded := s.lockout.Crowded(); crowded.IsValid() {
		return []string{"source " + crowded.String() + " is not locked out, whatever comes from there: most users do; " +
			"if it is a balancer, name it under listen.proxyProtocol or listen.forwardedAddresses"}
	}
	return nil
}

// sharedLocks keeps locks in the ledger.
type sharedLocks struct{ *ledger.Ledger }

// Write implements lockout.Store.
func (l sharedLocks) Write(ctx context.Context, puts map[string][]byte, deletes []string) error {
	return l.WritePart(ctx, ledger.LockPrefix, puts, deletes)
}

// lockoutAPI answers about locks and refusals.
func (s *Server) lockoutAPI() (gateway.Local, error) {
	return lockoutapi.New(lockoutapi.Config{
		Engine: s.lockout, Recent: s.recent, Authorizer: hub{s},
		Hub: func() string { return s.current.Load().clusters[0].gateway.Name }, Changed: s.lockChanged,
		Enforce: s.enforceUnlock,
	})
}

// enforceUnlock takes a lock off at every replica; without a ledger there is this one alone.
func (s *Server) enforceUnlock(ctx context.Context, lock *lockout.Lock, unlock lockout.Unlock) (*ledger.InForce, error) {
	if s.keeper == nil {
		s.lockout.Release(lock)
		return &ledger.InForce{Replicas: map[string]ledger.ReplicaState{"": ledger.Applied}}, nil
	}
	value, err := lockout.Unlocked(lock, unlock)
	if err != nil {
		return nil, err
	}
	return s.keeper.ledger.EnforcePart(ctx, ledger.LockPrefix, lock.Name, value)
}

var _ lockout.Store = sharedLocks{}
