// Package timingtest asks whether how long something takes tells two kinds of input apart, by Welch's t-test over samples
// of both in random order (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017).
package timingtest

import (
	"crypto/rand"
	"math"
	"slices"
	"time"
)

// Bound is the |t| from which on the two are told apart: above it the null hypothesis is wrong but once in 100,000 times.
const Bound = 4.5

// Result is what a comparison found.
type Result struct {
	// T is Welch's t of the one of all crops for which it is the furthest from 0, and Crop how much of all samples, by one limit
	// for both kinds, that crop keeps.
	T, Crop float64
	// Means are the mean times of the two kinds, of nine tenths of the samples.
	Means [2]time.Duration
}

// crops are how much of the samples is looked at, as one limit in time for both kinds: the slowest are what the machine did
// meanwhile, and the quickest have the least noise. The first is of everything.
func crops() []float64 { return []float64{1, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25} }

// meansOf is the crop that means are of.
const meansOf = 0.9

// Compare takes samples measurements, of the kinds 0 and 1 in random order. prepare makes ready what is measured, outside
// of the time that counts; it must do the same for both kinds.
func Compare(samples int, prepare func(kind, i int) (measured func())) Result {
	order := make([]byte, samples/8+1)
	_, _ = rand.Read(order) // never fails
	var took [2][]float64
	for kind := range took {
		took[kind] = make([]float64, 0, samples)
	}
	for i := range samples {
		kind := int(order[i/8] >> (i % 8) & 1)
		measured := prepare(kind, i)
		began := time.Now()
		measured()
		took[kind] = append(took[kind], float64(time.Since(began)))
	}
	return judge(took)
}

// judge is what the samples say.
func judge(took [2][]float64) Result {
	all := slices.Sorted(slices.Values(slices.Concat(took[0], took[1])))
	var r Result
	for _, crop := range crops() {
		limit := all[min(len(all)-1, int(float64(len(all))*crop))]
		t, means := welch([2][]float64{below(took[0], limit), below(took[1], limit)})
		if math.Abs(t) > math.Abs(r.T) {
			r.T, r.Crop = t, crop
		}
		if crop == meansOf {
			r.Means = [2]time.Duration{time.Duration(means[0]), time.Duration(means[1])}
		}
	}
	return r
}

// below are the samples up to a limit.
func below(took []float64, limit float64) []float64 {
	var kept []float64
	for _, t := range took {
		if t <= limit {
			kept = append(kept, t)
		}
	}
	return kept
}

// welch is Welch's t of two samples, and their means.
func welch(samples [2][]float64) (t float64, mean [2]float64) {
	var variance, n [2]float64
	for kind, took := range samples {
		n[kind] = float64(len(took))
		for _, t := range took {
			mean[kind] += t / n[kind]
		}
		for _, t := range took {
			variance[kind] += (t - mean[kind]) * (t - mean[kind]) / (n[kind] - 1)
		}
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]/n[0]+variance[1]/n[1]), mean
}
