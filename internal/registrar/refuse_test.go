package registrar_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/registrar"
)

// failing is a store that takes no credential while it is told so.
type failing struct {
	ledger.Store
	fails atomic.Bool
}

var errStore = errors.New("the store takes nothing")

// Commit implements ledger.Store.
func (f *failing) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	for _, record := range t.Puts {
		if f.fails.Load() && strings.HasPrefix(record.Key, ledger.IssuedPrefix) {
			return 0, errStore
		}
	}
	return f.Store.Commit(ctx, t)
}

// TestWhatCannotBeRecordedIsNotIssued keeps certificates and tokens back that are not on record, and a caller that gave up from getting
// one.
func TestWhatCannotBeRecordedIsNotIssued(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := &failing{Store: openStore(t, dir)}
	o := open(t, store, rootIn(t, dir), "", nil)
	store.fails.Store(true)
	if made, err := o.Certificate(t.Context(), order(t, person("jane")), time.Now()); err == nil || made != nil {
		t.Errorf("a certificate: %v, %v", made, err)
	}
	if token, _, err := o.Token(t.Context(), registrar.TokenOrder{Session: person("jane"), Lifetime: time.Hour}, time.Now()); err == nil || !token.IsEmpty() {
		t.Errorf("a token: %v", err)
	}
	store.fails.Store(false)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if made, err := o.Certificate(gone, order(t, person("jane")), time.Now()); err == nil || made != nil {
		t.Errorf("for a caller that is gone: %v, %v", made, err)
	}
	o.issue(t, "jane")
}

// TestOneCluster keeps a session to the cluster where alone its name means that account.
func TestOneCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	s := person("system:serviceaccount:default:robot")
	s.Cluster = "prod"
	made, err := o.Certificate(t.Context(), order(t, s), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := shown(made.Leaf)
	if err := o.admits(r); err != nil {
		t.Errorf("at its own: %v", err)
	}
	r.Cluster = "other" // on the same connection
	if err := o.admits(r); !errors.Is(err, issued.ErrCluster) {
		t.Errorf("at another: %v", err)
	}
	r.Cluster = "prod"
	if err := o.admits(r); err != nil {
		t.Errorf("at its own again: %v", err)
	}
	person := shown(o.issue(t, "jane").Leaf)
	person.Cluster = "other"
	if err := o.admits(person); err != nil {
		t.Errorf("a person, anywhere: %v", err)
	}
	balanced := shown(made.Leaf)
	balanced.Relayed, balanced.Conn = true, nil
	if err := o.admits(balanced); err != nil {
		t.Errorf("behind a balancer: %v", err)
	}
	if err := o.End(t.Context(), registrar.WhyLogout, time.Now(), o.book.Session(s.ID)); err != nil {
		t.Fatal(err)
	}
	if err := o.admits(balanced); !errors.Is(err, issued.ErrEnded) {
		t.Errorf("behind a balancer, after the end: %v", err)
	}
}
