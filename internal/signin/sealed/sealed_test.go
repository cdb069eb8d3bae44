package sealed_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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
	if err := store.Put(s); err != nil {
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
	if _, err := other.Get(s.Name()); !errors.Is(err, sealed.ErrPassphrase) {
		t.Errorf("error %v", err)
	}
	if err := sealed.Remove(s.Name()); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(s.Name()); !errors.Is(err, session.ErrNone) {
		t.Errorf("error %v", err)
	}
	if err := sealed.Remove(s.Name()); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "*", "../x", "a@b"} {
		if _, err := store.Get(name); err == nil || errors.Is(err, session.ErrNone) {
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
	if _, err := store.Get(s.Name()); err == nil || !strings.Contains(err.Error(), "is broken; sign in again") {
		t.Errorf("error %v", err)
	}
}
