package etcdstore_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
)

// BenchmarkOpen measures how long the embedded store with a number of records, OSTIARY_RECORDS or 20,000, needs until it answers, and
// the memory that it takes. What a ledger reads from it then is in BenchmarkStart of package ledger.
func BenchmarkOpen(b *testing.B) {
	records := 20_000
	if text := os.Getenv("OSTIARY_RECORDS"); text != "" {
		var err error
		if records, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	config := etcdstore.EmbeddedConfig{Directory: filepath.Join(b.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler)}
	store, err := etcdstore.Embedded(config)
	if err != nil {
		b.Fatal(err)
	}
	const some, size = 60, 500
	for i := 0; i < records; i += some {
		var t ledger.Transaction
		for j := i; j < min(i+some, records); j++ {
			t.Puts = append(t.Puts, ledger.Record{Key: fmt.Sprintf("k/%012d", j), Value: []byte(strings.Repeat("v", size))})
		}
		if _, err := store.Commit(b.Context(), t); err != nil {
			b.Fatal(err)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	b.ReportMetric(float64(heap())/(1<<20), "MiB/filled")
	store.Close()
	for b.Loop() {
		began := time.Now()
		store, err := etcdstore.Embedded(config)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := store.Read(b.Context(), "k/000000000000"); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/open")
		b.ReportMetric(float64(heap())/(1<<20), "MiB/opened")
		store.Close()
	}
}
