package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/metrics"
)

// TestLockoutMetrics: each count has its series, by the closed lists of shapes and kinds, and names no source and no id.
func TestLockoutMetrics(t *testing.T) {
	t.Parallel()
	m := metrics.New("test")
	m.Lockout(func() lockout.Stats {
		return lockout.Stats{
			Wrong: map[string]uint64{"bootstrap": 1, "jws": 2, "strong": 3, "weak": 4}, Refused: map[string]uint64{"bootstrap": 5, "jws": 6, "strong": 7, "weak": 8},
			PrefixLocks: 9, PairLocks: 10, Unlocks: 11, Writes: 12, Unshared: 13, Elsewhere: 14,
		}
	})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	var got []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "ostiary_lockout_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`ostiary_lockout_locks_total{kind="pair"} 10`,
		`ostiary_lockout_locks_total{kind="prefix"} 9`,
		`ostiary_lockout_refused_total{shape="bootstrap"} 5`,
		`ostiary_lockout_refused_total{shape="jws"} 6`,
		`ostiary_lockout_refused_total{shape="strong"} 7`,
		`ostiary_lockout_refused_total{shape="weak"} 8`,
		`ostiary_lockout_store_writes_total 12`,
		`ostiary_lockout_unlocks_total 11`,
		`ostiary_lockout_unshared_total 13`,
		`ostiary_lockout_wrong_elsewhere_total 14`,
		`ostiary_lockout_wrong_tokens_total{shape="bootstrap"} 1`,
		`ostiary_lockout_wrong_tokens_total{shape="jws"} 2`,
		`ostiary_lockout_wrong_tokens_total{shape="strong"} 3`,
		`ostiary_lockout_wrong_tokens_total{shape="weak"} 4`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
