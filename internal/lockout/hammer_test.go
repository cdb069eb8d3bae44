package lockout_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
)

// TestOwnerOfAHammeredID: ten thousand addresses guess at one id, at once and again and again. Each has five secrets looked
// at, and its owner comes in from any other address each time.
func TestOwnerOfAHammeredID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const sources, tries = 10_000, 7
		e := newEngine(t)
		source := func(i int) string {
			if i%2 == 0 {
				return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
			}
			return fmt.Sprintf("2001:db8:%x::%x", i, i)
		}
		owner := bootstrap(victim)
		looked, refused := 0, 0
		for i := range sources {
			got := judged(t, e, at(source(i)), tries, func() string { return bootstrap(victim) })
			if looked += got; got > 5 {
				t.Fatalf("%s had %d secrets looked at", source(i), got)
			}
			for _, home := range []string{clean, "2001:db8:ffff::1"} {
				if present(t, e, from(home), owner, authn.Ending{Credential: jane}) != nil {
					refused++
				}
			}
			if i%1000 == 0 {
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
			}
		}
		t.Logf("%d secrets were looked at", looked)
		if refused != 0 {
			t.Errorf("the owner was refused %d times", refused)
		}
	})
}

// TestRotationGainsNothing: whoever has n addresses has n budgets, and one guess for each of them each ten seconds; going round
// among them brings no more.
func TestRotationGainsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, minutes = 16, 30
		e := newEngine(t)
		total := 0
		for i := range minutes * 60 {
			for j := range n { // each second all of them, beginning with another one
				source := netip.AddrFrom4([4]byte{203, 0, 113, byte((i + j) % n)}).String()
				total += judged(t, e, at(source), 2, weak)
			}
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		}
		// A budget at first, one that is in use at the end, and what comes back in between.
		if most := n * (20 + 20 + minutes*60/10); total > most {
			t.Errorf("%d guesses were judged, want %d at most", total, most)
		}
		t.Logf("%d guesses from %d addresses in %d minutes", total, n, minutes)
	})
}
