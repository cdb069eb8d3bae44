package gateway

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestBrake: of a crowd that is refused all the time so many are answered a second; those of whom something good is known are
// answered at once, and nobody waits for longer than a second. The twin is a gate without a brake.
func TestBrake(t *testing.T) {
	t.Parallel()
	friend, stranger := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	const crowd, lasts = 40, 10 * time.Second
	for name, brakes := range map[string]bool{"brake": true, "the twin": false} {
		synctest.Test(t, func(t *testing.T) {
			var b *Brake
			if brakes {
				b = NewBrake(func(source netip.Addr) bool { return source == friend })
			}
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			defer cancel()
			const work = time.Millisecond // of each round
			var mu sync.Mutex
			answered := 0
			var group sync.WaitGroup
			for range crowd {
				group.Go(func() {
					for ctx.Err() == nil {
						began := time.Now()
						b.hold(ctx, stranger)
						if waited := time.Since(began); waited > longestBrake {
							t.Errorf("%s: somebody waited %s", name, waited)
						}
						time.Sleep(work) //nolint:forbidigo // the bubble's own clock
						mu.Lock()
						answered++
						mu.Unlock()
					}
				})
			}
			time.Sleep(lasts / 2) //nolint:forbidigo // the bubble's own clock
			began := time.Now()
			b.hold(ctx, friend)
			if waited := time.Since(began); waited != 0 {
				t.Errorf("%s: who is known waited %s", name, waited)
			}
			group.Wait()
			each := refusalsPerSecond * runtime.GOMAXPROCS(0)
			most := each * (int(lasts/time.Second) + 1)
			if brakes && (answered > most+crowd || answered < most*9/10) || !brakes && answered < 2*most {
				t.Errorf("%s: %d were answered in %s, the bound is %d", name, answered, lasts, most)
			}
			// One who leaves does not wait.
			gone, leave := context.WithCancel(t.Context())
			leave()
			for range 3 * each {
				b.hold(gone, stranger)
			}
			if waited := time.Since(began); waited > lasts/2+longestBrake {
				t.Errorf("%s: somebody who had left was waited for: %s", name, waited)
			}
		})
	}
}
