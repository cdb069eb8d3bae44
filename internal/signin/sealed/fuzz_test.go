package sealed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin/sealed"
	"github.com/ostiary/ostiary/internal/signin/session"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

// FuzzFile opens files of any kind, as they are, and as what the right key encrypted: a session comes out whole or not at all.
func FuzzFile(f *testing.F) {
	f.Setenv("XDG_STATE_HOME", f.TempDir())
	gate := signintest.NewGate(f, nil)
	s, err := session.BeginPipeline(f.Context(), session.Source{Address: gate.Address, Label: "once"}, secret.New(signintest.PipelineToken))
	if err != nil {
		f.Fatal(err)
	}
	keys := &ring{secrets: map[string]string{}}
	store, err := sealed.OpenKeyring(keys)
	if err != nil {
		f.Fatal(err)
	}
	if err := store.Put(f.Context(), s); err != nil {
		f.Fatal(err)
	}
	folder, err := sealed.Folder()
	if err != nil {
		f.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.keyring"))
	if err != nil || len(files) != 1 {
		f.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		f.Fatal(err)
	}
	inside, err := session.Encode(s)
	if err != nil {
		f.Fatal(err)
	}
	key := keys.secrets[s.Name()]
	identity, err := age.ParseHybridIdentity(key)
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range [][]byte{whole, whole[:len(whole)/2], whole[:40], append(bytes.Clone(whole), 'x'), nil, []byte("age-encryption.org/v1\n-> scrypt AAAA 18\n")} {
		f.Add(data, false)
	}
	for _, data := range [][]byte{inside, inside[:len(inside)/2], []byte("null"), []byte("{}"), bytes.ReplaceAll(inside, []byte(`"session"`), []byte(`"x"`))} {
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, encrypt bool) {
		if encrypt {
			var sealed bytes.Buffer
			writer, err := age.Encrypt(&sealed, identity.Recipient())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := writer.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}
			data = sealed.Bytes()
		}
		if err := os.WriteFile(files[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := store.Get(t.Context(), s.Name())
		switch {
		case err != nil && (got != nil || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "PRIVATE")):
			t.Errorf("%v beside a session, or a secret in it", err)
		case err == nil && (got.Certificate == "" || got.Key.IsEmpty() || got.Bound == got.Token.Token.IsEmpty()):
			t.Error("half a session")
		case err == nil && !encrypt && !bytes.Equal(data, whole):
			t.Error("a file that was changed opens")
		}
		if _, err := os.Stat(files[0]); err != nil {
			t.Errorf("reading removed the file: %v", err)
		}
	})
}

// TestWorkFactor refuses a file that asks for more memory than any of ours: whoever can write it could have each call take gigabytes.
func TestWorkFactor(t *testing.T) {
	store, s, _ := newStore(t, signintest.GateState{})
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := session.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := sealed.Folder()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.age"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	for factor, opens := range map[int]bool{16: true, 17: false} {
		recipient.SetWorkFactor(factor)
		var encrypted bytes.Buffer
		writer, err := age.Encrypt(&encrypted, recipient)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(inside); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[0], encrypted.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(t.Context(), s.Name()); (err == nil) != opens {
			t.Errorf("work factor %d: %v", factor, err)
		}
	}
}
