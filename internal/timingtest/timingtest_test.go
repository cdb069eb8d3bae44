package timingtest_test

import (
	"crypto/sha256"
	"math"
	"testing"

	"github.com/ostiary/ostiary/internal/timingtest"
)

// TestComparisonTellsApart: twice the work is seen, and the same work is not.
func TestComparisonTellsApart(t *testing.T) {
	t.Parallel()
	const samples, generous = 20_000, 3 * timingtest.Bound
	var sink [sha256.Size]byte
	work := func(n int) func() {
		return func() {
			for range n {
				sink = sha256.Sum256(sink[:])
			}
		}
	}
	if r := timingtest.Compare(samples, func(kind, _ int) func() { return work(4 + 4*kind) }); math.Abs(r.T) < generous || r.Means[1] <= r.Means[0] {
		t.Errorf("twice the work: %+v", r)
	}
	if r := timingtest.Compare(samples, func(int, int) func() { return work(4) }); math.Abs(r.T) > generous {
		t.Errorf("the same work: %+v", r)
	}
}
