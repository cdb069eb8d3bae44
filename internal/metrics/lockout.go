package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ostiary/ostiary/internal/lockout"
)

// lockoutCollector reads the lockout's counts when it is asked for them. Its labels are closed lists.
type lockoutCollector struct {
	stats                                  func() lockout.Stats
	wrong, refused, locks, unlocks, writes *prometheus.Desc
	unshared, elsewhere                    *prometheus.Desc
}

// Lockout adds the counts of a lockout. It must be called once.
func (m *Metrics) Lockout(stats func() lockout.Stats) {
	name := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(&lockoutCollector{
		stats:     stats,
		wrong:     name("ostiary_lockout_wrong_tokens_total", "Tokens that were judged and were wrong, by shape. One that is repeated counts once.", "shape"),
		refused:   name("ostiary_lockout_refused_total", "Tokens that were not looked at, because too many wrong ones came from there, by shape.", "shape"),
		locks:     name("ostiary_lockout_locks_total", "Locks put on by this gate, by kind.", "kind"),
		unlocks:   name("ostiary_lockout_unlocks_total", "Locks taken off by people."),
		writes:    name("ostiary_lockout_store_writes_total", "Records about locks that this gate wrote to the ledger's store."),
		unshared:  name("ostiary_lockout_unshared_total", "Locks that hold at this gate alone, because too many waited to be written."),
		elsewhere: name("ostiary_lockout_wrong_elsewhere_total", "Wrong tokens that other gates told of, and that count here as well."),
	})
}

// Describe implements prometheus.Collector.
func (c *lockoutCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.wrong, c.refused, c.locks, c.unlocks, c.writes, c.unshared, c.elsewhere} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *lockoutCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.stats()
	count := func(desc *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for shape, value := range stats.Wrong {
		count(c.wrong, value, shape)
	}
	for shape, value := range stats.Refused {
		count(c.refused, value, shape)
	}
	count(c.locks, stats.PrefixLocks, string(lockout.OnPrefix))
	count(c.locks, stats.PairLocks, string(lockout.OnPair))
	count(c.unlocks, stats.Unlocks)
	count(c.writes, stats.Writes)
	count(c.unshared, stats.Unshared)
	count(c.elsewhere, stats.Elsewhere)
}
