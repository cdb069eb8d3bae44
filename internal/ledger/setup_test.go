package ledger_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openNames hides nothing: tests look for the names.
type openNames struct{}

func (openNames) Hide(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// flaky is a store whose answers can be withheld, as a cut link does.
type flaky struct {
	ledger.Store

	cut  atomic.Pointer[chan struct{}] // closed when the link is whole again
	fail atomic.Pointer[error]         // of commits
}

// sever cuts the link until the returned function is called.
func (f *flaky) sever() (mend func()) {
	whole := make(chan struct{})
	f.cut.Store(&whole)
	return func() { f.cut.Store(nil); close(whole) }
}

func (f *flaky) wait(ctx context.Context) error {
	whole := f.cut.Load()
	if whole == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-*whole:
		return nil
	}
}

func (f *flaky) Read(ctx context.Context, key string) (ledger.Record, error) {
	if err := f.wait(ctx); err != nil {
		return ledger.Record{}, err
	}
	return f.Store.Read(ctx, key)
}

func (f *flaky) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	if err := f.wait(ctx); err != nil {
		return 0, err
	}
	if err := f.fail.Load(); err != nil {
		return 0, *err
	}
	return f.Store.Commit(ctx, t)
}

// Watch withholds changes, and stays open: the way of a store without a quorum.
func (f *flaky) Watch(ctx context.Context, prefix string, after int64, each func(ledger.Change) error) error {
	return f.Store.Watch(ctx, prefix, after, func(change ledger.Change) error {
		if err := f.wait(ctx); err != nil {
			return err
		}
		return each(change)
	})
}

// openStore is an embedded store of the test's own.
func openStore(tb testing.TB) *flaky {
	tb.Helper()
	return &flaky{Store: ledgertest.Open(tb, filepath.Join(tb.TempDir(), "store"))}
}

// run starts a ledger on a store, and returns when it is fresh. It ends with the test.
func run(tb testing.TB, store ledger.Store, change ...func(*ledger.Config)) *ledger.Ledger {
	tb.Helper()
	l, _ := runUntil(tb, store, change...)
	return l
}

// runUntil is the same, and returns what ends it before.
func runUntil(tb testing.TB, store ledger.Store, change ...func(*ledger.Config)) (*ledger.Ledger, func()) {
	tb.Helper()
	l := newLedger(tb, store, change...)
	return l, ledgertest.StartFresh(tb, l)
}

// start starts a ledger that may never be fresh.
func start(tb testing.TB, store ledger.Store, change ...func(*ledger.Config)) (*ledger.Ledger, func()) {
	tb.Helper()
	l := newLedger(tb, store, change...)
	return l, ledgertest.Start(tb, l)
}

func newLedger(tb testing.TB, store ledger.Store, change ...func(*ledger.Config)) *ledger.Ledger {
	tb.Helper()
	config := ledger.Config{Store: store, Names: openNames{}, Logger: discard()}
	for _, one := range change {
		one(&config)
	}
	l, err := ledger.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// request is one of a source, now.
func request() *authn.Request {
	return &authn.Request{Source: netip.MustParseAddr("192.0.2.7"), Cluster: "prod", Now: time.Now()}
}

// certificate is a credential of alice's, unlike all others by its number.
func certificate(serial string, change ...func(*authn.Credential)) *authn.Credential {
	sum := sha256.Sum256([]byte(serial))
	id := "X509SHA256=" + hex.EncodeToString(sum[:])
	cred := &authn.Credential{
		ID: identity.CredentialID{Value: id}, Mechanism: identity.ClientCertificate,
		Identity:    identity.Identity{Username: "alice", Groups: []string{"platform"}},
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		Certificate: &authn.Certificate{ID: id, Serial: serial, Issuer: "CN=users", Chains: [][]string{{"SPKISHA256=users"}}},
	}
	for _, one := range change {
		one(cred)
	}
	return cred
}

// token is a credential with the issuer's id.
func token(id string, change ...func(*authn.Credential)) *authn.Credential {
	cred := &authn.Credential{
		ID:        identity.CredentialID{Issuer: "https://issuer.example", Value: "JTI=" + id},
		Mechanism: identity.JWT, Identity: identity.Identity{Username: "alice"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, one := range change {
		one(cred)
	}
	return cred
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func by() ledger.Actor { return ledger.Actor{Username: "guard"} }

// revoke revokes one target, and wants it in force everywhere.
func revoke(tb testing.TB, l *ledger.Ledger, target ledger.Target, change ...func(*ledger.Revocation)) *ledger.Revocation {
	tb.Helper()
	r := &ledger.Revocation{Target: target, Reason: "a test", Actor: by()}
	for _, one := range change {
		one(r)
	}
	force, err := l.Revoke(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	if !force.Complete() {
		tb.Fatalf("in force: %+v", force)
	}
	return r
}

func soFar(r *ledger.Revocation) { r.Scope = ledger.SoFar }
