package ledger_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
)

// BenchmarkStart measures how long a ledger that holds a number of credentials or of revocations, OSTIARY_RECORDS or 20,000,
// needs until it is fresh: what a gate's start, and a listing after a compaction, cost. It prints the memory too.
func BenchmarkStart(b *testing.B) {
	b.Run("credentials", func(b *testing.B) {
		benchmarkStart(b, func(l *ledger.Ledger, from, to int) error {
			var entries []*ledger.Entry
			for i := from; i < to; i++ {
				entries = append(entries, ledger.EntryOf(request(), certificate(strconv.Itoa(i))))
			}
			return l.Record(b.Context(), entries...)
		})
	})
	b.Run("revocations", func(b *testing.B) {
		benchmarkStart(b, func(l *ledger.Ledger, from, to int) error {
			var revocations []*ledger.Revocation
			for i := from; i < to; i++ {
				revocations = append(revocations, &ledger.Revocation{
					Target: ledger.Target{Kind: ledger.OneCredential, Name: "X509SHA256=" + strconv.Itoa(i)}, Reason: "a benchmark", Actor: by(),
				})
			}
			_, err := l.Revoke(b.Context(), revocations...)
			return err
		})
	})
}

func benchmarkStart(b *testing.B, add func(l *ledger.Ledger, from, to int) error) {
	b.Helper()
	records := 20_000
	if text := os.Getenv("OSTIARY_RECORDS"); text != "" {
		var err error
		if records, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	key := filepath.Join(dir, "key")
	if _, err := sealedstore.NewKeyFile(key); err != nil {
		b.Fatal(err)
	}
	content, err := os.ReadFile(key)
	if err != nil {
		b.Fatal(err)
	}
	wrapper, err := sealedstore.ParseKeyFile(key, content)
	if err != nil {
		b.Fatal(err)
	}
	store := sealedstore.New(ledgertest.Open(b, filepath.Join(dir, "store")), wrapper)
	names := func(c *ledger.Config) { c.Names = store }
	l, stop := runUntil(b, store, names)
	const some = 1000
	began := time.Now()
	for i := 0; i < records; i += some {
		if err := add(l, i, min(i+some, records)); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("filled with %d in %s", records, time.Since(began).Round(time.Millisecond))
	stop()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, stop := runUntil(b, store, names)
		b.ReportMetric(time.Since(began).Seconds(), "s/start")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(records), "B/record")
		stop()
	}
}
