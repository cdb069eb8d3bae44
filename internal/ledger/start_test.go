package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
)

// BenchmarkStart measures how long a ledger that holds a number of credentials or of revocations, OSTIARY_RECORDS or 20,000,
// needs until it is fresh: what a gate's start costs. It prints the memory too.
func BenchmarkStart(b *testing.B) {
	b.Run("credentials", func(b *testing.B) { benchmarkStart(b, openFilled(b, "credentials", addCredentials)) })
	b.Run("revocations", func(b *testing.B) { benchmarkStart(b, openFilled(b, "revocations", addRevocations)) })
}

func addCredentials(b *testing.B, l *ledger.Ledger, from, to int) {
	b.Helper()
	var entries []*ledger.Entry
	for i := from; i < to; i++ {
		entries = append(entries, ledger.EntryOf(request(), certificate(strconv.Itoa(i))))
	}
	for len(entries) > 0 {
		some := entries[:min(len(entries), 60)]
		entries = entries[len(some):]
		for l.Record(b.Context(), some...) != nil { // the machine may be busy
			b.Log("recording takes long")
		}
	}
}

func addRevocations(b *testing.B, l *ledger.Ledger, from, to int) {
	b.Helper()
	var revocations []*ledger.Revocation
	for i := from; i < to; i++ {
		revocations = append(revocations, &ledger.Revocation{
			Target: ledger.Target{Kind: ledger.OneCredential, Name: "X509SHA256=" + strconv.Itoa(i)}, Reason: "a benchmark", Actor: by(),
		})
	}
	if _, err := l.Revoke(b.Context(), revocations...); err != nil {
		b.Fatal(err)
	}
}

// filled is a ledger in a folder.
type filled struct {
	records int
	etcd    string // the folder
	seal    func(ledger.Store) *sealedstore.Store
}

// openFilled fills a ledger, in a folder of OSTIARY_STORES that the next run finds again, if that is set.
func openFilled(b *testing.B, name string, add func(b *testing.B, l *ledger.Ledger, from, to int)) *filled {
	b.Helper()
	f := &filled{records: 20_000}
	if text := os.Getenv("OSTIARY_RECORDS"); text != "" {
		var err error
		if f.records, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	if stores := os.Getenv("OSTIARY_STORES"); stores != "" {
		dir = filepath.Join(stores, name+"-"+strconv.Itoa(f.records))
	}
	f.etcd = filepath.Join(dir, "store")
	key, done := filepath.Join(dir, "key"), filepath.Join(dir, "filled")
	_, missing := os.Stat(done)
	if missing != nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		if _, err := sealedstore.NewKeyFile(key); err != nil {
			b.Fatal(err)
		}
	}
	content, err := os.ReadFile(key)
	if err != nil {
		b.Fatal(err)
	}
	wrapper, err := sealedstore.ParseKeyFile(key, content)
	if err != nil {
		b.Fatal(err)
	}
	f.seal = func(inner ledger.Store) *sealedstore.Store { return sealedstore.New(inner, wrapper) }
	if missing == nil {
		return f
	}
	inner := f.embedded(b)
	defer inner.Close()
	l, stop := runOn(b, f.seal(inner))
	const some = 1000
	began := time.Now()
	for i := 0; i < f.records; i += some {
		add(b, l, i, min(i+some, f.records))
	}
	b.Logf("filled with %d in %s", f.records, time.Since(began).Round(time.Millisecond))
	stop()
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	return f
}

// embedded opens it in this process.
func (f *filled) embedded(b *testing.B) *etcdstore.Store {
	b.Helper()
	inner, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: f.etcd, Logger: discard()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(inner.Close)
	return inner
}

// external opens it by a socket.
func (f *filled) external(b *testing.B) *etcdstore.Store {
	b.Helper()
	c := embed.NewConfig()
	c.Name, c.Dir, c.QuotaBackendBytes = "ostiary", filepath.Join(f.etcd, "etcd"), 8<<30
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	return serveExternal(b, c)
}

// runOn runs a ledger on a sealed store, however long that takes to be fresh.
func runOn(b *testing.B, store ledger.Store, change ...func(*ledger.Config)) (*ledger.Ledger, func()) {
	b.Helper()
	l, stop := start(b, store, append(change, func(c *ledger.Config) {
		if names, ok := store.(ledger.Names); ok {
			c.Names = names
		}
	})...)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.Ready() != nil {
		<-tick.C
	}
	return l, stop
}

func benchmarkStart(b *testing.B, f *filled) {
	b.Helper()
	store := f.seal(f.embedded(b))
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began, used := time.Now(), processor(b)
		_, stop := runOn(b, store)
		b.ReportMetric(time.Since(began).Seconds(), "s/start")
		b.ReportMetric((processor(b) - used).Seconds(), "cpu-s/start")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(f.records), "B/record")
		stop()
	}
}

// BenchmarkResync measures how long a running gate, whose ledger holds a number of credentials, OSTIARY_RECORDS or 20,000, needs to be
// at the present again after what it missed was compacted away: a thousand new credentials and ten revocations, and, in the second
// case, a thousand that were tidied away too, in every part of the store.
func BenchmarkResync(b *testing.B) {
	f := openFilled(b, "credentials", addCredentials)
	for where, open := range map[string]func(*testing.B) *etcdstore.Store{"embedded": f.embedded, "external": f.external} {
		b.Run(where, func(b *testing.B) {
			inner := open(b)
			defer inner.Close()
			store := &distant{Store: f.seal(inner), compact: inner.Compact}
			names := func(c *ledger.Config) { c.Names = store.Store.(ledger.Names) }
			l, stop := runOn(b, store, names)
			defer stop()
			other, stopOther := runOn(b, store.Store)
			defer stopOther()
			n := int(time.Now().UnixNano())
			for _, deletes := range []bool{false, true} {
				name := "written"
				if deletes {
					name = "deleted"
				}
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						b.StopTimer()
						var last *ledger.Revocation
						n += 1000
						began, used := time.Time{}, time.Duration(0)
						store.away(b, func() {
							addCredentials(b, other, n, n+1000)
							for range 10 {
								last = &ledger.Revocation{Target: ledger.Target{Kind: ledger.OneCredential, Name: certificate(strconv.Itoa(n)).ID.Value}, Reason: "a benchmark", Actor: by()}
								if _, err := other.Revoke(b.Context(), last); err != nil {
									b.Error(err)
								}
							}
							if deletes {
								removeEntries(b, store.Store, n-1000, n)
							}
							began, used = time.Now(), processor(b)
						})
						tick := time.NewTicker(time.Millisecond)
						for !errors.Is(l.Judge(request(), certificate(strconv.Itoa(n))), ledger.ErrRevoked) {
							<-tick.C
						}
						tick.Stop()
						b.ReportMetric(time.Since(began).Seconds(), "s/resync")
						b.ReportMetric((processor(b) - used).Seconds(), "cpu-s/resync")
						b.StartTimer()
					}
				})
			}
		})
	}
}

// processor is how much time of processors this process has used, the store's in it included: what a busy machine changes little.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// removeEntries removes entries as a ledger does whose retention is over.
func removeEntries(b *testing.B, store ledger.Store, from, to int) {
	b.Helper()
	for i := from; i < to; i++ {
		id := certificate(strconv.Itoa(i)).ID
		key := "entry/" + store.(ledger.Names).Hide(id.Value, id.Issuer)
		for _, t := range []ledger.Transaction{{Puts: []ledger.Record{{Key: key, Value: ledger.Tombstone(id)}}}, {Deletes: []string{key}}} {
			if _, err := store.Commit(b.Context(), t); err != nil {
				b.Error(err)
			}
		}
	}
}
