package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/checkpoint"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
	"github.com/ostiary/ostiary/internal/secret"
)

// stored is a configuration with a ledger in a folder of the test's own.
func stored(t *testing.T) *config.Checked {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "ledger.key")
	if _, err := NewLedgerKey(name); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return &config.Checked{Ledger: &config.CheckedLedger{
		Directory: filepath.Join(dir, "data"), KeyFile: name, Key: secret.New(string(key)), CheckpointFile: filepath.Join(dir, "checkpoint"),
	}}
}

// elsewhere is the same ledger's configuration on another machine.
func elsewhere(t *testing.T, c *config.Checked) *config.Checked {
	t.Helper()
	other := *c.Ledger
	other.Directory, other.CheckpointFile = filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "checkpoint")
	return &config.Checked{Ledger: &other}
}

// live runs a ledger as a gate does while do is called.
func live(t *testing.T, c *config.Checked, do func(l *ledger.Ledger)) {
	t.Helper()
	store, key, err := openStore(t.Context(), c.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sealed := sealedstore.New(store, key)
	l, err := ledger.New(ledger.Config{
		Store: sealed, Names: sealed, Logger: slog.New(slog.DiscardHandler), Checkpoint: checkpoint.New(c.Ledger.CheckpointFile, sealed.LedgerID),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	do(l)
}

// fresh waits until a ledger judges.
func fresh(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	if err := await(t.Context(), 20*time.Second, l.Ready); err != nil {
		t.Fatal(err)
	}
}

// shutOut revokes users.
func shutOut(t *testing.T, c *config.Checked, users ...string) {
	t.Helper()
	live(t, c, func(l *ledger.Ledger) {
		fresh(t, l)
		for _, user := range users {
			if _, err := l.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: user}, Reason: "test"}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// judged is what a ledger says of a user's certificate, which was issued long ago or just now.
func judged(l *ledger.Ledger, user string, issued time.Time) error {
	id := "X509SHA256=" + strings.Repeat("0", 58) + user
	return l.Judge(&authn.Request{Source: netip.MustParseAddr("192.0.2.1"), Cluster: "prod", Now: time.Now()}, &authn.Credential{
		ID: identity.CredentialID{Value: id}, Mechanism: identity.ClientCertificate, Identity: identity.Identity{Username: user},
		NotBefore: issued, NotAfter: time.Now().Add(time.Hour), Certificate: &authn.Certificate{ID: id, Serial: "1", Issuer: "CN=users"},
	})
}

func snapshot(t *testing.T, c *config.Checked) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapshot")
	if _, err := SnapshotLedger(t.Context(), c, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func lose(t *testing.T, c *config.Checked) {
	t.Helper()
	if err := os.RemoveAll(c.Ledger.Directory); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreWithoutLoss: a snapshot that holds all that the checkpoint knows is restored as it is.
func TestRestoreWithoutLoss(t *testing.T) {
	t.Parallel()
	c := stored(t)
	shutOut(t, c, "alice", "bob")
	file := snapshot(t, c)
	before, err := VerifyLedger(t.Context(), c, "")
	if err != nil || before.Standing != 2 || before.Acts != 2 {
		t.Errorf("%+v, %v", before, err)
	}
	if of, err := VerifyLedger(t.Context(), c, file); err != nil || of != before {
		t.Errorf("the snapshot has %+v, %v, and the store %+v", of, err, before)
	}
	if _, _, err := RestoreLedger(t.Context(), c, file, Acceptance{}); !errors.Is(err, sealedstore.ErrNotEmpty) {
		t.Errorf("over what is there: %v", err)
	}
	lose(t, c)
	after, made, err := RestoreLedger(t.Context(), c, file, Acceptance{})
	if err != nil || len(made) != 0 || after != before {
		t.Fatalf("%+v, %v, %v", after, made, err)
	}
	live(t, c, func(l *ledger.Ledger) {
		fresh(t, l)
		if err := judged(l, "alice", time.Now().Add(-time.Hour)); !errors.Is(err, ledger.ErrRevoked) {
			t.Errorf("alice: %v", err)
		}
		if err := judged(l, "carol", time.Now().Add(-time.Hour)); err != nil {
			t.Errorf("carol: %v", err)
		}
	})
}

// TestRestoreNeverUnrevokes: an older snapshot is not restored unless the loss is accepted; then nobody who was there before
// comes in, revoked or not, and who is issued a new credential does.
func TestRestoreNeverUnrevokes(t *testing.T) {
	t.Parallel()
	c := stored(t)
	shutOut(t, c, "alice")
	file := snapshot(t, c)
	shutOut(t, c, "bob")
	lose(t, c)
	for name, accepted := range map[string]Acceptance{"nothing said": {}, "claimed to be complete": {NothingNewer: true}} {
		if _, _, err := RestoreLedger(t.Context(), c, file, accepted); !errors.Is(err, ErrMayBeLost) || !errors.Is(err, ledger.ErrRolledBack) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, made, err := RestoreLedger(t.Context(), c, file, Acceptance{Reason: "disk lost", Spared: []string{"jwt"}})
	if err != nil || len(made) != len(identity.Mechanisms())-2 {
		t.Fatalf("%d revocations, %v", len(made), err)
	}
	live(t, c, func(l *ledger.Ledger) {
		fresh(t, l)
		for _, user := range []string{"bob", "carol"} {
			if err := judged(l, user, time.Now().Add(-time.Hour)); !errors.Is(err, ledger.ErrRevoked) {
				t.Errorf("%s by a certificate from before: %v", user, err)
			}
		}
		if err := judged(l, "dave", time.Now().Add(2*time.Minute)); err != nil {
			t.Errorf("dave by a new one: %v", err)
		}
		for _, one := range made {
			if _, _, err := l.Lift(t.Context(), one.Name, ledger.Lift{Reason: "looked through"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := judged(l, "carol", time.Now().Add(-time.Hour)); err != nil {
			t.Errorf("carol after it was lifted: %v", err)
		}
		if err := judged(l, "alice", time.Now().Add(-time.Hour)); !errors.Is(err, ledger.ErrRevoked) {
			t.Errorf("alice: %v", err)
		}
	})
	if _, _, err := RestoreLedger(t.Context(), elsewhere(t, c), file, Acceptance{Reason: "x", Spared: []string{"kerberos"}}); err == nil {
		t.Error("an unknown mechanism was spared")
	}
}

// TestOldFilesAreNoticed: a folder that is put back by other means than restore is refused by the gate and by verify, until
// that is accepted.
func TestOldFilesAreNoticed(t *testing.T) {
	t.Parallel()
	c := stored(t)
	shutOut(t, c, "alice")
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(c.Ledger.Directory)); err != nil {
		t.Fatal(err)
	}
	shutOut(t, c, "bob")
	lose(t, c)
	if err := errors.Join(os.CopyFS(c.Ledger.Directory, os.DirFS(old)), os.Chmod(c.Ledger.Directory, 0o700), os.Chmod(filepath.Join(c.Ledger.Directory, "etcd"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyLedger(t.Context(), c, ""); !errors.Is(err, ledger.ErrRolledBack) {
		t.Errorf("verify: %v", err)
	}
	live(t, c, func(l *ledger.Ledger) {
		if err := await(t.Context(), 20*time.Second, func() error {
			if err := l.Ready(); !errors.Is(err, ledger.ErrRolledBack) {
				return errors.Join(errors.New("not refused"), err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	if _, err := AcceptLedgerRollback(t.Context(), c, Acceptance{Reason: "accepted"}); err != nil {
		t.Fatal(err)
	}
	live(t, c, func(l *ledger.Ledger) {
		fresh(t, l)
		if err := judged(l, "bob", time.Now().Add(-time.Hour)); !errors.Is(err, ledger.ErrRevoked) {
			t.Errorf("bob: %v", err)
		}
	})
}

// TestRestoreElsewhere: where no checkpoint can show that nothing is lost, somebody has to say so.
func TestRestoreElsewhere(t *testing.T) {
	t.Parallel()
	c := stored(t)
	shutOut(t, c, "alice")
	file, other := snapshot(t, c), elsewhere(t, c)
	if _, _, err := RestoreLedger(t.Context(), other, file, Acceptance{}); !errors.Is(err, ErrMayBeLost) || !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("nothing said: %v", err)
	}
	if _, made, err := RestoreLedger(t.Context(), other, file, Acceptance{NothingNewer: true}); err != nil || len(made) != 0 {
		t.Errorf("%v, %v", made, err)
	}
	// The same key, and another ledger: the checkpoint is of no use, and says so.
	mixed := elsewhere(t, c)
	shutOut(t, mixed, "x")
	lose(t, mixed)
	if _, _, err := RestoreLedger(t.Context(), mixed, file, Acceptance{NothingNewer: true}); !errors.Is(err, checkpoint.ErrOther) {
		t.Errorf("over another ledger's checkpoint: %v", err)
	}
}

// TestStoreInUse: no command reads the files of an embedded store that a process has open.
func TestStoreInUse(t *testing.T) {
	t.Parallel()
	c := stored(t)
	live(t, c, func(l *ledger.Ledger) {
		fresh(t, l)
		if _, err := SnapshotLedger(t.Context(), c, filepath.Join(t.TempDir(), "x")); !errors.Is(err, etcdstore.ErrInUse) {
			t.Errorf("error %v", err)
		}
	})
}

// TestDamagedSnapshots: no snapshot is restored, or called whole, of which a bit was changed, a part is missing or that
// another key is needed for. A file that is there is never written over.
func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	c := stored(t)
	shutOut(t, c, "alice", "bob")
	file := snapshot(t, c)
	if _, err := SnapshotLedger(t.Context(), c, file); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("over a file: %v", err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{
		"nothing": nil, "cut": good[:len(good)-1], "without its end": good[:len(good)-33], "longer": append(bytes.Clone(good), 0),
	}
	for at := 0; at < len(good); at += max(1, len(good)/40) {
		changed := bytes.Clone(good)
		changed[at] ^= 1
		damaged["a bit at "+time.Duration(at).String()] = changed
	}
	for name, content := range damaged {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyLedger(t.Context(), c, bad); err == nil {
			t.Errorf("%s: whole", name)
		}
	}
	if _, err := VerifyLedger(t.Context(), stored(t), file); !errors.Is(err, sealedstore.ErrKey) {
		t.Errorf("another key: %v", err)
	}
}

// TestMigrate: both stores hold the same, under the same key, and nothing is written over.
func TestMigrate(t *testing.T) {
	t.Parallel()
	from := stored(t)
	shutOut(t, from, "alice", "bob")
	to := elsewhere(t, from)
	before, err := VerifyLedger(t.Context(), from, "")
	if err != nil {
		t.Fatal(err)
	}
	if after, err := MigrateLedger(t.Context(), from, to); err != nil || after != before {
		t.Fatalf("%+v, %v, want %+v", after, err, before)
	}
	live(t, to, func(l *ledger.Ledger) {
		fresh(t, l)
		if err := judged(l, "alice", time.Now().Add(-time.Hour)); !errors.Is(err, ledger.ErrRevoked) {
			t.Errorf("alice: %v", err)
		}
	})
	if _, err := MigrateLedger(t.Context(), from, to); !errors.Is(err, sealedstore.ErrNotEmpty) {
		t.Errorf("a second time: %v", err)
	}
	other := stored(t)
	if _, err := MigrateLedger(t.Context(), from, other); !errors.Is(err, sealedstore.ErrKey) {
		t.Errorf("to another key: %v", err)
	}
	if _, err := MigrateLedger(t.Context(), other, to); err == nil {
		t.Error("nothing was moved")
	}
}

// TestHalfARestoreIsRefused: a store that was not filled to its end opens for nobody.
func TestHalfARestoreIsRefused(t *testing.T) {
	t.Parallel()
	c := stored(t)
	shutOut(t, c, "alice")
	from, key, err := openStore(t.Context(), c.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, _, err := openStore(t.Context(), elsewhere(t, c).Ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	crash := errors.New("crash")
	if err := sealedstore.Copy(t.Context(), from, crashing{to, crash}); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	if err := sealedstore.New(to, key).Open(t.Context()); !errors.Is(err, sealedstore.ErrUnsealed) {
		t.Errorf("opened: %v", err)
	}
}

// crashing fails to write the seed, which comes last.
type crashing struct {
	ledger.Store
	cause error
}

func (c crashing) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	for _, record := range t.Puts {
		if record.Key == "meta" {
			return 0, c.cause
		}
	}
	return c.Store.Commit(ctx, t)
}
