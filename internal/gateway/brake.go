package gateway

import (
	"context"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/time/rate"
)

const (
	// refusalsPerSecond is how many strangers a second are told for each processor that they are not let in. With a connection of its own,
	// each costs less than a millisecond: a tenth of a processor.
	refusalsPerSecond = 100
	// longestBrake is how long one more has to wait at the most. Who mistyped notices nothing of that, and who waits holds little.
	longestBrake = time.Second
)

// Brake has strangers who are not let in wait for that answer when they are many, so that a crowd which guesses as fast as it is
// answered does not take the processors from those who are let in. Nobody else waits: neither those who come in, nor those from whose
// address somebody came in lately. It is safe for concurrent use; a nil Brake holds up nobody.
type Brake struct {
	limiter *rate.Limiter
	known   func(source netip.Addr) bool
}

// NewBrake returns a brake. known says of whom something good is known; it must be quick.
func NewBrake(known func(source netip.Addr) bool) *Brake {
	most := refusalsPerSecond * runtime.GOMAXPROCS(0)
	return &Brake{limiter: rate.NewLimiter(rate.Limit(most), most), known: known}
}

// hold returns when a source may be told that it is not let in, or when ctx ends.
func (b *Brake) hold(ctx context.Context, source netip.Addr) {
	if b == nil || b.known(source) {
		return
	}
	place := b.limiter.Reserve()
	delay := place.Delay()
	if delay > longestBrake {
		place.Cancel() // those who come later do not wait for this one too
		delay = longestBrake
	}
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
