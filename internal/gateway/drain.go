package gateway

import (
	"context"
	"log/slog"
	"time"
)

// farewellTimeout is how long cut streams may take to end before their connections are closed under them.
const farewellTimeout = 2 * time.Second

// DrainReason is what clients are told whose streams end because the gate goes away.
const DrainReason = "the gate is shutting down; please try again"

// Drain ends the streams under way so that the process can stop. Watches end at once: their clients watch again, on
// another replica, from where they were. Everything else (exec, attach, port-forward, logs) may go on until ctx ends,
// and is then cut. Each is told DrainReason as far as its protocol can. Watches that come after, of requests which were being
// decided when Drain was called, end likewise. Other new requests are not Drain's concern.
func (g *Gate) Drain(ctx context.Context) {
	watches := g.streams.endWatches(DrainReason)
	g.logger.Info("draining", slog.Int("watches_cut", watches), slog.Int("streams_left", g.streams.count()))
	if g.streams.wait(ctx) == nil {
		return
	}
	rest := g.streams.cut(DrainReason, func(*stream) bool { return true })
	g.logger.Warn("drain deadline reached", slog.Int("streams_cut", rest))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
	defer cancel()
	_ = g.streams.wait(last)
}
