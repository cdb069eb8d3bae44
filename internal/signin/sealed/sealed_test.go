package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/sealed"
	"github.com/ostiary/ostiary/internal/signin/session"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

const passphrase = "correct horse battery staple"

// newStore is a store in a home of its own, with a pipeline's session that its file renews.
func newStore(t *testing.T, state signintest.GateState) (*sealed.Store, *session.Session, *signintest.Gate) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	token := filepath.Join(home, "token")
	if err := os.WriteFile(token, []byte(signintest.PipelineToken), 0o600); err != nil {
		t.Fatal(err)
	}
	gate := signintest.NewGate(t, nil)
	gate.Change(func(s *signintest.GateState) { *s = state })
	s, err := session.BeginPipeline(t.Context(), session.Source{Address: gate.Address, TokenFile: token}, secret.String{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sealed.Open(secret.New(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return store, s, gate
}

func TestStore(t *testing.T) {
	store, s, gate := newStore(t, signintest.GateState{})
	back, err := store.Credential(t.Context(), s.Name())
	if err != nil || !back.Key.Equal(s.Key) || gate.Count("token") != 1 {
		t.Fatalf("%v, %d exchanges", err, gate.Count("token"))
	}
	folder, err := sealed.Folder()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := file.Info(); err != nil || strings.HasSuffix(file.Name(), ".age") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
		if bytes.Contains(data, []byte("PRIVATE")) || bytes.Contains(data, []byte(s.Session)) {
			t.Errorf("%s is in clear", file.Name())
		}
	}
	if all, err := sealed.List(); err != nil || len(all) != 1 || all[0].Name != s.Name() || all[0].Gate != gate.Address.URL {
		t.Errorf("%+v, %v", all, err)
	}
	other, err := sealed.Open(secret.New("another passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Get(t.Context(), s.Name()); !errors.Is(err, sealed.ErrPassphrase) {
		t.Errorf("error %v", err)
	}
	if err := sealed.Remove(t.Context(), sealed.Kept{Name: s.Name()}, nil); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(t.Context(), s.Name()); !errors.Is(err, session.ErrNone) {
		t.Errorf("error %v", err)
	}
	if err := sealed.Remove(t.Context(), sealed.Kept{Name: s.Name()}, nil); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "*", "../x", "a@b"} {
		if _, err := store.Get(t.Context(), name); err == nil || errors.Is(err, session.ErrNone) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := sealed.Open(secret.New("short")); err == nil {
		t.Error("a passphrase that can be guessed")
	}
}

// TestManyRenewOnce has calls of several stores find a certificate that has ended.
func TestManyRenewOnce(t *testing.T) {
	store, s, gate := newStore(t, signintest.GateState{Lifetime: 5 * time.Second})
	gate.Change(func(s *signintest.GateState) { s.Lifetime = 0 })
	var group sync.WaitGroup
	got := make([]string, 4)
	for i := range got {
		group.Go(func() {
			fresh, err := store.Credential(t.Context(), s.Name())
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = fresh.Certificate
		})
	}
	group.Wait()
	for _, certificate := range got {
		if certificate != got[0] || certificate == s.Certificate {
			t.Error("different certificates, or the old one")
		}
	}
	if gate.Count("token") != 2 {
		t.Errorf("%d exchanges, want 2", gate.Count("token"))
	}
}

func TestRenewalFails(t *testing.T) {
	store, s, gate := newStore(t, signintest.GateState{Lifetime: 5 * time.Second})
	gate.Change(func(s *signintest.GateState) { s.Down = true })
	_, err := store.Credential(t.Context(), s.Name())
	if _, silent := errors.AsType[*signin.NoAnswerError](err); !silent {
		t.Errorf("error %v", err)
	}
	gate.Change(func(s *signintest.GateState) { s.Down = false })
	if err := os.WriteFile(s.TokenFile, []byte("no-longer-good"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Credential(t.Context(), s.Name()); !errors.Is(err, session.ErrEnded) {
		t.Errorf("error %v", err)
	}
	if _, err := store.Credential(t.Context(), s.Name()); !errors.Is(err, session.ErrNone) {
		t.Errorf("what nobody renews is still there: %v", err)
	}
}

// TestBrokenFile shows that a file which somebody changed is not used, and is said to be broken.
func TestBrokenFile(t *testing.T) {
	store, s, _ := newStore(t, signintest.GateState{})
	folder, err := sealed.Folder()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.age"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), s.Name()); err == nil || !strings.Contains(err.Error(), "is broken; sign in again") {
		t.Errorf("error %v", err)
	}
}

// ring is a keyring in memory. The system's own is asked by the keyring package's own tests.
type ring struct {
	mu      sync.Mutex
	secrets map[string]string
	fails   error
}

func (r *ring) Get(_ context.Context, name string) (secret.String, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, found := r.secrets[name]
	return secret.New(value), found, r.fails
}

func (r *ring) Set(_ context.Context, name string, value secret.String) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[name] = value.Reveal()
	return r.fails
}

func (r *ring) Delete(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.secrets, name)
	return r.fails
}

// TestKeyring keeps a session in a file that a key in the keyring opens, and that key alone.
func TestKeyring(t *testing.T) {
	byPassphrase, s, gate := newStore(t, signintest.GateState{Lifetime: 5 * time.Second})
	if err := sealed.Remove(t.Context(), sealed.Kept{Name: s.Name()}, nil); err != nil {
		t.Fatal(err)
	}
	keys := &ring{secrets: map[string]string{}}
	store, err := sealed.OpenKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	key := keys.secrets[s.Name()]
	if !strings.HasPrefix(key, "AGE-SECRET-KEY-PQ-1") {
		t.Errorf("a key of another kind is in the keyring")
	}
	gate.Change(func(s *signintest.GateState) { s.Lifetime = 0 })
	back, err := store.Credential(t.Context(), s.Name()) // renewed, under the same key
	if err != nil || back.Key.Equal(s.Key) || keys.secrets[s.Name()] != key {
		t.Fatalf("%v", err)
	}
	all, err := sealed.List()
	if err != nil || len(all) != 1 || !all[0].Keyring || all[0].Name != s.Name() || all[0].Gate != gate.Address.URL {
		t.Fatalf("%+v, %v", all, err)
	}
	if _, err := byPassphrase.Get(t.Context(), s.Name()); !errors.Is(err, session.ErrNone) {
		t.Errorf("the passphrase's store: %v", err)
	}
	other, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{"another key": other.String(), "no key": "hunter2"} {
		keys.secrets[s.Name()] = bad
		if _, err := store.Get(t.Context(), s.Name()); !errors.Is(err, session.ErrNone) || strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys.secrets[s.Name()], keys.fails = key, errors.New("locked")
	if _, err := store.Get(t.Context(), s.Name()); !errors.Is(err, keys.fails) {
		t.Errorf("a keyring that fails: %v", err)
	}
	if err := store.Put(t.Context(), s); !errors.Is(err, keys.fails) {
		t.Errorf("a keyring that fails: %v", err)
	}
	keys.fails = nil
	folder, err := sealed.Folder()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.keyring"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	copied, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := sealed.Remove(t.Context(), all[0], keys); err != nil || len(keys.secrets) != 0 {
		t.Errorf("%v, %d keys", err, len(keys.secrets))
	}
	if err := os.WriteFile(files[0], copied, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), s.Name()); !errors.Is(err, session.ErrNone) {
		t.Errorf("a copy of the file, after its key was removed: %v", err)
	}
}
