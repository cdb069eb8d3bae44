package server

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/filewatch"
)

const (
	// retryAfter is how long a bad configuration is left alone if none of its files changes: what was wrong may have
	// been something that is not watched, such as a missing folder.
	retryAfter = 5 * time.Second
	// keysTimeout is how long a changed set of JWT issuers may take to fetch keys before it is given up; until then the
	// old one stays in force, as in kube-apiserver (CFG-10).
	keysTimeout = time.Minute
	// clusterTimeout is how long a changed cluster may take to say its keys and tokens. One that does not answer is no
	// reason to hold back the rest.
	clusterTimeout = 5 * time.Second
	// keysPoll is how often that is looked at.
	keysPoll = 50 * time.Millisecond
	// linger is how long a replaced generation's parts stay usable for requests that began under it (CFG-10).
	linger = time.Minute
)

// watch takes over changed configuration until ctx ends. A bad one is refused loudly, and the last good one stays in
// force.
func (s *Server) watch(ctx, life context.Context) error {
	files := filewatch.New()
	files.Reset(s.current.Load().checked.Files())
	// What changed between the first reading and this one would otherwise go unnoticed.
	retry, refused := time.Nanosecond, ""
	for {
		if s.waitForChange(ctx, files, retry) != nil {
			return nil //nolint:nilerr // ctx ended: the server stops
		}
		retry = 0
		watched, err := s.reload(ctx, life)
		switch {
		case err == nil:
			refused = ""
		case err.Error() == refused: // still the same mistakes: said once
			retry = retryAfter
		default:
			refused, retry = err.Error(), retryAfter
			s.metrics.Reloaded(err)
			s.logger.Error("the changed configuration is refused; the last good one stays in force", slog.String("cause", refused))
		}
		// Files that the new configuration names and the old one didn't are read once more after they are watched.
		if len(watched) > 0 && files.Reset(watched) {
			retry = time.Nanosecond
		}
	}
}

// waitForChange waits for a changed file, or for the retry time if that is set.
func (s *Server) waitForChange(ctx context.Context, files *filewatch.Watcher, retry time.Duration) error {
	if retry == 0 {
		return files.Wait(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, retry)
	defer cancel()
	_ = files.Wait(limited)
	return ctx.Err()
}

// errRestart refuses changes that only a restart can bring into force.
var errRestart = errors.New("listen.address, listen.limits.streamsPerConnection, listen.limits.headerBytes, listen.drainTimeout, admin, ledger (but for its certificates), issuer, tokenReview.address and tracing take effect at a restart only; restart the server or undo the change")

// reload reads the configuration and puts it in force, if it is good and differs. It returns the files to watch.
func (s *Server) reload(ctx, life context.Context) ([]string, error) {
	now := s.current.Load()
	checked, err := config.Load(s.options.ConfigFile)
	if err != nil {
		if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
			return invalid.Files(), err
		}
		return nil, err
	}
	if checked.Digest == now.checked.Digest {
		return checked.Files(), nil
	}
	if needsRestart(now.checked, checked) {
		return checked.Files(), errRestart
	}
	next, err := build(life, checked, now, s.keeper, s.bureau, s.lockout, s.logger)
	if err != nil {
		return checked.Files(), err
	}
	if err := next.awaitKeys(ctx, now); err != nil {
		next.close(now)
		return checked.Files(), err
	}
	if err := s.keeper.renew(ctx, checked.Ledger); err != nil {
		next.close(now)
		return checked.Files(), err
	}
	if err := s.accesses.use(checked.AccessLog.File); err != nil {
		next.close(now)
		return checked.Files(), err
	}
	if err := s.gate.Use(next.state); err != nil {
		next.close(now)
		return checked.Files(), err
	}
	s.limiter.SetLimit(checked.Listen.Limits.ConnectionsPerSource)
	s.limiter.SetRelays(checked.Listen.Balancers.ProxyProtocolFrom)
	s.take(next)
	s.review() // group rules and CAs may have changed under open streams
	// What next took over is next's to close, in its own time, even if it has been replaced by then.
	time.AfterFunc(linger, func() { now.close(next) })
	s.logger.Info("configuration reloaded", slog.String("digest", checked.Digest.String()))
	return checked.Files(), nil
}

// awaitKeys waits until a new set of JWT issuers can judge, and gives changed clusters a moment to say their keys and
// tokens. Those that were taken over need no waiting.
func (g *generation) awaitKeys(ctx context.Context, before *generation) error {
	_ = await(ctx, clusterTimeout, func() error {
		var errs []error
		for _, cluster := range g.clusters {
			if !slices.Contains(before.clusters, cluster) {
				errs = append(errs, cluster.ready())
			}
		}
		return errors.Join(errs...)
	})
	if g.jwt == nil || g.jwt == before.jwt {
		return nil
	}
	return await(ctx, keysTimeout, g.jwt.Ready)
}

// await asks until the answer is nil, and gives the last answer after the timeout.
func await(ctx context.Context, timeout time.Duration, ready func() error) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(keysPoll)
	defer ticker.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-limited.Done():
			return err
		case <-ticker.C:
		}
	}
}

// needsRestart reports whether a change is about something that is fixed when the server starts.
func needsRestart(before, after *config.Checked) bool {
	a, b := before.Configuration(), after.Configuration()
	limits := a.Listen.Limits
	limits.ConnectionsPerSource = b.Listen.Limits.ConnectionsPerSource
	// By what they say, not by where it was read to: both hold pointers, which differ with every reading.
	same := reflect.DeepEqual(a.Admin, b.Admin) && reflect.DeepEqual(a.Tracing, b.Tracing) && reflect.DeepEqual(a.Ledger, b.Ledger)
	return a.Listen.Address != b.Listen.Address || limits != b.Listen.Limits ||
		a.Listen.DrainTimeout != b.Listen.DrainTimeout || !same ||
		reviewAddress(a) != reviewAddress(b) || issuerChanged(before, after)
}

// reviewAddress is where API servers ask; empty where none may.
func reviewAddress(c *config.Configuration) string {
	if c.TokenReview == nil {
		return ""
	}
	return c.TokenReview.Address
}
