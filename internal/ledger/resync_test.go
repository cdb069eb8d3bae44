package ledger_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/testca"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// openExternal is a store in an etcd with a socket, as others run theirs.
func openExternal(tb testing.TB) *etcdstore.Store {
	tb.Helper()
	c := embed.NewConfig()
	c.Dir = filepath.Join(tb.TempDir(), "data")
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	return serveExternal(tb, c)
}

// serveExternal runs an etcd with a socket, and returns a store in it.
func serveExternal(tb testing.TB, c *embed.Config) *etcdstore.Store {
	tb.Helper()
	dir, authority := tb.TempDir(), testca.New(tb, "etcd")
	chain, key := testca.PEM(tb, authority.Issue(tb, testca.Usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)))
	for name, content := range map[string][]byte{"tls.crt": chain, "tls.key": key, "ca.crt": authority.PEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	c.LogLevel, c.LogOutputs, c.ListenPeerUrls = "fatal", []string{os.DevNull}, nil
	c.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ClientTLSInfo = transport.TLSInfo{
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), TrustedCAFile: filepath.Join(dir, "ca.crt"), ClientCertAuth: true,
	}
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(etcd.Close)
	certificate := authority.Issue(tb, testca.Subject("gate"))
	store, err := etcdstore.External(tb.Context(), etcdstore.ExternalConfig{
		Endpoints: []string{"https://" + etcd.Clients[0].Addr().String()}, TLS: tlspolicy.Client(authority.Pool(), "", &certificate), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(store.Close)
	ledgertest.Eventually(tb, "etcd is reached", func() bool { return store.Ready() == nil })
	return store
}

// distant is a store whose watch can be lost, until after a compaction.
type distant struct {
	ledger.Store

	compact func(ctx context.Context, revision int64) error

	mu        sync.Mutex
	lose      context.CancelFunc // nil while there is no watch
	meanwhile func()
	watched   []error // how the watches ended
	scans     []ledger.Span
	hold      <-chan struct{} // keeps what changed back until it is closed; nil does not
}

var errLost = errors.New("the watch was lost")

func (d *distant) Watch(ctx context.Context, prefix string, after int64, each func(ledger.Change) error) error {
	if prefix != "" {
		return d.Store.Watch(ctx, prefix, after, each)
	}
	watch, lose := context.WithCancel(ctx)
	defer lose()
	d.mu.Lock()
	meanwhile := d.meanwhile
	d.lose, d.meanwhile = lose, nil
	d.mu.Unlock()
	if meanwhile != nil {
		meanwhile() // so long that it may be given up
		watch = context.WithoutCancel(watch)
	}
	err := d.Store.Watch(watch, prefix, after, each)
	if watch.Err() != nil && ctx.Err() == nil {
		err = errLost
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched, d.lose = append(d.watched, err), nil
	return err
}

func (d *distant) Scan(ctx context.Context, span ledger.Span, each func(ledger.Record) error) (ledger.Scanned, error) {
	d.mu.Lock()
	d.scans = append(d.scans, span)
	hold := d.hold
	d.mu.Unlock()
	if hold != nil && span.Since > 0 {
		select {
		case <-hold:
		case <-ctx.Done():
			return ledger.Scanned{}, ctx.Err()
		}
	}
	return d.Store.Scan(ctx, span, each)
}

// away loses the watch, does something, and compacts all of it before the watch is asked for again.
func (d *distant) away(tb testing.TB, do func()) {
	tb.Helper()
	done := make(chan struct{})
	meanwhile := func() {
		defer close(done)
		do()
		for range 2 { // the first one is compacted in any case
			revision, err := d.Commit(tb.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "use/x", Value: []byte("{}")}}})
			if err == nil {
				err = d.compact(tb.Context(), revision)
			}
			if err != nil {
				tb.Error(err)
			}
		}
		d.mu.Lock()
		d.scans = nil
		d.mu.Unlock()
	}
	ledgertest.Eventually(tb, "there is a watch", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.lose == nil {
			return false
		}
		d.watched, d.meanwhile = nil, meanwhile
		d.lose()
		return true
	})
	<-done
	ledgertest.Eventually(tb, "the watch is refused", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.watched) > 1
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if !errors.Is(d.watched[0], errLost) || !errors.Is(d.watched[1], ledger.ErrCompacted) {
		tb.Errorf("watches ended with %v", d.watched)
	}
}

// watches waits until there is a watch again.
func (d *distant) watches(tb testing.TB) {
	tb.Helper()
	ledgertest.Eventually(tb, "it watches again", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.lose != nil
	})
}

// readWhole tells of which groups all was read since the compaction, as far as anything was not.
func (d *distant) readWhole() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	whole := make(map[string]bool)
	since := false
	for _, span := range d.scans {
		group, _, _ := strings.Cut(span.From, "/")
		if span.Since == 0 && group != "head" && group != "act" && group != "replica" {
			whole[group] = true
		}
		since = since || span.Since > 0 && span.Since < span.At
	}
	if !since {
		return "nothing is read by what changed"
	}
	text := ""
	for _, group := range []string{"", "entry", "rev", "lock"} {
		if whole[group] {
			text += "[" + group + "]"
		}
	}
	return text
}

// TestResync: a gate whose watch was compacted away has what the store has, reads all of a group only where something of it is gone, and
// refuses what it would refuse at a start.
func TestResync(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		resync(t, func(t *testing.T) *distant {
			t.Helper()
			store := openStore(t).Store.(*etcdstore.Store)
			return &distant{Store: store, compact: store.Compact}
		})
	})
	t.Run("external", func(t *testing.T) {
		t.Parallel()
		resync(t, func(t *testing.T) *distant {
			t.Helper()
			store := openExternal(t)
			return &distant{Store: store, compact: store.Compact}
		})
	})
}

// site is a gate that was away, and another that was not.
type site struct {
	store         *distant
	gate, other   *ledger.Ledger
	there, hears  *notebook
	revoked, keep string
}

// hand writes past the ledger.
func (s *site) hand(t *testing.T, transaction ledger.Transaction) {
	t.Helper()
	if _, err := s.store.Commit(t.Context(), transaction); err != nil {
		t.Error(err)
	}
}

func (s *site) entry(serial string) string {
	return "entry/" + openNames{}.Hide(certificate(serial).ID.Value, "")
}

func (s *site) use(t *testing.T, serials ...string) {
	t.Helper()
	for _, serial := range serials {
		if err := s.other.Judge(request(), certificate(serial)); err != nil {
			t.Error(err)
		}
	}
}

func (s *site) lift(t *testing.T, name string) {
	t.Helper()
	if _, _, err := s.other.Lift(t.Context(), name, ledger.Lift{Reason: "over", Actor: by()}); err != nil {
		t.Error(err)
	}
}

func resync(t *testing.T, open func(t *testing.T) *distant) {
	t.Helper()
	for name, tt := range map[string]struct {
		meanwhile func(t *testing.T, s *site)
		whole     string // groups of which all is read
		refuses   error
	}{
		"nothing": {meanwhile: func(*testing.T, *site) {}},
		"credentials and revocations come": {meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.use(t, "n1", "n2", "n3")
			revokeUser(t, s.other, "mallory")
		}},
		"a revocation is lifted": {whole: "[rev]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.lift(t, s.revoked)
		}},
		"one is lifted, another comes": {whole: "[rev]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.lift(t, s.revoked)
			revokeUser(t, s.other, "bob")
		}},
		"one comes and is lifted": {meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.lift(t, revokeUser(t, s.other, "mallory"))
		}},
		"entries are tidied away": {whole: "[entry]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			if n, err := s.other.Tidy(t.Context(), time.Now().Add(3*time.Hour)); err != nil || n == 0 {
				t.Error(n, err)
			}
		}},
		"an entry is deleted": {whole: "[entry]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.hand(t, ledger.Transaction{Deletes: []string{s.entry("3")}})
		}},
		"one is deleted, another comes": {whole: "[entry]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.hand(t, ledger.Transaction{Deletes: []string{s.entry("3")}})
			s.use(t, "n1")
		}},
		"an entry is deleted and comes again": {whole: "[entry]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			revokeUser(t, s.other, "mallory") // it is another one then, by its index
			s.hand(t, ledger.Transaction{Deletes: []string{s.entry("3")}})
			again := run(t, s.store.Store, with(newNotebook()))
			if err := again.Judge(request(), certificate("3")); err != nil {
				t.Error(err)
			}
		}},
		"an entry comes and is deleted": {meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.use(t, "n1")
			s.hand(t, ledger.Transaction{Deletes: []string{s.entry("n1")}})
		}},
		"an entry is forgotten": {meanwhile: func(t *testing.T, s *site) { // and its record not yet removed
			t.Helper()
			value := dump(t, s.store.Store)[s.entry("3")]
			s.hand(t, ledger.Transaction{Puts: []ledger.Record{{Key: s.entry("3"), Value: []byte(strings.Repeat("\xff", 8) + value[8:24])}}})
		}},
		"what others keep comes, changes and goes": {whole: "[lock]", meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.hand(t, ledger.Transaction{
				Puts:    []ledger.Record{{Key: "lock/new", Value: []byte("1")}, {Key: "lock/changes", Value: []byte("2")}},
				Deletes: []string{"lock/goes"},
			})
		}},
		"a revocation is removed past the ledger": {refuses: ledger.ErrIncomplete, meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.hand(t, ledger.Transaction{Deletes: []string{"rev/" + s.revoked}})
		}},
		"one is removed, another comes": {refuses: ledger.ErrIncomplete, meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			revokeUser(t, s.other, "mallory")
			s.hand(t, ledger.Transaction{Deletes: []string{"rev/" + s.revoked}})
		}},
		"a revocation is changed past the ledger": {refuses: ledger.ErrIncomplete, meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			value := dump(t, s.store.Store)["rev/"+s.revoked]
			s.hand(t, ledger.Transaction{Puts: []ledger.Record{{Key: "rev/" + s.revoked, Value: []byte(strings.Replace(value, "bob", "eve", 1))}}})
		}},
		"the store is put back": {refuses: ledger.ErrRolledBack, meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			all := dump(t, s.store.Store)
			for key := range all {
				if strings.HasPrefix(key, "rev/") || strings.HasPrefix(key, "act/") || key == "head" {
					delete(all, key)
				}
			}
			putBack(t, s.store.Store, all)
		}},
		"acts are put in the place of others": {refuses: ledger.ErrRolledBack, meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			all := dump(t, s.store.Store)
			for key := range all {
				if strings.HasPrefix(key, "rev/") || strings.HasPrefix(key, "act/") || key == "head" {
					delete(all, key)
				}
			}
			putBack(t, s.store.Store, all)
			ignorant := run(t, s.store.Store, with(newNotebook()))
			for range 5 {
				revokeUser(t, ignorant, "mallory")
			}
		}},
		"a later version writes": {refuses: ledger.ErrUnavailable, meanwhile: func(t *testing.T, s *site) {
			t.Helper()
			s.hand(t, ledger.Transaction{Puts: []ledger.Record{{Key: "verdict/1", Value: []byte("{}")}}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &site{store: open(t), there: newNotebook(), hears: newNotebook()}
			s.hand(t, ledger.Transaction{Puts: []ledger.Record{{Key: "lock/goes", Value: []byte("1")}, {Key: "lock/stays", Value: []byte("1")}, {Key: "lock/changes", Value: []byte("1")}}})
			s.other = run(t, s.store.Store, with(s.there), func(c *ledger.Config) { c.Retention = time.Hour })
			for i := range 20 {
				s.use(t, fmt.Sprint(i))
			}
			s.revoked, s.keep = revokeUser(t, s.other, "bob"), revokeUser(t, s.other, "carol")
			name := "gate"
			if tt.refuses != nil {
				name = "" // so that no change of its own makes it look
			}
			s.gate = run(t, s.store, with(s.hears), named(name))
			s.store.away(t, func() { tt.meanwhile(t, s) })
			if tt.refuses != nil {
				bob := certificate("bob's", func(c *authn.Credential) { c.Identity.Username = "bob" })
				ledgertest.Eventually(t, "the gate refuses", func() bool {
					if err := s.gate.Judge(request(), bob); err == nil {
						t.Error("who was shut out is let in")
						return true
					}
					return errors.Is(s.gate.Ready(), tt.refuses)
				})
				if err := s.gate.Judge(request(), certificate("1")); !errors.Is(err, ledger.ErrUnavailable) {
					t.Errorf("a request is judged: %v", err)
				}
				return
			}
			fresh := newNotebook()
			want := run(t, s.store.Store, with(fresh)).Held()
			s.store.watches(t)
			ledgertest.Eventually(t, "the gate has what the store has", func() bool { return s.gate.Ready() == nil && cmp.Equal(want, s.gate.Held()) })
			if diff := cmp.Diff(fresh.there, s.hears.all()); diff != "" {
				t.Errorf("what others keep (-want +got):\n%s", diff)
			}
			if got := s.store.readWhole(); got != tt.whole {
				t.Errorf("read whole: %q, want %q", got, tt.whole)
			}
			// It follows on from there.
			later := certificate("later")
			ledgertest.Eventually(t, "others are let in", func() bool { return s.gate.Judge(request(), later) == nil })
			revokeUser(t, s.gate, "alice")
			ledgertest.Eventually(t, "and shut out", func() bool { return errors.Is(s.gate.Judge(request(), later), ledger.ErrRevoked) })
			s.store.away(t, func() { s.use(t) })
			s.store.watches(t)
			if got := s.store.readWhole(); got != "" {
				t.Errorf("read whole the second time: %q", got)
			}
		})
	}
}

// with has a ledger keep locks in a notebook.
func with(n *notebook) func(*ledger.Config) {
	return func(c *ledger.Config) {
		c.Parts = []ledger.Part{{Prefix: ledger.LockPrefix, Take: n.take, Names: n.names}}
	}
}

func newNotebook() *notebook { return &notebook{there: make(map[string]string)} }

func (n *notebook) names() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.there {
		names = append(names, name)
	}
	return names
}

func (n *notebook) all() map[string]string {
	all := make(map[string]string)
	for _, name := range n.names() {
		all[name] = n.get(name)
	}
	return all
}

// TestRemovedEntryIsNoticed: an entry that somebody deletes past the ledger is told of, and is not taken for being there any more; what
// the ledger itself removes is not.
func TestRemovedEntryIsNoticed(t *testing.T) {
	t.Parallel()
	for where, open := range map[string]func(testing.TB) ledger.Store{
		"embedded": func(tb testing.TB) ledger.Store { tb.Helper(); return openStore(tb) },
		"external": func(tb testing.TB) ledger.Store { tb.Helper(); return openExternal(tb) },
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			var removed atomic.Int64
			l := run(t, store, func(c *ledger.Config) {
				c.Retention, c.Removed = time.Hour, func(n int) { removed.Add(int64(n)) }
			})
			for i := range 40 {
				if err := l.Judge(request(), certificate(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			revokeUser(t, l, "bob")
			deleted := certificate("3")
			if _, err := store.Commit(t.Context(), ledger.Transaction{Deletes: []string{"entry/" + openNames{}.Hide(deleted.ID.Value, "")}}); err != nil {
				t.Fatal(err)
			}
			ledgertest.Eventually(t, "it is noticed", func() bool { return removed.Load() == 1 })
			want := run(t, store).Held()
			ledgertest.Eventually(t, "it is not taken for being there", func() bool { return cmp.Equal(want, l.Held()) })
			if err := l.Judge(request(), deleted); err != nil {
				t.Error(err)
			}
			ledgertest.Eventually(t, "it is recorded anew", func() bool {
				entry, err := l.EntryOf(t.Context(), deleted.ID)
				return err == nil && entry.Index == 1
			})
			if n, err := l.Tidy(t.Context(), time.Now().Add(3*time.Hour)); err != nil || n != 40 {
				t.Errorf("%d were tidied away, %v", n, err)
			}
			want = run(t, store).Held()
			ledgertest.Eventually(t, "all are gone", func() bool { return cmp.Equal(want, l.Held()) })
			if n := removed.Load(); n != 1 {
				t.Errorf("%d entries are said to have been deleted past the ledger", n)
			}
		})
	}
}

// TestNobodyIsLetInMeanwhile: from the moment that a revocation is said to be in force until a gate that missed it has it, nobody whom it
// shuts out is let in there, however long that takes.
func TestNobodyIsLetInMeanwhile(t *testing.T) {
	t.Parallel()
	inner := openStore(t).Store.(*etcdstore.Store)
	store := &distant{Store: inner, compact: inner.Compact}
	other := run(t, inner, named("other"))
	gate := run(t, store, named("gate"))
	alice := certificate("1")
	if err := gate.Judge(request(), alice); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	store.away(t, func() {
		store.mu.Lock()
		store.hold = hold
		store.mu.Unlock()
		force, err := other.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "alice"}, Reason: "a test", Actor: by()})
		if err != nil || force.Replicas["gate"] != ledger.Fenced {
			t.Errorf("in force %+v, %v", force, err)
		}
	})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for released := false; ; <-tick.C {
		err := gate.Judge(request(), alice)
		if errors.Is(err, ledger.ErrRevoked) {
			break
		}
		if err == nil {
			t.Fatalf("let in %s after the revocation was in force", time.Since(began))
		}
		if !released && time.Since(began) > 2*time.Second {
			released = true
			close(hold)
		}
	}
	if time.Since(began) < 2*time.Second {
		t.Error("it had the revocation before anything was read")
	}
}
